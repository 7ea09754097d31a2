"""Geometry by hand: a figure that is known lands on a place that is known."""

from __future__ import annotations

import itertools
import re
from xml.etree import ElementTree as ET

import pytest
from markupsafe import Markup

from edgepipe.measure.records import Bin
from edgepipe.present.plots import Canvas, Scale, axis, fit, scale, width
from edgepipe.present.plots_answers import matrix, reliability
from edgepipe.present.plots_graph import Node, graph
from edgepipe.present.plots_rows import (
    Bounded,
    Row,
    Spread,
    bars,
    bounds,
    distributions,
    intervals,
)
from edgepipe.present.plots_scatter import Point, optimal, scatter


def drawn(markup: Markup) -> ET.Element:
    return ET.fromstring(str(markup))  # noqa: S314 - our own


def of(root: ET.Element, tag: str, name: str) -> list[dict[str, float]]:
    """The numbers of every element of that tag with that class."""
    found = [e for e in root.iter(tag) if name in (e.get("class") or "").split()]
    return [
        {k: float(v) for k, v in e.attrib.items() if re.fullmatch(r"-?[\d.]+", v)} for e in found
    ]


def texts(root: ET.Element) -> list[str]:
    return [e.text or "" for e in root.iter("text")]


@pytest.mark.parametrize(
    ("value", "place"), [(0, 100), (10, 200), (5, 150), (2.5, 125), (-3, 100), (99, 200)]
)
def test_a_linear_scale_divides_evenly_and_ends_at_its_ends(value: float, place: float) -> None:
    assert Scale(0, 10, 100, 200)(value) == pytest.approx(place)


@pytest.mark.parametrize(("value", "place"), [(1, 0), (10, 50), (100, 100), (0, 0), (-1, 0)])
def test_a_log_scale_gives_each_decade_the_same(value: float, place: float) -> None:
    assert Scale(1, 100, 0, 100, log=True)(value) == pytest.approx(place)


def test_a_scale_without_length_draws_in_the_middle() -> None:
    assert Scale(3, 3, 0, 100)(3) == 50
    assert Scale(-1e308, 1e308, 0, 100)(0) == 50


def test_a_scale_holds_its_figures_with_room_beside() -> None:
    assert scale([2, 12], 0, 100, pad=0.1) == Scale(1, 13, 0, 100)
    found = scale([1, 0, -5, 100], 0, 100, log=True, pad=0.5)
    assert (found.low, found.high) == pytest.approx((0.1, 1000))
    assert scale([], 0, 1).low < scale([], 0, 1).high
    assert scale([0, 0], 0, 1).low < 0 < scale([0, 0], 0, 1).high


@pytest.mark.parametrize(
    ("low", "high", "most", "ticks"),
    [
        (0, 10, 5, [0, 2, 4, 6, 8, 10]),
        (-0.004, 0.011, 4, [0, 0.005, 0.01]),
        (0.1, 0.35, 6, [0.1, 0.15, 0.2, 0.25, 0.3, 0.35]),
        (93.4, 95.6, 5, [93.5, 94, 94.5, 95, 95.5]),
        (0, 0, 5, []),
        (1e16, 1e16 + 2, 5, [1e16]),
    ],
    ids=["ten", "shares", "twentieths", "halves", "nothing", "huge"],
)
def test_linear_ticks_are_round(low: float, high: float, most: int, ticks: list[float]) -> None:
    assert Scale(low, high, 0, 1).ticks(most) == pytest.approx(ticks)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (1, 10, [1, 2, 3, 5, 7, 10]),
        (1, 100, [1, 3, 10, 30, 100]),
        (1, 1000, [1, 10, 100, 1000]),
        (4.1, 4.9, [4.2, 4.4, 4.6, 4.8]),
        (1, 1e12, [1, 1e3, 1e6, 1e9, 1e12]),
    ],
    ids=["decade", "two", "three", "narrow", "wide"],
)
def test_log_ticks_are_round(low: float, high: float, ticks: list[float]) -> None:
    assert Scale(low, high, 0, 1, log=True).ticks(6) == pytest.approx(ticks)


