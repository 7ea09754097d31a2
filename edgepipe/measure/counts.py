"""What a graph is and does for one text, counted: no clock, and the same figures every time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from edgepipe.measure import activations, weights
from edgepipe.measure.executed import executed
from edgepipe.measure.memory import peak_memory_bytes
from edgepipe.measure.models import Device
from edgepipe.measure.operations import STANDARD, Operations, call_of, is_int8, operations
from edgepipe.measure.records import ArmCounts
from edgepipe.measure.subject import Subject
from edgepipe.measure.trace import Event, Traced, nodes_under, read_graph, trace

_FEW = 4
"""Different lengths that are counted one by one."""


@dataclass(frozen=True, kw_only=True)
class GraphCounts:
    """One graph, for one text of a given number of tokens."""

    operators: dict[str, int]
    fp32_flops: int
    int8_ops: int
    uncounted: tuple[str, ...]
    weight_bytes: int
    activation_bytes: int
    peak_activation_bytes: int


class PerText(NamedTuple):
    """Means over texts."""

    fp32_flops: float
    int8_ops: float
    weight_bytes: int
    """That a text makes the model read: of tables its own rows."""


def arm_counts(  # noqa: PLR0913 - whose counts they are, and what a graph does not know
    subject: Subject,
    tokens: int,
    *,
    name: str,
    digest: str,
    precision: str,
    device: Device,
    files: Mapping[str, int],
) -> ArmCounts:
    """All that is counted of a model that ships ``files``, for one text of ``tokens`` tokens.

    Raises as ``count``, ``executed`` and ``peak_memory_bytes`` do.
    """
    found = count(subject, tokens)
    return ArmCounts(
        name=name,
        digest=digest,
        precision=precision,
        device=device,
        operators=found.operators,
        executed=executed(subject, tokens, device=device),
        executed_plain=executed(subject, tokens, device=device, plain=True),
        fp32_flops=found.fp32_flops,
        int8_ops=found.int8_ops,
        uncounted=found.uncounted,
        weight_bytes=found.weight_bytes,
        activation_bytes=found.activation_bytes,
        peak_activation_bytes=found.peak_activation_bytes,
        files=dict(files),
        bytes=sum(files.values()),
        peak_memory_bytes=peak_memory_bytes(subject, tokens, device=device),
    )


def count(subject: Subject, tokens: int) -> GraphCounts:
    """All counts of the graph for one text of ``tokens`` tokens.

    Raises StageError when the file is damaged or does not run, UsageError for too many tokens.
    """
    traced = trace(subject.file, [subject.feed(tokens)])
    events = traced.runs[0]
    done, uncounted = multiplied(traced, events)
    graph = traced.model.graph
    found = activations.sizes(traced, events)
    return GraphCounts(
        operators=histogram(subject.file),
        fp32_flops=done.fp32,
        int8_ops=done.int8,
        uncounted=uncounted,
        weight_bytes=weights.weight_bytes(traced.model),
        activation_bytes=activations.total_bytes(graph, found),
        peak_activation_bytes=activations.peak_bytes(graph, found),
    )


def histogram(file: Path) -> dict[str, int]:
    """Nodes of the file by operator, those of subgraphs and model-local functions included."""
    model = read_graph(file)
    holders = (model.graph, *model.functions)
    found = Counter(qualified(n.domain, n.op_type) for h in holders for n in nodes_under(h))
    return dict(sorted(found.items()))


def qualified(domain: str, operator: str) -> str:
    """``MatMul``, and ``com.microsoft::Gelu`` for operators that are not ONNX's own."""
    return operator if domain in STANDARD else f"{domain}::{operator}"


def multiplied(traced: Traced, events: Sequence[Event]) -> tuple[Operations, tuple[str, ...]]:
    """Operations of a run, and the operators in it that may have done others unseen."""
    int8_sources = _dequantized(traced, events)
    fp32 = int8 = 0
    unknown: set[str] = set()
    for event in events:
        node = None if event.node is None else traced.nodes[event.node]
        domain = node.domain if node else ""
        first = list(node.input[:2]) if node else []
        folded = len(first) > 1 and int8_sources.issuperset(first)
        done = operations(call_of(event, node), domain, event.operator, folded=folded)
        if done is None:
            unknown.add(qualified(domain, event.operator))
        else:
            fp32, int8 = fp32 + done.fp32, int8 + done.int8
    return Operations(fp32=fp32, int8=int8), tuple(sorted(unknown))


def per_text(subject: Subject, lengths: Sequence[int]) -> PerText:
    """Means over texts of these lengths, in tokens.

    Attention makes operations a quadratic in the length and nothing makes them more, so three
    lengths are counted and the rest follows exactly; where a fourth one does not, every length is.
    Raises as ``count`` does.
    """
    different = sorted(set(lengths))
    ends = [different[0], different[len(different) // 2], different[-1]]
    known = _counted(subject, different if len(different) <= _FEW else ends)
    if len(different) > _FEW:
        check = different[len(different) // 4]
        fitted = {length: _fitted(known, length) for length in different}
        exact = _counted(subject, [check])[check] == fitted[check]
        known = fitted if exact else _counted(subject, different)
    sums = [sum(known[length][place] for length in lengths) for place in range(3)]
    fp32, int8, read = (total / len(lengths) for total in sums)
    return PerText(float(fp32), float(int8), round(read))


_Figures = tuple[Fraction, ...]


def _counted(subject: Subject, lengths: Sequence[int]) -> dict[int, _Figures]:
    """Float operations, integer operations and bytes read, by length."""
    traced = trace(subject.file, [subject.feed(length) for length in lengths])
    found: dict[int, _Figures] = {}
    for length, events in zip(lengths, traced.runs, strict=True):
        done, _ = multiplied(traced, events)
        read = weights.read_bytes(traced, events)
        found[length] = (Fraction(done.fp32), Fraction(done.int8), Fraction(read))
    return found


def _fitted(known: dict[int, _Figures], length: int) -> _Figures:
    """The quadratics through three points at ``length`` (Lagrange)."""
    shares = {}
    for here in known:
        shares[here] = Fraction(1)
        for other in known.keys() - {here}:
            shares[here] *= Fraction(length - other, here - other)
    return tuple(
        sum((shares[here] * figures[place] for here, figures in known.items()), Fraction(0))
        for place in range(3)
    )


def _dequantized(traced: Traced, events: Sequence[Event]) -> frozenset[str]:
    """Names of floats that are 8-bit integers in disguise: what DequantizeLinear made of them."""
    return frozenset(
        name
        for event in events
        if event.operator == "DequantizeLinear" and event.node is not None and _of_int8(event)
        for name in traced.nodes[event.node].output
    )


def _of_int8(event: Event) -> bool:
    return is_int8(next(iter(event.inputs), None))
