"""Gates held against the steps of a pipeline, before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from edgepipe.artifacts import OnnxModel
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
        yield from _explain(number, gate, measuring) if not fitting else ()
        yield from _plain(number, gate, fitting, drafts)
        yield from _lacking(number, gate, fitting) if fitting else ()
        yield from _twice(number, gate, fitting)


def _plain(
    number: int, gate: Gate, fitting: Sequence[Draft], drafts: Sequence[Draft]
) -> Iterator[Problem]:
    """A gate of a plain session that no step times."""
    if not fitting or _bare(gate) == gate.of:
        return
    at = ("gate", number, "of")
    steps = ", ".join(f"[step.{draft.name}]" for draft in fitting)
    if not any(getattr(draft.settings, "plain", True) for draft in fitting):
        yield Problem(at, f"{steps} times no plain session; give it plain = true")
    made = {draft.name: draft.stage.makes for draft in drafts if draft.stage is not None}
    if not issubclass(made.get(_bare(gate), OnnxModel), OnnxModel):
        text = f"{_bare(gate)!r} is no ONNX model, and only those have plain sessions"
        yield Problem(at, text)


def _twice(number: int, gate: Gate, fitting: Sequence[Draft]) -> Iterator[Problem]:
    """Several steps that measure the gate's figure, each in its own way."""
    plain = _bare(gate) != gate.of
    able = [
        draft
        for draft in fitting
        if _measures(draft, gate) and (not plain or getattr(draft.settings, "plain", True))
    ]
    unlike = gate.tier == "clocks" or gate.measure == "memory"
    if len(able) > 1 and (unlike or any(_way(d, gate) != _way(able[0], gate) for d in able)):
        steps = ", ".join(f"[step.{draft.name}]" for draft in able)
        text = f"{steps} each measure it in their own way; leave {gate.of!r} to one of them"
        yield Problem(("gate", number), text)


def _way(draft: Draft, gate: Gate) -> object:
    """What the figure hangs on besides the models: steps alike in this find the same."""
    if gate.measure in ("size", "weights") or draft.settings is None:
        return ()
    settings = draft.settings.model_dump()
    settings.pop("slices", None)  # the parts asked for are the same in each that has them
    if not isinstance(gate, ExplanationGate):
        settings.pop("explain", None)
    wires = draft.wires or {}
    more = wires.get("unlabelled") if getattr(gate, "on", "") == "unlabelled" else None
    return settings, wires.get("data"), more


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
