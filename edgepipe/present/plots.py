"""Plots as SVG, drawn here: the canvas, scales and ticks that all of them share.

Not by matplotlib: it is not in the extra ``cli``, takes long to import, and its colours cannot
follow the reader's light or dark. These know no colour at all, only classes of ``page.css``, and
carry their figures in words for those who cannot see them. Widths are those of a phone.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from markupsafe import Markup

from edgepipe.present.legible import legible

WIDTH = 360.0
"""Of a plot that fills a phone."""
_MARGIN = 4.0
_WIDE = 1.0
_NARROW = 0.58
"""Of a character, in units of its font's size: an estimate to keep texts apart."""
_STEPS = (1.0, 2.0, 5.0, 10.0)
_TINY = 1e-300


class Canvas:
    """An SVG image that is built up; every text in it is escaped and legible."""

    def __init__(self, width: float, height: float, title: str, description: str) -> None:
        self.width, self.height = width, height
        box = f"0 0 {_number(width)} {_number(height)}"
        sizes = {"width": _number(width), "height": _number(height)}
        self.root = ET.Element("svg", {"viewBox": box, **sizes, "role": "img"})
        ET.SubElement(self.root, "title").text = legible(title)
        ET.SubElement(self.root, "desc").text = legible(description)

    def line(self, start: tuple[float, float], end: tuple[float, float], name: str) -> None:
        """A straight line of class ``name``."""
        ends = dict(zip(("x1", "y1", "x2", "y2"), (*start, *end), strict=True))
        self._add("line", name, ends)

    def rect(
        self, corner: tuple[float, float], size: tuple[float, float], name: str, radius: float = 0
    ) -> ET.Element:
        """A rectangle of class ``name`` from its upper left corner."""
        sides = dict(zip(("x", "y", "width", "height"), (*corner, *size), strict=True))
        return self._add("rect", name, sides | ({"rx": radius} if radius else {}))

    def circle(self, center: tuple[float, float], radius: float, name: str) -> None:
        """A circle of class ``name``."""
        self._add("circle", name, {"cx": center[0], "cy": center[1], "r": radius})

    def path(self, steps: str, name: str) -> None:
        """A path of class ``name``; ``steps`` as in SVG, made with ``points`` or by hand."""
        self._add("path", name, {}).set("d", steps)

    def text(
        self, at: tuple[float, float], text: str, name: str = "", anchor: str = "start"
    ) -> None:
        """``text`` with its baseline at ``at``; ``anchor`` is start, middle or end."""
        element = self._add("text", name, {"x": at[0], "y": at[1]})
        if anchor != "start":
            element.set("text-anchor", anchor)
        element.text = legible(text)

    def markup(self) -> Markup:
        """The image, to be put into HTML as it is."""
        return Markup(ET.tostring(self.root, encoding="unicode"))  # noqa: S704 - escaped by ET

    def _add(self, tag: str, name: str, numbers: dict[str, float]) -> ET.Element:
        attributes = {key: _number(value) for key, value in numbers.items()}
        return ET.SubElement(self.root, tag, ({"class": name} if name else {}) | attributes)


@dataclass(frozen=True)
class Scale:
    """From figures to pixels; what lies outside is drawn at the end."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Where ``value`` is drawn."""
        low, high = self._place(self.low), self._place(self.high)
        span = high - low
        share = (self._place(value) - low) / span if math.isfinite(span) and span > 0 else 0.5
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)

    def _place(self, value: float) -> float:
        return math.log10(max(value, _TINY)) if self.log else value

    def ticks(self, most: int = 6) -> list[float]:
        """Round figures within the scale, at most about ``most`` of them, in rising order."""
        return _log_ticks(self, most) if self.log else _linear_ticks(self.low, self.high, most)


def scale(
    values: Iterable[float], start: float, end: float, *, log: bool = False, pad: float = 0.06
) -> Scale:
    """A scale that holds all ``values``, with ``pad`` of its length free on either side.

    On a log scale figures that are not positive are drawn at its lower end.
    """
    found = [value for value in values if math.isfinite(value) and (value > 0 or not log)]
    low, high = (min(found), max(found)) if found else (1.0, 2.0)
    if log:
        room = max(math.log10(high) - math.log10(low), 0.1) * pad
        return Scale(low / 10**room, high * 10**room, start, end, log=True)
    room = (high - low) * pad or abs(high) * pad or pad
    return Scale(low - room, high + room, start, end)


def _linear_ticks(low: float, high: float, most: int) -> list[float]:
    span = high - low
    if not (math.isfinite(span) and span > 0):
        return []
    rough = span / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((power * s for s in _STEPS if power * s >= rough), power * 10)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    if last - first > 2 * most:
        return []  # a span too narrow beside its figures
    ticks = [float(f"{n * step:.12g}") for n in range(first, last + 1)]
    return [tick for tick in dict.fromkeys(ticks) if low <= tick <= high]


def _log_ticks(over: Scale, most: int) -> list[float]:
    low, high = max(over.low, _TINY), max(over.high, _TINY)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        found = [float(f"{d}e{n}") for n in decades for d in digits]
        found = [tick for tick in found if low <= tick <= high]
        if len(found) <= most:
            break
    few = 3
    if len(found) < few and high / low < 10:  # noqa: PLR2004 - a decade
        return _linear_ticks(low, high, most)
    return found[:: math.ceil(len(found) / most) or 1]


def axis(
    canvas: Canvas, over: Scale, y: float, show: Callable[[float], str], *, most: int = 6
) -> None:
    """Ticks along the horizontal ``y`` with their figures below, none over another."""
    canvas.line((over.start, y), (over.end, y), "axis")
    free = -math.inf
    for tick in over.ticks(most):
        label, x = show(tick), over(tick)
        half = width(label, 10) / 2
        canvas.line((x, y), (x, y + 3), "axis")
        center = min(max(x, half), canvas.width - half)
        if center - half >= free:
            canvas.text((center, y + 13), label, "tick", "middle")
            free = center + half + _MARGIN


def points(places: Sequence[tuple[float, float]]) -> str:
    """The steps of a path from place to place."""
    return "M" + "L".join(f"{_number(x)} {_number(y)}" for x, y in places)


def width(text: str, size: float) -> float:
    """About how wide ``text`` is in a font of ``size`` pixels."""
    return size * sum(_WIDE if unicodedata.east_asian_width(c) in "WF" else _NARROW for c in text)


def fit(text: str, room: float, size: float) -> str:
    """``text``, shortened in its middle until it takes about ``room`` pixels at most."""
    text = legible(" ".join(text[:1000].split()))
    if width(text, size) <= room:
        return text
    kept = max(int(room / size / _NARROW) - 1, 2)
    while kept > 2 and width(text[: kept - kept // 2] + text[-(kept // 2) :], size) > room - size:  # noqa: PLR2004
        kept -= 1
    return f"{text[: kept - kept // 2]}…{text[len(text) - kept // 2 :]}"


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if value else "0"
