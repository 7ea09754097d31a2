"""Gates held against the steps of a pipeline, before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from edgepipe.measure.records import PLAIN
from edgepipe.pipeline.gate import Gate
from edgepipe.pipeline.graph import Draft, Problem, near


def check_gates(gates: Mapping[int, Gate], drafts: Sequence[Draft]) -> Iterator[Problem]:
    """Every gate that no step measures; silent where a step is too broken to tell."""
    if any(draft.stage is None for draft in drafts):
        return
    for number, gate in gates.items():
        use = gate.step
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