def test_labels_of_an_axis_do_not_touch() -> None:
    canvas = Canvas(100, 20, "t", "d")
    axis(canvas, Scale(0, 10, 0, 100), 0, lambda value: f"{value:.6f}", most=10)
    found = [(float(e.get("x") or 0), width(e.text or "", 10)) for e in canvas.root.iter("text")]
    assert 0 < len(found) < 10
    for (a, wide), (b, also) in itertools.pairwise(found):
        assert a + wide / 2 < b - also / 2


def test_an_image_is_escaped_and_says_what_it_shows() -> None:
    canvas = Canvas(10, 20.5, "<b>", 'a "quoted" & \x00')
    canvas.text((1, 2), "</svg><script>\u202e")
    root = drawn(canvas.markup())
    assert root.get("viewBox") == "0 0 10 20.5"
    assert [e.text for e in root] == ["<b>", 'a "quoted" & \\x00', "</svg><script>\\u202e"]


@pytest.mark.parametrize(
    ("text", "room", "shown"),
    [("short", 100, "short"), ("abcdefghij", 59, "abcdefghij"), ("abcdefghijkl", 59, "abcd…ijkl")],
)
def test_names_are_cut_in_the_middle(text: str, room: float, shown: str) -> None:
    assert fit(text, room, 10) == shown


def test_wide_letters_take_more_room() -> None:
    assert width("漢字", 10) == 20
    assert width(fit("漢" * 50, 100, 10), 10) <= 100


FIGURE = Bounded(value=2, low=1, high=3, limit=4, limit_is="at most", exact=False, outcome="pass")


def test_bounds_are_drawn_against_their_limit() -> None:
    root = drawn(bounds(FIGURE, "t", "d", str, "at most 4"))
    # 1 to 4 with a tenth on either side: 0.7 to 4.3 over pixels 6 to 354
    assert of(root, "circle", "pass")[0]["cx"] == pytest.approx(6 + 348 * (2 - 0.7) / 3.6, abs=0.01)
    limit = 6 + 348 * (4 - 0.7) / 3.6
    assert of(root, "line", "limit")[0]["x1"] == pytest.approx(limit, abs=0.01)
    (allowed,) = of(root, "rect", "allowed")
    assert (allowed["x"], allowed["width"]) == pytest.approx((6, limit - 6), abs=0.01)
    (span, *caps) = of(root, "line", "span")
    assert (span["x1"], span["x2"]) == pytest.approx((35, 228.33), abs=0.01)
    assert [cap["x1"] for cap in caps] == pytest.approx([35, 228.33], abs=0.01)


def test_what_is_allowed_at_least_is_to_the_right() -> None:
    figure = FIGURE.__class__(**{**vars(FIGURE), "limit_is": "at least", "limit": 0.5})
    root = drawn(bounds(figure, "t", "d", str, "at least 0.5"))
    (allowed,) = of(root, "rect", "allowed")
    assert allowed["x"] + allowed["width"] == pytest.approx(354, abs=0.01)
    assert allowed["x"] == pytest.approx(35, abs=0.01)


def test_a_bound_that_is_missing_is_open() -> None:
    figure = FIGURE.__class__(**{**vars(FIGURE), "low": None})
    (span, *caps) = of(drawn(bounds(figure, "t", "d", str, "")), "line", "span")
    assert span["x1"] == 6
    assert len(caps) == 1


def test_an_exact_figure_is_a_bar_from_zero() -> None:
    figure = Bounded(value=50, low=50, high=50, limit=100, limit_is="at most", exact=True,
                     outcome="pass")  # fmt: skip
    root = drawn(bounds(figure, "t", "d", str, ""))
    (bar,) = of(root, "rect", "bar")  # 0 to 110 over 348 pixels
    assert (bar["x"], bar["width"]) == pytest.approx((6, 348 * 50 / 110), abs=0.01)


