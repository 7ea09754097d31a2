"""``[[gate]]``: what a candidate has to keep, as typed tables checked against the steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edgepipe.measure.records import PLAIN
from edgepipe.pipeline.graph import Draft, Problem, near

Confidence = Annotated[float, Field(gt=0.5, lt=1)]


class _Gate(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True
    )

    of: str
    """The candidate, by the name of its step."""
    against: str
    """The reference of the step that measures it."""


class AccuracyGate(_Gate):
    """The accuracy lost against the reference, on the same test texts, stays within a margin.

    A test of non-inferiority: it passes when the one-sided upper bound of the drop (Tango 1998) is
    within ``max_drop``, fails when the lower bound is beyond it, and is inconclusive between.
    """

    measure: Literal["accuracy"]
    max_drop: Annotated[float, Field(ge=0, le=1)]
    """A share: 0.015 is 1.5 points."""
    confidence: Confidence = 0.95


class AgreementGate(_Gate):
    """The share of test texts that candidate and reference answer alike (Wilson's bounds)."""

    measure: Literal["agreement"]
    min_agreement: Annotated[float, Field(gt=0, le=1)]
    confidence: Confidence = 0.95


class LatencyGate(_Gate):
    """How many times faster than the reference the candidate answers single texts."""

    measure: Literal["latency"]
    min_speedup: Annotated[float, Field(gt=0)]
    confidence: Confidence = 0.95


class SizeGate(_Gate):
    """The bytes that ship, tokenizer and configuration included: exact, so never inconclusive."""

    measure: Literal["size"]
    max_ratio: Annotated[float, Field(gt=0)] | None = None
    """Of the reference's bytes."""
    max_bytes: Annotated[int, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _one_limit(self) -> SizeGate:
        if (self.max_ratio is None) == (self.max_bytes is None):
            raise ValueError("a size gate has either max_ratio or max_bytes")
        return self


Gate = Annotated[
    AccuracyGate | AgreementGate | LatencyGate | SizeGate, Field(discriminator="measure")
]
MEASURED_BY = {
    "accuracy": "validate",
    "agreement": "validate",
    "size": "validate",
    "latency": "benchmark",
}


def check_gates(gates: Mapping[int, Gate], drafts: Sequence[Draft]) -> Iterator[Problem]:
    """Every gate that no step measures; silent where a step is too broken to tell."""
    if any(draft.stage is None for draft in drafts):
        return
    for number, gate in gates.items():
        use = MEASURED_BY[gate.measure]
        measuring = [draft for draft in drafts if draft.use == use]
        if not measuring:
            yield Problem(("gate", number), f"no step with use = {use!r} measures {gate.measure}")
        elif all(_readable(draft) for draft in measuring) and not any(
            _measures(draft, gate) for draft in measuring
        ):
            yield from _explain(number, gate, measuring)


def _readable(draft: Draft) -> bool:
    return draft.wires is not None and {"reference", "candidates"} <= draft.wires.keys()


def _measures(draft: Draft, gate: Gate) -> bool:
    return gate.against == _reference(draft) and _bare(gate) in _candidates(draft)


def _reference(draft: Draft) -> str:
    return str((draft.wires or {}).get("reference"))


def _candidates(draft: Draft) -> tuple[str, ...]:
    """What a validate or benchmark step compares with its reference."""
    wire = (draft.wires or {}).get("candidates", ())
    return (wire,) if isinstance(wire, str) else wire


def _bare(gate: Gate) -> str:
    return gate.of.removesuffix(PLAIN) if gate.measure == "latency" else gate.of


def _explain(number: int, gate: Gate, measuring: Sequence[Draft]) -> Iterator[Problem]:
    use = measuring[0].use
    names = [name for draft in measuring for name in _candidates(draft)]
    references = list(dict.fromkeys(map(_reference, measuring)))
    if _bare(gate) not in names:
        text = f"{gate.of!r} is no candidate of a {use} step"
        yield Problem(("gate", number, "of"), text + near(gate.of, names))
    if gate.against not in references:
        text = f"{gate.against!r} is not the reference of a {use} step"
        have = f"; that is {', '.join(references)}"
        yield Problem(("gate", number, "against"), text + (near(gate.against, references) or have))
    if _bare(gate) in names and gate.against in references:
        text = f"no {use} step compares {gate.of!r} with {gate.against!r}"
        yield Problem(("gate", number), text)
