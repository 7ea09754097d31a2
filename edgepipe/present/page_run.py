"""The page's run: the pipeline drawn, what its steps noted, and where everything comes from."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from edgepipe.pipeline.report import RunReport, StepRecord
from edgepipe.present.judged_by import JudgedBy
from edgepipe.present.legible import clipped
from edgepipe.present.page_parts import Figure, Table, benchmarks, plural, table, validations
from edgepipe.present.plots_graph import Node, graph
from edgepipe.present.words import figure

_NOTES = 60
_LONG = 1000
_PIPELINE = 100_000
Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class NotesView:
    """What a step found worth reporting."""

    step: str
    use: str
    pairs: Pairs
    tables: tuple[tuple[str, Table], ...]


@dataclass(frozen=True, kw_only=True)
class RunView:
    """The steps of the run."""

    drawn: Figure
    steps: Table


@dataclass(frozen=True, kw_only=True)
class ProvenanceView:
    """Where the figures come from."""

    facts: Pairs
    tools: Pairs
    keys: tuple[tuple[str, Pairs], ...]
    pipeline: str


def run_view(report: RunReport) -> RunView | None:
    """None without steps."""
    if not report.steps:
        return None
    nodes = [
        Node(name=s.name, size=figure(s.bytes, "bytes"), about=_about(s), ran=s.outcome == "ran")
        for s in report.steps
    ]
    wires = wires_of(report.pipeline)
    told = "; ".join(
        f"{s.name} ({_about(s)}, {figure(s.bytes, 'bytes')})"
        + (f" reads {', '.join(wires[s.name])}" if wires.get(s.name) else "")
        for s in report.steps
    )
    drawn = Figure(
        caption="Steps",
        plot=graph(nodes, wires, f"The pipeline {report.name}", told),
        note="Solid: ran. Dashed: reused from an earlier run.",
    )
    rows = (
        (s.name, s.use, s.outcome, _why(s), _took(s), figure(s.bytes, "bytes"))
        for s in report.steps
    )
    columns = ("step", "stage", "outcome", "why", "time", "size")
    return RunView(drawn=drawn, steps=table(columns, rows, words=4))


def _about(step: StepRecord) -> str:
    done = _took(step) if step.outcome == "ran" else "reused"
    return f"{step.use} · {done}"


def _why(step: StepRecord) -> str:
    return clipped("; ".join(step.why), 200)


def _took(step: StepRecord) -> str:
    if step.outcome == "reused":
        return ""
    minutes, seconds = divmod(step.seconds, 60)
    return f"{minutes:.0f} min {seconds:02.0f} s" if minutes else f"{seconds:.1f} s"


def wires_of(pipeline: str) -> Mapping[str, tuple[str, ...]]:
    """The steps that each step of a pipeline file reads; none as far as it is unreadable."""
    try:
        steps = tomllib.loads(pipeline).get("step")
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}
    if not isinstance(steps, dict):
        return {}
    return {
        name: tuple(dict.fromkeys(_origins(step.get("from"))))
        for name, step in steps.items()
        if isinstance(step, dict)
    }


def _origins(wires: object) -> Iterator[str]:
    if isinstance(wires, dict):
        for origin in wires.values():
            names = origin if isinstance(origin, list) else [origin]
            yield from (name for name in names if isinstance(name, str))


def notes_views(report: RunReport) -> list[NotesView]:
    """What the steps noted, lists of records as tables."""
    return [_notes(step) for step in report.steps if step.notes]


def _notes(step: StepRecord) -> NotesView:
    records = {key: value for key, value in step.notes.items() if _is_records(value)}
    return NotesView(
        step=step.name,
        use=step.use,
        pairs=tuple((k, _plain(v)) for k, v in step.notes.items() if k not in records),
        tables=tuple((key, _records(value)) for key, value in records.items()),
    )


def _is_records(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, dict) for v in value)


def _records(records: list[dict[str, object]]) -> Table:
    columns = list(dict.fromkeys(str(key) for record in records[:_NOTES] for key in record))
    rows = ([_plain(record.get(c, "")) for c in columns] for record in records[:_NOTES])
    more = f"{len(records) - _NOTES:,} more" if len(records) > _NOTES else ""
    return table(columns, rows, more=more)


def _plain(value: object) -> str:
    """A note in a line or a few, dictionaries as ``name figure, name figure``."""
    return clipped(_inner(value), _LONG)


def _inner(value: object) -> str:  # noqa: PLR0911 - a case a kind
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.4g}"
        case int():
            return f"{value:,}"
        case dict():
            return ", ".join(f"{key} {_enclosed(inner)}" for key, inner in value.items()) or "none"
        case list() | tuple():
            return ", ".join(map(_enclosed, value)) or "none"
    return str(value)


def _enclosed(value: object) -> str:
    text = _inner(value)
    return f"({text})" if isinstance(value, dict | list | tuple) and value else text


def provenance_view(report: RunReport, by: JudgedBy) -> ProvenanceView:
    """Machine, versions, seeds, files judged by, cache keys and the pipeline file itself."""
    return ProvenanceView(
        facts=(*_facts(report), *by.facts()),
        tools=tuple(sorted({**report.machine.packages, **report.tools}.items())),
        keys=tuple((step.name, _key(step)) for step in report.steps),
        pipeline=clipped(report.pipeline, _PIPELINE),
    )


def _key(step: StepRecord) -> Pairs:
    return (("digest", step.digest), *((name, clipped(v, _LONG)) for name, v in step.key.items()))


def _facts(report: RunReport) -> Iterator[tuple[str, str]]:
    machine = report.machine
    yield "pipeline", report.name
    yield "task", report.task
    yield "created", report.created
    yield "edgepipe", report.edgepipe
    yield "processor", f"{machine.cpu} ({machine.architecture}), {plural(machine.cores, 'core')}"
    if machine.features:
        yield "instructions", ", ".join(machine.features)
    for gpu in machine.gpus:
        yield "GPU", f"{gpu.name}, {gpu.memory_mib:,} MiB, driver {gpu.driver}"
    yield "memory", figure(machine.memory_bytes, "bytes")
    yield "system", f"{machine.system}, Python {machine.python}"
    for step, validated in validations(report).items():
        yield f"seed of {step}", f"{validated.seed}, {validated.resamples:,} resamples"
        yield f"texts of {step}", validated.split_sha256
    for step, timed in benchmarks(report).items():
        yield f"seed of {step}", str(timed.seed)
        if timed.machine.machine_id != machine.machine_id:
            yield (
                f"machine of {step}",
                f"{timed.machine.cpu}, {plural(timed.machine.cores, 'core')}",
            )
