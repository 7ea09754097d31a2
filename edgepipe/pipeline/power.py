"""What the gates of a pipeline ask of its test set: information before a run, never a verdict."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from edgepipe.artifacts import Artifact, Dataset, SplitRecord, Texts
from edgepipe.measure import power
from edgepipe.measure.statistics import needed_examples
from edgepipe.pipeline.cache import Cache
from edgepipe.pipeline.definition import Pipeline
from edgepipe.pipeline.gate import AccuracyGate, AgreementGate, Gate, SlicesGate
from edgepipe.pipeline.graph import Step
from edgepipe.pipeline.key import key_of
from edgepipe.pipeline.run import bind

A = TypeVar("A", bound=Artifact)
_PARTS = {"length": 4}
_FEWEST_PARTS = 2


@dataclass(frozen=True, kw_only=True)
class Need:
    """How many examples one gate needs."""

    step: str
    """That measures it."""
    gate: str
    margin: float
    """What may be lost: a share."""
    confidence: float
    """One-sided. All slices have to pass, so theirs is not divided."""
    power: float
    """How often the gate passes if nothing is lost: of slices, all parts together."""
    flip_rates: tuple[float, ...]
    needed: tuple[int | None, ...]
    """Examples by flip rate, in each part for slices; None: no number is enough."""
    available: int | None
    """Texts that the step will ask about; None while its data is not made."""


def needs(pipeline: Pipeline, root: Path) -> list[Need]:
    """One for each accuracy, slices and agreement gate, in the order of the gates."""
    found = ((gate, _step(gate, pipeline)) for gate in pipeline.gates)
    return [
        _need(gate, step, pipeline, root)
        for gate, step in found
        if step is not None and isinstance(gate, AccuracyGate | SlicesGate | AgreementGate)
    ]


def _step(gate: Gate, pipeline: Pipeline) -> Step | None:
    """The first step that measures the gate's candidate."""
    for step in pipeline.steps:
        if step.use == gate.step and gate.of in (name for _, name in step.origins()):
            return step
    return None


def _need(
    gate: AccuracyGate | SlicesGate | AgreementGate, step: Step, pipeline: Pipeline, root: Path
) -> Need:
    split = _split(step, pipeline, root)
    asked: SplitRecord | Texts | None = split
    if isinstance(gate, AgreementGate) and gate.on == "unlabelled":
        asked = _made(Texts, step.wires.get("unlabelled"), pipeline, root)
    if isinstance(gate, AgreementGate):
        margin = 1 - gate.min_agreement
        needed = power.for_agreement(gate.min_agreement, confidence=gate.confidence)
    else:
        margin = gate.max_drop
        parts = _parts(gate.by, split) if isinstance(gate, SlicesGate) else 1
        needed = _for_drop(margin, gate.confidence, parts)
    return Need(
        step=step.name,
        gate=_name(gate),
        margin=margin,
        confidence=gate.confidence,
        power=power.POWER,
        flip_rates=power.FLIP_RATES,
        needed=needed,
        available=asked.rows if asked else None,
    )


def _for_drop(margin: float, confidence: float, parts: int) -> tuple[int | None, ...]:
    """Examples in each part: all of k pass 9 times in 10 where each does 0.9 ** (1 / k) of them."""
    if margin <= 0:
        return (None,) * len(power.FLIP_RATES)
    each = power.POWER ** (1 / parts)
    return tuple(
        needed_examples(rate, margin, confidence=confidence, power=each)
        for rate in power.FLIP_RATES
    )


def _name(gate: AccuracyGate | SlicesGate | AgreementGate) -> str:
    kind: str = gate.measure
    if isinstance(gate, SlicesGate):
        kind = f"slices by {gate.by} (each part)"
    if isinstance(gate, AgreementGate) and gate.on == "unlabelled":
        kind = "agreement on unlabelled texts"
    return f"{kind}: {gate.of} against {gate.against}"


def _parts(by: str, split: SplitRecord | None) -> int:
    """How many parts have to pass: a guess where only the data can tell."""
    if by == "label" and split is not None:
        return max(_FEWEST_PARTS, sum(count > 0 for count in split.label_counts))
    return _PARTS.get(by, _FEWEST_PARTS)


def _split(step: Step, pipeline: Pipeline, root: Path) -> SplitRecord | None:
    """The split that the step asks about, if it is made."""
    data = _made(Dataset, step.wires.get("data"), pipeline, root)
    wanted = getattr(step.stage, "split", "test")
    found = data.splits.items() if data else ()
    return next((record for name, record in found if name == wanted), None)


def _made(
    kind: type[A], wire: str | tuple[str, ...] | None, pipeline: Pipeline, root: Path
) -> A | None:
    """What an earlier run made of the step, if that reads outside files and no other step."""
    step = next((s for s in pipeline.steps if s.name == wire), None)
    if step is None or any(True for _ in step.origins()) or not issubclass(step.stage.makes, kind):
        return None
    key = key_of(step, bind(step, {}), pipeline.run, pipeline.name)
    return Cache(root / "cache").find(kind, key)
