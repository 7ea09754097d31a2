"""``artifacts/NAME/report.json``: what ran, what was measured, how it was judged."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgepipe import __version__, disk
from edgepipe.artifacts import Artifact, Report
from edgepipe.errors import BundleError, UsageError
from edgepipe.measure import records
from edgepipe.measure.machine import Machine, machine
from edgepipe.measure.records import BenchmarkReport, CountsReport, ValidationReport
from edgepipe.pipeline.gate import Gate
from edgepipe.pipeline.verdict import Verdict

if TYPE_CHECKING:  # judging a report needs neither stages nor cache
    from edgepipe.pipeline.definition import Pipeline
    from edgepipe.pipeline.run import StepResult

SCHEMA: Literal[2] = 2
CREATED = "%Y-%m-%dT%H:%M:%SZ"
"""UTC, ISO 8601: texts in the order of time."""
Measured = Annotated[
    ValidationReport | BenchmarkReport | CountsReport, Field(discriminator="content")
]


class _Record(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, populate_by_name=True, allow_inf_nan=False
    )


class StepRecord(_Record):
    """One step of the run."""

    name: str
    use: str
    outcome: Literal["ran", "reused"]
    why: tuple[str, ...]
    seconds: float
    kind: str
    digest: str
    bytes: int
    notes: dict[str, Any]
    """What the stage itself found worth reporting."""
    key: dict[str, str]


class RunReport(_Record):
    """One run of one pipeline file."""

    schema_version: Literal[2] = Field(default=SCHEMA, alias="schema")
    content: Literal["run"] = "run"
    name: str
    task: str
    created: str
    """UTC, ISO 8601."""
    edgepipe: str
    tools: dict[str, str]
    machine: Machine
    pipeline: str
    """The whole pipeline file."""
    steps: tuple[StepRecord, ...]
    measured: dict[str, Measured]
    """Reports of the count, validate and benchmark steps, by step name."""
    gates: tuple[Gate, ...]
    verdicts: tuple[Verdict, ...] = ()
    """Empty until judged; then one a gate."""

    def write(self, path: Path) -> None:
        """``path`` holds this report as JSON, durably."""
        disk.write_json(path, self.model_dump(mode="json", by_alias=True))

    @property
    def verdict(self) -> Literal["pass", "fail", "inconclusive", "no gates", "not judged"]:
        """All verdicts in one word: a failure outweighs everything."""
        if not self.gates:
            return "no gates"
        if len(self.verdicts) != len(self.gates):
            return "not judged"
        outcomes = [v.outcome for v in self.verdicts]
        return "fail" if "fail" in outcomes else max(outcomes, key=["pass", "inconclusive"].index)


def build(pipeline: Pipeline, results: Sequence[StepResult]) -> RunReport:
    """What a finished run left, not judged yet."""
    measured = {r.step.name: _measured(r) for r in results if isinstance(r.artifact, Report)}
    return RunReport(
        name=pipeline.name,
        task=pipeline.task,
        created=time.strftime(CREATED, time.gmtime()),
        edgepipe=__version__,
        tools=_tools(results),
        machine=machine(),
        pipeline=pipeline.text,
        steps=tuple(_step(result) for result in results),
        measured=measured,
        gates=pipeline.gates,
    )


def read(path: Path) -> RunReport:
    """The report at ``path``.

    Raises UsageError when there is none or it is of another schema, BundleError when it is damaged.
    """
    if not path.is_file():
        raise UsageError(f"{path}: there is no such report; a run leaves one as NAME/report.json")
    try:
        text = path.read_text(encoding="utf-8")
        schema = json.loads(text).get("schema")
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise BundleError(f"{path} is no readable report: {error}") from error
    if schema != SCHEMA:
        raise UsageError(f"{path} has schema {schema!r}; this edgepipe reads schema {SCHEMA}")
    try:
        found = RunReport.model_validate_json(text)
    except ValidationError as error:
        raise BundleError(f"{path} is damaged: {error}") from error
    _require_one_model_a_name(path, found)
    return found


def _require_one_model_a_name(path: Path, report: RunReport) -> None:
    """Raise BundleError where two steps of one run mean different models by the same name."""
    digests: dict[str, str] = {}
    for measured in report.measured.values():
        for arm in measured.arms:
            name = arm.name.removesuffix(records.PLAIN)
            if digests.setdefault(name, arm.digest) != arm.digest:
                raise BundleError(f"{path}: wrong report: its steps measured two models {name!r}")


def _measured(result: StepResult) -> records.Measured:
    """The report of a step, its reference called by the name of the step it came from."""
    found = records.read(result.artifact.path / records.REPORT)
    return records.named(found, str(result.step.wires.get("reference", "")))


def _tools(results: Sequence[StepResult]) -> dict[str, str]:
    """Versions of every declared tool, as the keys have them."""
    return {
        part.removeprefix("tool "): version
        for result in results
        for part, version in result.key.items()
        if part.startswith("tool ") and version != "not installed"
    }


def _step(result: StepResult) -> StepRecord:
    artifact = result.artifact
    return StepRecord(
        name=result.step.name,
        use=result.step.use,
        outcome=result.outcome.value,
        why=result.why,
        seconds=round(result.seconds, 3),
        kind=artifact.kind,
        digest=artifact.digest,
        bytes=disk.size(artifact.path),
        notes=_notes(artifact),
        key=dict(result.key),
    )


def _notes(artifact: Artifact) -> dict[str, Any]:
    notes: dict[str, Any] = getattr(artifact, "notes", {})
    return notes
