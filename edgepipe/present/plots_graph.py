"""The pipeline drawn top down: a row or more for each layer, long wires in lanes beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from edgepipe.present.plots import Canvas, fit, width

_HIGH, _GAP, _LANE, _MARGIN = 44.0, 26.0, 12.0, 8.0
_COLUMNS = 2
_WIDE = (0.0, 214.0, 150.0)
"""Of a node, by the columns there are."""
Wires = Mapping[str, Collection[str]]
"""For each step the steps that it reads."""
Edge = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Node:
    """A step, its size, and a line about it."""

    name: str
    size: str
    about: str
    ran: bool


@dataclass(frozen=True)
class _Box:
    """Where a node is drawn, and in which row."""

    x: float
    y: float
    wide: float
    row: int

    @property
    def middle(self) -> float:
        return self.x + self.wide / 2


def graph(nodes: Sequence[Node], wires: Wires, title: str, description: str) -> Markup:
    """Steps as boxes, dashed where they were reused; ``nodes`` in an order in which they can run.

    Wires from later or unknown steps are left out.
    """
    edges = list(_edges([node.name for node in nodes], wires))
    rows = _rows([node.name for node in nodes], edges)
    boxes = _boxes(rows)
    lanes = _lanes([(a, b) for a, b in edges if boxes[b].row > boxes[a].row + 1], boxes)
    right = max((box.x + box.wide for box in boxes.values()), default=0.0)
    across = right + (max(lanes.values(), default=-1) + 1) * _LANE + 2 * _MARGIN
    down = len(rows) * (_HIGH + _GAP) - _GAP + 2 * _MARGIN
    canvas = Canvas(across, max(down, 2 * _MARGIN), title, description)
    for edge in edges:
        lane = right + _MARGIN + lanes[edge] * _LANE if edge in lanes else None
        canvas.path(_wire(boxes[edge[0]], boxes[edge[1]], lane), "wire")
    for node in nodes:
        _draw(canvas, node, boxes[node.name])
    return canvas.markup()


def _edges(names: Sequence[str], wires: Wires) -> Iterator[Edge]:
    """From earlier to later steps only, so that there is no circle."""
    place = {name: number for number, name in enumerate(names)}
    for name in names:
        for origin in dict.fromkeys(wires.get(name, ())):
            if place.get(origin, len(names)) < place[name]:
                yield origin, name


def _rows(names: Sequence[str], edges: Sequence[Edge]) -> list[list[str]]:
    """Each step below all that it reads; without any wires one below the other."""
    layers = dict.fromkeys(names, 0)
    for origin, name in edges:
        layers[name] = max(layers[name], layers[origin] + 1)
    if not edges:
        return [[name] for name in names]
    found = []
    for layer in sorted(set(layers.values())):
        row = [name for name in names if layers[name] == layer]
        found += [row[n : n + _COLUMNS] for n in range(0, len(row), _COLUMNS)]
    return found


def _boxes(rows: Sequence[Sequence[str]]) -> dict[str, _Box]:
    """Rows are centred."""
    columns = max(map(len, rows), default=1)
    wide = _WIDE[columns]
    boxes = {}
    for row, names in enumerate(rows):
        free = (columns - len(names)) * (wide + _MARGIN) / 2
        for column, name in enumerate(names):
            x = _MARGIN + free + column * (wide + _MARGIN)
            boxes[name] = _Box(x, _MARGIN + row * (_HIGH + _GAP), wide, row)
    return boxes


def _lanes(edges: Sequence[Edge], boxes: Mapping[str, _Box]) -> dict[Edge, int]:
    """The lane of each long wire: wires of one origin, or to one step, share theirs."""
    outs, ins = Counter(a for a, _ in edges), Counter(b for _, b in edges)
    keys = {(a, b): ("from", a) if outs[a] >= ins[b] else ("to", b) for a, b in edges}
    spans: dict[Edge, tuple[int, int]] = {}
    for (a, b), key in keys.items():
        first, last = spans.get(key, (boxes[a].row, boxes[b].row))
        spans[key] = min(first, boxes[a].row), max(last, boxes[b].row)
    slots: dict[Edge, int] = {}
    free: list[int] = []
    for key, (first, last) in sorted(spans.items(), key=lambda item: (item[1], item[0])):
        slot = next((n for n, end in enumerate(free) if end <= first), len(free))
        free[slot : slot + 1] = [last]
        slots[key] = slot
    return {edge: slots[key] for edge, key in keys.items()}


def _wire(origin: _Box, target: _Box, lane: float | None) -> str:
    """From the foot of one box to the head of another, down a lane where rows lie between."""
    start, end = origin.y + _HIGH, target.y
    if lane is None:
        return f"M{origin.middle:g} {start:g}{_bend(origin.middle, start, target.middle, end)}"
    down, up = start + _GAP, end - _GAP
    return (
        f"M{origin.middle:g} {start:g}{_bend(origin.middle, start, lane, down)}"
        f"L{lane:g} {up:g}{_bend(lane, up, target.middle, end)}"
    )


def _bend(x: float, y: float, to_x: float, to_y: float) -> str:
    """A curve that leaves and arrives downwards."""
    half = (y + to_y) / 2
    return f"C{x:g} {half:g} {to_x:g} {half:g} {to_x:g} {to_y:g}"


def _draw(canvas: Canvas, node: Node, box: _Box) -> None:
    canvas.rect((box.x, box.y), (box.wide, _HIGH), "node" if node.ran else "node reused", 6)
    room = box.wide - 26 - width(node.size, 10)
    canvas.text((box.x + 10, box.y + 18), fit(node.name, room, 13), "strong")
    canvas.text((box.x + box.wide - 10, box.y + 18), node.size, "tick", "end")
    canvas.text((box.x + 10, box.y + 34), fit(node.about, box.wide - 20, 10), "tick")
