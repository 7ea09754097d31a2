"""A judgement as JSON for programs: versioned, with a JSON Schema that ``edgepipe schema`` prints.

Fields may be added under the same version; a field that goes or changes its meaning raises it.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from edgepipe import __version__
from edgepipe.errors import ExitCode
from edgepipe.pipeline.report import RunReport
from edgepipe.pipeline.verdict import Unit, Verdict, exit_code
from edgepipe.present import changes as changing
from edgepipe.present import words
from edgepipe.present.judged_by import NOTHING_SAID, JudgedBy
from edgepipe.present.models import ModelFigures, models

SCHEMA: Literal[1] = 1


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )


class Measured(_Part):
    """The report that was judged, or the one that it was judged against."""

    name: str
    """Of the pipeline."""
    created: str
    """UTC, ISO 8601."""
    edgepipe: str
    """The version that measured."""
    machine: str
    """The machine record's id: clocks compare where it is the same."""


class Files(_Part):
    """What the verdicts come from; None where there was none, or it is not known."""

    report_sha256: str | None
    policy: str | None
    """The name of the policy's file."""
    policy_sha256: str | None
    baseline: str | None
    """The name of the file or folder that the baseline was looked for in."""


class ChangedFigure(_Part):
    """One figure of one model in both reports."""

    model: str
    what: str
    unit: Unit | Literal["count"]
    before: float | None
    after: float | None
    why: str
    """Why the two cannot be compared; empty where they can."""


class JudgedGate(Verdict):
    """A verdict, and the same as one line for people."""

    told: str


class Judgement(_Part):
    """What was judged, against what, how every gate ended, and what changed."""

    schema_version: Literal[1] = Field(default=SCHEMA, alias="schema")
    content: Literal["verdicts"] = "verdicts"
    edgepipe: str = __version__
    """The version that judged."""
    verdict: Literal["pass", "fail", "inconclusive", "no gates", "not judged"]
    """All gates in one word; ``not judged`` where two reports were only compared."""
    exit_code: int
    """What the program ends with: 0, 4 when a gate failed, else 5 when one is inconclusive."""
    report: Measured
    baseline: Measured | None
    judged_by: Files
    verdicts: tuple[JudgedGate, ...]
    """One a gate, in the order of the policy."""
    models: tuple[ModelFigures, ...]
    """All that was measured of each model."""
    changes: tuple[ChangedFigure, ...]
    """Since the baseline; empty without one. Information, never part of the verdict."""


def judgement(
    report: RunReport,
    baseline: RunReport | None = None,
    *,
    judged: bool = True,
    by: JudgedBy = NOTHING_SAID,
) -> Judgement:
    """``report`` with its verdicts as a record; ``judged`` is false for a mere comparison.

    ``by``: the files that the verdicts come from.
    """
    verdicts = report.verdicts if judged else ()
    return Judgement(
        verdict=report.verdict if judged else "not judged",
        exit_code=exit_code(verdicts) if judged else ExitCode.OK,
        report=_measured(report),
        baseline=_measured(baseline) if baseline else None,
        judged_by=Files(**{name: value or None for name, value in vars(by).items()}),
        verdicts=tuple(_gate(verdict) for verdict in verdicts),
        models=models(report),
        changes=tuple(
            ChangedFigure(
                model=change.model,
                what=change.what,
                unit=change.unit,
                before=change.before,
                after=change.after,
                why=change.why,
            )
            for change in (changing.changes(report, baseline) if baseline else ())
        ),
    )


def result(
    report: RunReport,
    baseline: RunReport | None = None,
    *,
    judged: bool = True,
    by: JudgedBy = NOTHING_SAID,
) -> dict[str, Any]:
    """``judgement`` as plain values, to be written as JSON."""
    return judgement(report, baseline, judged=judged, by=by).model_dump(mode="json", by_alias=True)


def json_schema() -> dict[str, Any]:
    """A Draft 2020-12 schema that every ``result`` fits."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Judgement.model_json_schema(mode="serialization"),
        "title": "edgepipe verdicts",
    }


def _measured(report: RunReport) -> Measured:
    return Measured(
        name=report.name,
        created=report.created,
        edgepipe=report.edgepipe,
        machine=report.machine.machine_id,
    )


def _gate(verdict: Verdict) -> JudgedGate:
    return JudgedGate(**verdict.model_dump(), told=words.told(verdict))
