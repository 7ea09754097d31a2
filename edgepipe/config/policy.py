"""Policy file to gates: what a release has to keep, apart from the pipeline that makes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgepipe.config.reader import Reader, table_of, text_of
from edgepipe.pipeline.gate import Gate

_TOP = ("baseline", "gate")


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Gates to judge a report by."""

    file: Path
    gates: tuple[Gate, ...]
    baseline: Path | None
    """A report or a folder of them; may be absent, for want of a first one."""


def load_policy(file: str | Path) -> Policy:
    """The policy that ``file`` describes.

    Raises UsageError when it cannot be read, ConfigError naming every mistake in it.
    """
    path = Path(file)
    return parse_policy(text_of(path, "policy"), path)


def parse_policy(text: str, file: Path) -> Policy:
    """The policy that ``text`` describes; its baseline is relative to the folder of ``file``."""
    reader = Reader(table_of(text, file), file)
    reader.known(_TOP)
    baseline = reader.table.get("baseline")
    if baseline is not None and not (isinstance(baseline, str) and baseline):
        reader.say(("baseline",), f"names a report or a folder of reports, got {baseline!r}")
    if reader.table.get("gate", []) == []:
        reader.say((), "there is no [[gate]] table, so nothing to judge")
    gates = tuple(reader.gates().values())
    reader.finish(text)
    place = reader.base / Path(str(baseline)).expanduser() if baseline else None
    return Policy(file=file, gates=gates, baseline=place)
