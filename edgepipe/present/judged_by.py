"""The files that verdicts come from, so that they can be told apart from those of other files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgepipe import disk


@dataclass(frozen=True, kw_only=True)
class JudgedBy:
    """Names and SHA-256 of what was read; empty where nothing was, or it is not known."""

    report_sha256: str = ""
    policy: str = ""
    """The file's name, without its folder."""
    policy_sha256: str = ""
    baseline: str = ""
    """The name of the file or folder that it was looked for in."""

    def facts(self) -> Iterator[tuple[str, str]]:
        """Those that are known, each with what it is called."""
        if self.report_sha256:
            yield "report, SHA-256", self.report_sha256
        if self.policy:
            yield "policy", self.policy
            yield "policy, SHA-256", self.policy_sha256
        if self.baseline:
            yield "baseline", self.baseline


NOTHING_SAID = JudgedBy()


def judged_by(report: Path | None, policy: Path | None, baseline: Path | None) -> JudgedBy:
    """Of the files that were judged just now, each if there was one."""
    return JudgedBy(
        report_sha256=disk.sha256(report) if report else "",
        policy=policy.name if policy else "",
        policy_sha256=disk.sha256(policy) if policy else "",
        baseline=baseline.name if baseline else "",
    )
