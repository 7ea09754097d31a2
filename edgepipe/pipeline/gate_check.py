"""Gates held against the steps of a pipeline, before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from edgepipe.measure.records import PLAIN
from edgepipe.pipeline.gate import (
    BASELINE,
    AgreementGate,
    BytesGate,
    CalibrationGate,
    DivergenceGate,
    ExplanationGate,
    FlopsGate,
    Gate,
    RateGate,
    SizeGate,
    SlicesGate,
    ThroughputGate,
    ToleranceGate,
)
from edgepipe.pipeline.graph import Draft, Problem, near

_RELATIVE = (SizeGate, BytesGate, FlopsGate)
"""Against any other model of the same step."""
_NO_BASELINE = (DivergenceGate, CalibrationGate, ExplanationGate, ToleranceGate)
"""Need the reference's logits, which no report keeps."""


def check_gates(
    gates: Mapping[int, Gate], drafts: Sequence[Draft], *, baseline: bool
) -> Iterator[Problem]:
    """Every gate that no step measures; silent where a step is too broken to tell.

    ``baseline``: whether the run names one.
    """
    for draft in drafts:
        if draft.name == BASELINE:
            text = f"{BASELINE!r} means an earlier report in a gate; choose another name"
            yield Problem(("step", draft.name), text)
    for number, gate in gates.items():
        yield from _check_baseline(number, gate, named=baseline)
        if not any(draft.stage is None for draft in drafts):
            yield from _check(number, gate, drafts)


def _check_baseline(number: int, gate: Gate, *, named: bool) -> Iterator[Problem]:
    if _against(gate) != BASELINE:
        return
    at = ("gate", number, "against")
    if isinstance(gate, _NO_BASELINE):
        yield Problem(at, f"{gate.measure} is measured against the reference of the step only")
    elif not named:
        text = f'against = "{BASELINE}" needs one: [run] baseline = "../artifacts/baselines"'
        yield Problem(at, text)


def _check(number: int, gate: Gate, drafts: Sequence[Draft]) -> Iterator[Problem]:
    measuring = [draft for draft in drafts if draft.use == gate.step]
    if not measuring:
        text = f"no step with use = {gate.step!r} measures {gate.measure}"
        yield Problem(("gate", number), text)
    elif all(_readable(draft) for draft in measuring):
        fitting = [draft for draft in measuring if _compares(draft, gate)]
        yield from _lacking(number, gate, fitting) if fitting else _explain(number, gate, measuring)


def _readable(draft: Draft) -> bool:
    ports = {"models"} if draft.use == FlopsGate.step else {"reference", "candidates"}
    return draft.wires is not None and ports <= draft.wires.keys()


def _against(gate: Gate) -> str:
    return str(getattr(gate, "against", ""))


def _compares(draft: Draft, gate: Gate) -> bool:
    against = _against(gate)
    return _bare(gate) in _candidates(draft) and (
        against in ("", BASELINE) or against in _rivals(draft, gate)
    )


def _candidates(draft: Draft) -> tuple[str, ...]:
    """What the step compares with its reference, or counts."""
    wires = draft.wires or {}
    wire = wires.get("candidates", wires.get("models", ()))
    return (wire,) if isinstance(wire, str) else wire


def _rivals(draft: Draft, gate: Gate) -> tuple[str, ...]:
    reference = (draft.wires or {}).get("reference")
    found = (reference,) if isinstance(reference, str) else ()
    return (*found, *_candidates(draft)) if isinstance(gate, _RELATIVE) else found


def _bare(gate: Gate) -> str:
    return gate.of.removesuffix(PLAIN) if gate.tier == "clocks" else gate.of


def _explain(number: int, gate: Gate, measuring: Sequence[Draft]) -> Iterator[Problem]:
    use, of, against = gate.step, _bare(gate), _against(gate)
    names = [name for draft in measuring for name in _candidates(draft)]
    rivals = list(dict.fromkeys(r for draft in measuring for r in _rivals(draft, gate)))
    known = against in ("", BASELINE, *rivals)
    if of not in names:
        text = f"{gate.of!r} is no candidate of a {use} step"
        yield Problem(("gate", number, "of"), text + near(gate.of, names))
    if not known:
        role = "among the models" if isinstance(gate, _RELATIVE) else "the reference"
        text = f"{against!r} is not {role} of a {use} step"
        have = f"; {'those are' if len(rivals) > 1 else 'that is'} {', '.join(rivals)}"
        yield Problem(("gate", number, "against"), text + (near(against, rivals) or have))
    if of in names and known:
        text = f"no {use} step compares {gate.of!r} with {against!r}"
        yield Problem(("gate", number), text)


def _lacking(number: int, gate: Gate, fitting: Sequence[Draft]) -> Iterator[Problem]:
    """What none of the steps that compare the two is set to measure."""
    known = [draft for draft in fitting if draft.settings is not None]
    if len(known) == len(fitting) and not any(_measures(draft, gate) for draft in known):
        setting, text = _ADD[type(gate)]
        steps = ", ".join(f"[step.{draft.name}]" for draft in known)
        yield Problem(("gate", number, *setting), f"{steps} {text.format(gate=gate)}")


_ADD: Mapping[type, tuple[tuple[str, ...], str]] = {
    SlicesGate: (("by",), "does not cut by {gate.by!r}; add it to its slices"),
    AgreementGate: (("on",), "has no unlabelled texts; wire a texts step to its port unlabelled"),
    ExplanationGate: ((), "explains no texts; give it explain, how many to explain"),
    ThroughputGate: ((), "measures no throughput; give it a batch, texts in one call"),
    RateGate: ((), "measures no rate; give it a server_bound_ms, the latency to hold"),
}


def _measures(draft: Draft, gate: Gate) -> bool:
    """Whether the step's settings and wires bring the gate's figure; a field unknown here does."""
    settings = draft.settings
    match gate:
        case SlicesGate():
            return gate.by in getattr(settings, "slices", (gate.by,))
        case AgreementGate():
            return gate.on == "labelled" or "unlabelled" in (draft.wires or {})
        case ExplanationGate():
            return bool(getattr(settings, "explain", 1))
        case ThroughputGate():
            return bool(getattr(settings, "batch", 1))
        case RateGate():
            return getattr(settings, "server_bound_ms", 1) is not None
        case _:
            return True
