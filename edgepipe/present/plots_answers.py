"""Plots of answers: how labels are confused, and what probabilities are worth."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from edgepipe.measure.records import Bin
from edgepipe.present.plots import Canvas, Scale, fit

_SIDE = 176.0
"""Of a square of figures."""
_LEFT = 74.0
_TOP = 22.0
_FEW = 4
"""Labels whose names fit over their columns."""
_READABLE = 8
"""Labels up to which counts fit into their cells."""
_TINT = 0.5
"""Of a cell that holds its whole row; figures stay readable on it."""


def matrix(
    labels: Sequence[str], counts: Sequence[Sequence[int]], title: str, description: str
) -> Markup:
    """Labels down, answers across; a cell is tinted by its share of its label's texts."""
    canvas = Canvas(_LEFT + _SIDE + 6, _TOP + _SIDE + 6, title, description)
    cell = _SIDE / max(len(labels), 1)
    for row, (label, texts) in enumerate(zip(labels, counts, strict=False)):
        total = sum(texts) or 1
        y = _TOP + row * cell
        number = "" if len(labels) <= _FEW else f"{row + 1} "
        name = fit(label, _LEFT - 10 - 7 * len(number), 11)
        canvas.text((_LEFT - 6, y + cell / 2 + 4), number + name, "label small", "end")
        head = fit(label, cell - 4, 11) if len(labels) <= _FEW else str(row + 1)
        canvas.text((_LEFT + (row + 0.5) * cell, _TOP - 6), head, "label small", "middle")
        for column, count in enumerate(texts):
            x = _LEFT + column * cell
            drawn = canvas.rect(
                (x + 1, y + 1), (cell - 2, cell - 2), "right" if row == column else "wrong", 2
            )
            drawn.set("fill-opacity", f"{_TINT * count / total:.3f}")
            if count and len(labels) <= _READABLE:
                canvas.text((x + cell / 2, y + cell / 2 + 4), f"{count:,}", "count", "middle")
    return canvas.markup()


def reliability(bins: Sequence[Bin], title: str, description: str) -> Markup:
    """Accuracy over confidence: a dot a bin, larger for more texts, and its gap to the diagonal.

    Below, the share of texts in each bin.
    """
    bottom, foot, left = _TOP + _SIDE - 34, 26.0, 34.0
    canvas = Canvas(left + _SIDE + 6, bottom + foot + 28, title, description)
    x, y = Scale(0, 1, left, left + _SIDE), Scale(0, 1, bottom, 8.0)
    for tick in (0.0, 0.5, 1.0):
        canvas.line((left, y(tick)), (x(1), y(tick)), "grid")
        canvas.text((left - 5, y(tick) + 3.5), f"{tick:.0%}", "tick", "end")
        anchor = "middle" if tick < 1 else "end"
        canvas.text((x(tick), bottom + foot + 20), f"{tick:.0%}", "tick", anchor)
    canvas.line((x(0), y(0)), (x(1), y(1)), "null")
    most = max((found.count for found in bins), default=0) or 1
    for number, found in enumerate(bins):
        if not found.count:
            continue
        share = found.count / most
        place = (x(found.confidence), y(found.accuracy))
        canvas.line((place[0], y(found.confidence)), place, "gap")
        canvas.circle(place, 2 + 3 * share**0.5, "dot mark")
        wide = _SIDE / len(bins)
        corner = (x(0) + number * wide + 0.5, bottom + 6 + foot * (1 - share))
        canvas.rect(corner, (wide - 1, foot * share), "bar base")
    canvas.line((x(0), bottom + foot + 6), (x(1), bottom + foot + 6), "axis")
    return canvas.markup()