def test_intervals_lie_in_their_rows() -> None:
    rows = [
        Row(label="a", value=0.5, low=0.0, high=1.0, text="0.5"),
        Row(label="b", value=1.0, low=0.5, high=1.0, text="1"),
    ]
    root = drawn(intervals(rows, "t", "d", str, at=0.0))
    first, second = of(root, "circle", "dot")
    # 0 to 1 with 6 % beside: 1.12 over 348 pixels
    assert first["cx"] == pytest.approx(180, abs=0.01)
    assert second["cx"] == pytest.approx(6 + 348 * 1.06 / 1.12, abs=0.01)
    assert second["cy"] - first["cy"] == 34
    assert [t for t in texts(root) if t in ("a", "b", "0.5", "1")][:4] == ["a", "0.5", "b", "1"]


def test_bars_are_as_long_as_their_figures() -> None:
    rows = [Row(label=n, value=v, low=v, high=v, text="") for n, v in (("a", 0.2), ("b", 0.4))]
    first, second = of(drawn(bars(rows, "t", "d", str)), "rect", "bar")
    assert second["width"] == pytest.approx(2 * first["width"], abs=0.02)
    assert bars([], "t", "d", str)


def test_a_distribution_is_highest_where_most_calls_are() -> None:
    times = tuple(10 ** (n / 100) for n in range(101))  # evenly spread on a log axis
    (path,) = [
        e.get("d") or "" for e in drawn(distributions([Spread(label="a", quantiles=times, text="")],
        "t", "d", str)).iter("path")
    ]  # fmt: skip
    corners = [tuple(map(float, p.split())) for p in path.strip("MZ").split("L")]
    inner = [y for _, y in corners[5:-5]]
    assert max(inner) - min(inner) < 1.0
    (median,) = of(
        drawn(distributions([Spread(label="a", quantiles=times, text="")], "t", "d", str)),
        "line", "median",
    )  # fmt: skip
    assert median["x1"] == pytest.approx(180, abs=0.01)


POINTS = [
    Point(label="big", cost=100, gain=0.9, low=0.88, high=0.92),
    Point(label="small", cost=10, gain=0.88, low=0.86, high=0.9),
    Point(label="worse", cost=50, gain=0.87, low=0.85, high=0.89),
    Point(label="same", cost=10, gain=0.88, low=0.86, high=0.9),
]


def test_a_model_is_optimal_when_none_is_better_and_cheaper() -> None:
    assert [p.label for p in optimal(POINTS)] == ["small", "same", "big"]
    assert optimal([]) == []


def test_points_lie_at_their_cost_and_gain() -> None:
    root = drawn(scatter(POINTS, "t", "d", str, str))
    big, small, worse, _ = of(root, "circle", "dot")
    # log axis: one decade with 8 % beside over pixels 48 to 352; gains 0.85 to 0.92 with 6 %
    decade = 304 / 1.16
    assert big["cx"] - small["cx"] == pytest.approx(decade, abs=0.02)
    assert worse["cx"] - small["cx"] == pytest.approx(decade * 0.69897, abs=0.02)
    assert worse["cy"] - big["cy"] == pytest.approx(220 * 0.03 / (0.07 * 1.12), abs=0.02)
    assert len(of(root, "circle", "hollow")) == 1


def test_no_name_lies_over_another_or_a_point() -> None:
    many = [
        Point(label=f"candidate {n}", cost=10 + n % 7, gain=0.8 + n / 500, low=0.8, high=0.9)
        for n in range(50)
    ]
    root = drawn(scatter(many, "t", "d", str, str))
    names = [e for e in root.iter("text") if e.get("class") == "name"]
    boxes = [
        (float(e.get("x") or 0), float(e.get("y") or 0) - 8, width(e.text or "", 11)) for e in names
    ]
    assert 5 < len(boxes) < 50
    for (x, y, wide), (other_x, other_y, also) in itertools.combinations(boxes, 2):
        assert x + wide <= other_x or other_x + also <= x or abs(y - other_y) >= 11
    for circle in of(root, "circle", "dot"):
        for x, y, wide in boxes:
            assert not (x < circle["cx"] < x + wide and y < circle["cy"] < y + 8)


