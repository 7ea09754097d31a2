"""Models by accuracy and cost: a scatter of which the best that money buys are marked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from edgepipe.present.plots import WIDTH, Canvas, Scale, axis, fit, points, scale, width

_HEIGHT = 270.0
_LEFT, _TOP, _BOTTOM = 40.0, 12.0, 236.0
_SIZE = 11.0
"""Of the labels."""
_DOT = 5.0
Box = tuple[float, float, float, float]
Show = Callable[[float], str]


@dataclass(frozen=True, kw_only=True)
class Point:
    """A model: less ``cost`` and more ``gain`` are better."""

    label: str
    cost: float
    gain: float
    low: float
    high: float
    """The interval of ``gain``."""
    kind: str = "mark"


def optimal(found: Sequence[Point]) -> list[Point]:
    """Those to which no other is better in one way and at least as good in the other, by cost."""
    kept = [p for p in found if not any(_beats(other, p) for other in found)]
    return sorted(kept, key=lambda p: (p.cost, p.gain))


def _beats(other: Point, point: Point) -> bool:
    as_good = other.cost <= point.cost and other.gain >= point.gain
    return as_good and (other.cost < point.cost or other.gain > point.gain)


def scatter(found: Sequence[Point], title: str, description: str, cost: Show, gain: Show) -> Markup:
    """Cost on a log axis, gain above it; the optimal ones are filled and joined by a line."""
    canvas = Canvas(WIDTH, _HEIGHT, title, description)
    x = scale((p.cost for p in found), _LEFT + 8, WIDTH - 8, log=True, pad=0.08)
    heights = [height for p in found for height in (p.low, p.gain, p.high)]
    y = scale(heights, _BOTTOM - 4, _TOP)
    for tick in y.ticks(5):
        canvas.line((_LEFT, y(tick)), (WIDTH, y(tick)), "grid")
        canvas.text((_LEFT - 5, y(tick) + 3.5), gain(tick), "tick", "end")
    best = optimal(found)
    canvas.path(points(_stairs(best, x, y)), "frontier")
    for p in found:
        canvas.line((x(p.cost), y(p.low)), (x(p.cost), y(p.high)), f"span {p.kind} thin")
    for p in found:
        name = f"dot {p.kind}" if p in best else f"dot {p.kind} hollow"
        canvas.circle((x(p.cost), y(p.gain)), _DOT, name)
    _label(canvas, [*best, *(p for p in found if p not in best)], x, y)
    axis(canvas, x, _BOTTOM + 6, cost)
    return canvas.markup()


def _stairs(best: Sequence[Point], x: Scale, y: Scale) -> list[tuple[float, float]]:
    """What is reached at each cost: along, then up."""
    places = [(x(best[0].cost), y(best[0].gain))]
    for p in best[1:]:
        places += [(x(p.cost), places[-1][1]), (x(p.cost), y(p.gain))]
    return [*places, (WIDTH - 2, places[-1][1])]


def _label(canvas: Canvas, found: Sequence[Point], x: Scale, y: Scale) -> None:
    """Names beside the points, each where it hides neither a point nor another name.

    Where there is no such place there is no name: the table has them all.
    """
    taken = [_around(x(p.cost), y(p.gain)) for p in found]
    for p in found:
        text = fit(p.label, 130, _SIZE)
        for box in _places(x(p.cost), y(p.gain), width(text, _SIZE)):
            if not any(_overlap(box, other) for other in taken):
                taken.append(box)
                canvas.text((box[0], box[3] - 3), text, "name")
                break


def _around(x: float, y: float) -> Box:
    return (x - _DOT, y - _DOT, x + _DOT, y + _DOT)


def _places(x: float, y: float, wide: float) -> list[Box]:
    """Boxes for a name near a point, the best first, all within the plot."""
    lefts = (x + 7, x - 7 - wide, x - wide / 2)
    corners = [(left, y + shift) for shift in (-16, 2, -7, -30, 16) for left in lefts]
    boxes = [(left, top, left + wide, top + 14) for left, top in corners]
    return [
        box for box in boxes
        if box[0] >= _LEFT and box[2] <= WIDTH and box[1] >= 0 and box[3] <= _BOTTOM + 4
    ]  # fmt: skip


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
