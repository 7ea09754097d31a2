"""Gates on every part of the texts at once."""

from __future__ import annotations

from typing import NamedTuple

from edgepipe.errors import UsageError
from edgepipe.measure.paired import slice_figures
from edgepipe.measure.records import SliceFigures
from edgepipe.measure.statistics import drop_bounds
from edgepipe.pipeline.gate import SlicesGate
from edgepipe.pipeline.judge.finding import Finding
from edgepipe.pipeline.judge.pair import NO_TEXTS, Pair
from edgepipe.pipeline.judge.scene import title


def find(gate: SlicesGate, pair: Pair) -> Finding:
    """The worst part: it passes with all of them, and fails with one, at a shared confidence."""
    cuts = [cut for cut in pair.report.slices if cut.by == gate.by]
    if not cuts:
        raise UsageError(
            f"{title(gate)}: the report is not cut by {gate.by!r}; add it to `slices` of the "
            "validate step"
        )
    parts = slice_figures(cuts[0], pair.truth, pair.old, pair.new)
    adjusted = 1 - (1 - gate.confidence) / len(parts)
    judged = [_Part.of(part, gate, adjusted) for part in parts]
    open_ = ", ".join(repr(part.name) for part in judged if part.word == "undecided")
    lost = ", ".join(repr(part.name) for part in judged if part.word == "lost")
    return Finding(
        value=max(part.drop for part in parts),
        low=max(part.low for part in judged),
        high=max(part.high for part in judged),
        doubt="" if pair.report.examples else NO_TEXTS,
        mend=f"too few texts in {open_}",
        fault=f"too much is lost in {lost}",
        note=f"{len(parts)} parts; the drop and the bounds are the worst of all",
        details=tuple(part.line for part in judged),
    )


class _Part(NamedTuple):
    name: str
    low: float
    """At the confidence divided among the parts, corrected for how few texts decide there."""
    high: float
    """At the gate's own: all of them have to be within the margin."""
    word: str
    line: str

    @classmethod
    def of(cls, part: SliceFigures, gate: SlicesGate, adjusted: float) -> _Part:
        b, c, n = part.reference_only, part.candidate_only, part.examples
        high = drop_bounds(b, c, n, confidence=gate.confidence).high
        low = drop_bounds(b, c, n, confidence=adjusted, continuity=True).low
        word = "kept" if high <= gate.max_drop else "lost" if low > gate.max_drop else "undecided"
        span = f"{100 * low:.2f} to {100 * high:.2f}"
        line = f"{part.name}: {100 * part.drop:+.2f} points lost ({span}), {n} texts: {word}"
        return cls(part.name, low, high, word, line)
