"""Plots a row for each model or part: bounds against a limit, intervals, bars, distributions."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from markupsafe import Markup

from edgepipe.present.plots import WIDTH, Canvas, Scale, axis, fit, points, scale, width

_EDGE = 6.0
_LABEL = 12.0
"""Size of a row's texts."""
_BINS = 90
Show = Callable[[float], str]


@dataclass(frozen=True, kw_only=True)
class Bounded:
    """A figure with bounds, None where it has none on that side, and its limit."""

    value: float
    low: float | None
    high: float | None
    limit: float
    limit_is: Literal["at most", "at least"]
    exact: bool
    outcome: str


@dataclass(frozen=True, kw_only=True)
class Row:
    """A figure with an interval, and how it is written."""

    label: str
    value: float
    low: float
    high: float
    text: str
    kind: str = "mark"
    """Its class: mark, or base for a reference or a control."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Times at evenly spaced percentiles, from 0 to 100, in milliseconds."""

    label: str
    quantiles: tuple[float, ...]
    text: str
    kind: str = "mark"


def bounds(figure: Bounded, title: str, description: str, show: Show, limit: str) -> Markup:
    """A figure and its bounds over the range that its limit allows, which is tinted."""
    canvas = Canvas(WIDTH, 54, title, description)
    known = (figure.low, figure.value, figure.high, figure.limit)
    values = [value for value in known if value is not None]
    over = scale(values, _EDGE, WIDTH - _EDGE, pad=0.1)
    if figure.exact:
        over = Scale(min(0.0, *values), 1.1 * max(0.0, *values) or 1.0, _EDGE, WIDTH - _EDGE)
    at = over(figure.limit)
    begin, end = (over.start, at) if figure.limit_is == "at most" else (at, over.end)
    canvas.rect((begin, 16), (end - begin, 18), "allowed")
    canvas.line((at, 13), (at, 37), "limit")
    _captioned(canvas, at, limit)
    if figure.exact:
        _bar(canvas, over, figure.value, 25, f"bar {figure.outcome}")
    else:
        _whiskers(canvas, over, figure, 25)
        canvas.circle((over(figure.value), 25), 4.5, f"dot {figure.outcome}")
    axis(canvas, over, 37, show, most=5)
    return canvas.markup()


def _captioned(canvas: Canvas, at: float, text: str) -> None:
    half = width(text, 10.5) / 2
    center = min(max(at, half), canvas.width - half)
    canvas.text((center, 9), text, "caption", "middle")


def _whiskers(canvas: Canvas, over: Scale, figure: Bounded, y: float) -> None:
    """An interval with caps; open where it has no bound."""
    low = over.start if figure.low is None else over(figure.low)
    high = over.end if figure.high is None else over(figure.high)
    name = f"span {figure.outcome}"
    canvas.line((low, y), (high, y), name)
    for x, bound in ((low, figure.low), (high, figure.high)):
        if bound is not None:
            canvas.line((x, y - 5), (x, y + 5), name)


def _bar(canvas: Canvas, over: Scale, value: float, y: float, name: str) -> None:
    ends = sorted((over(0.0), over(value)))
    canvas.rect((ends[0], y - 4), (ends[1] - ends[0], 8), name, 2)


def intervals(  # noqa: PLR0913 - what is drawn, and how the axis is made, by name
    rows: Sequence[Row], title: str, description: str, show: Show, *, at: float, log: bool = False
) -> Markup:
    """A dot with its interval for each row, and a line through all of them ``at`` no change."""
    step = 34.0
    canvas = Canvas(WIDTH, step * len(rows) + 24, title, description)
    values = [figure for row in rows for figure in (row.low, row.value, row.high)]
    over = scale((*values, at), _EDGE, WIDTH - _EDGE, log=log)
    bottom = step * len(rows) + 4
    for number, row in enumerate(rows):
        y = step * number + 26
        _head(canvas, y - 12, row.label, row.text)
        canvas.line((over.start, y), (over.end, y), "track")
        canvas.line((over(at), y - 7), (over(at), y + 7), "null")
        canvas.line((over(row.low), y), (over(row.high), y), f"span {row.kind}")
        canvas.circle((over(row.value), y), 4, f"dot {row.kind}")
    axis(canvas, over, bottom, show)
    return canvas.markup()


def bars(rows: Sequence[Row], title: str, description: str, show: Show) -> Markup:
    """A bar from 0 for each row; their intervals are not drawn."""
    step = 34.0
    canvas = Canvas(WIDTH, step * len(rows) + 24, title, description)
    top = max((row.value for row in rows), default=1.0)
    over = Scale(0.0, top * 1.05 or 1.0, _EDGE, WIDTH - _EDGE)
    for number, row in enumerate(rows):
        y = step * number + 24
        _head(canvas, y - 10, row.label, row.text)
        canvas.line((over.start, y), (over.end, y), "track")
        _bar(canvas, over, row.value, y, f"bar {row.kind}")
    axis(canvas, over, step * len(rows) + 4, show)
    return canvas.markup()


def distributions(rows: Sequence[Spread], title: str, description: str, show: Show) -> Markup:
    """How often each time occurs, on one log axis; each outline is as high as its own row.

    The line in it is the median. Outlines are shares of calls in equally wide bins of the axis,
    read from the percentiles by interpolation.
    """
    step, high = 46.0, 24.0
    canvas = Canvas(WIDTH, step * len(rows) + 24, title, description)
    times = [time for row in rows for time in row.quantiles]
    over = scale(times, _EDGE, WIDTH - _EDGE, log=True, pad=0.03)
    for number, row in enumerate(rows):
        y = step * number + 42
        _head(canvas, y - 30, row.label, row.text)
        outline = [(x, y - high * share) for x, share in _outline(row.quantiles, over)]
        ends = (outline[0][0], y), (outline[-1][0], y)
        canvas.line((over.start, y), (over.end, y), "track")
        canvas.path(points([ends[0], *outline, ends[1]]) + "Z", f"area {row.kind}")
        middle = over(row.quantiles[len(row.quantiles) // 2])
        canvas.line((middle, y - high), (middle, y + 3), f"median {row.kind}")
    axis(canvas, over, step * len(rows) + 4, show)
    return canvas.markup()


def _outline(quantiles: Sequence[float], over: Scale) -> list[tuple[float, float]]:
    """Corners of a histogram, from its first bin to its last: pixels, shares of the highest bin."""
    edges = np.geomspace(over.low, over.high, _BINS + 1)
    below = np.interp(edges, quantiles, np.linspace(0, 1, len(quantiles)), left=0, right=1)
    shares = np.diff(below)
    used = slice(int(shares.argmax()), int(shares.argmax()) + 1)
    if shares.any():
        used = slice(int(shares.nonzero()[0][0]), int(shares.nonzero()[0][-1]) + 1)
    places = list(itertools.pairwise(over(edge) for edge in edges.tolist()))[used]
    heights = (shares[used] / (shares.max() or 1)).tolist()
    return [(x, height) for ends, height in zip(places, heights, strict=True) for x in ends]


def _head(canvas: Canvas, y: float, label: str, text: str) -> None:
    """A row's label to the left and its figures to the right, on one line."""
    text = fit(text, WIDTH * 0.62, _LABEL)
    room = WIDTH - width(text, _LABEL) - 2 * _EDGE
    canvas.text((2, y), fit(label, room, _LABEL), "label")
    canvas.text((WIDTH - 2, y), text, "figures", "end")