def test_cells_are_tinted_by_their_share_of_the_row() -> None:
    root = drawn(matrix(("no", "yes"), ((9, 3), (0, 0)), "t", "d"))
    tints = [float(e.get("fill-opacity") or -1) for e in root.iter("rect")]
    assert tints == [0.375, 0.125, 0.0, 0.0]  # half of 9/12, of 3/12
    assert [e.get("class") for e in root.iter("rect")] == ["right", "wrong", "wrong", "right"]
    assert {"9", "3"} <= set(texts(root))
    assert "0" not in texts(root)


def test_many_labels_have_numbers() -> None:
    names = [f"label {n}" for n in range(12)]
    root = drawn(matrix(names, [[1] * 12] * 12, "t", "d"))
    assert {"12", "12 label 11"} <= set(texts(root)) | {"12 label 11"}
    assert any(text.startswith("12 ") for text in texts(root))


def test_a_bin_lies_at_its_confidence_and_accuracy() -> None:
    bins = (Bin(count=0, confidence=0, accuracy=0), Bin(count=4, confidence=0.75, accuracy=0.5))
    root = drawn(reliability(bins, "t", "d"))
    ((dot),) = of(root, "circle", "dot")
    assert dot["cx"] == pytest.approx(34 + 176 * 0.75)
    assert dot["cy"] == pytest.approx((8 + (22 + 176 - 34)) / 2)
    (gap,) = of(root, "line", "gap")
    assert gap["y1"] < gap["y2"]  # below the diagonal: too confident
    assert reliability((), "t", "d")


def nodes(*names: str) -> list[Node]:
    return [Node(name=n, size="", about="", ran=n != "old") for n in names]


def test_each_step_is_below_what_it_reads() -> None:
    wires = {"b": ("a",), "c": ("a", "b"), "d": ("c", "a", "nobody"), "a": ("d",)}
    root = drawn(graph(nodes("a", "b", "c", "d"), wires, "t", "d"))
    tops = [box["y"] for box in of(root, "rect", "node")]
    assert tops == [8, 78, 148, 218]
    assert len([e for e in root.iter("path") if e.get("class") == "wire"]) == 5  # none from below


def test_wires_past_other_steps_run_beside_them() -> None:
    root = drawn(graph(nodes("a", "b", "c"), {"b": ("a",), "c": ("b", "a")}, "t", "d"))
    right = max(box["x"] + box["width"] for box in of(root, "rect", "node"))
    paths = [e.get("d") or "" for e in root.iter("path")]
    lanes = [float(x) for path in paths for x in re.findall(r"L([\d.]+) ", path)]
    assert len(lanes) == 1
    assert lanes[0] > right
    assert float((root.get("viewBox") or "").split()[2]) > lanes[0]


def test_reused_steps_look_different() -> None:
    root = drawn(graph(nodes("old", "new"), {}, "t", "d"))
    assert len(of(root, "rect", "reused")) == 1
    assert [box["y"] for box in of(root, "rect", "node")] == [8, 78]  # no wires: in their order


def test_no_two_steps_share_a_place() -> None:
    names = [f"s{n}" for n in range(40)]
    wires = {name: names[max(0, n - 7) : n : 3] for n, name in enumerate(names)}
    boxes = of(drawn(graph(nodes(*names), wires, "t", "d")), "rect", "node")
    assert len({(box["x"], box["y"]) for box in boxes}) == 40
    assert drawn(graph([], {}, "t", "d")) is not None
