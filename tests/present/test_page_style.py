"""Colours that can be read, in both schemes: WCAG 2's contrast, computed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import edgepipe.present
from edgepipe.present.page_explain import _LEVELS

CSS = (Path(edgepipe.present.__file__).parent / "page.css").read_text()
Rgb = tuple[float, float, float]
SCHEMES = {
    "light": re.findall(r"--([a-z]+): ([^;]+);", CSS.split("@media", 1)[0]),
    "dark": re.findall(r"--([a-z]+): ([^;]+);", CSS.split("@media", 2)[1]),
}


def colour(text: str) -> Rgb:
    if text.startswith("#"):
        return tuple(int(text[n : n + 2], 16) for n in (1, 3, 5))  # type: ignore[return-value]
    return tuple(map(float, text.split()))  # type: ignore[return-value]


def contrast(one: Rgb, other: Rgb) -> float:
    """WCAG 2.2, relative luminance: https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio."""

    def light(rgb: Rgb) -> float:
        parts = [c / 255 for c in rgb]
        r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


def over(top: Rgb, alpha: float, paper: Rgb) -> Rgb:
    r, g, b = (alpha * t + (1 - alpha) * p for t, p in zip(top, paper, strict=True))
    return r, g, b


def test_the_formula_gives_known_figures() -> None:
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert contrast(colour("#767676"), colour("#ffffff")) == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_both_schemes_have_every_colour(scheme: str) -> None:
    assert {name for name, _ in SCHEMES[scheme]} == {name for name, _ in SCHEMES["light"]}


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("paper", ["paper", "field"])
@pytest.mark.parametrize("ink", ["ink", "quiet", "accent", "pass", "fail", "inconclusive"])
def test_text_can_be_read(scheme: str, paper: str, ink: str) -> None:
    palette = {name: colour(value) for name, value in SCHEMES[scheme]}
    assert contrast(palette[ink], palette[paper]) >= 4.5


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("mark", ["accent", "base", "pass", "fail", "inconclusive", "ink"])
def test_marks_can_be_seen(scheme: str, mark: str) -> None:
    palette = {name: colour(value) for name, value in SCHEMES[scheme]}
    assert contrast(palette[mark], palette["paper"]) >= 3
    allowed = over(palette["good"], 0.14, palette["paper"])
    assert contrast(palette[mark], allowed) >= 3


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(("shade", "alpha"), [("for", 0.5), ("against", 0.5), ("good", 0.14)])
def test_text_on_shades_can_be_read(scheme: str, shade: str, alpha: float) -> None:
    palette = {name: colour(value) for name, value in SCHEMES[scheme]}
    for share in (0.25, 0.5, 0.75, 1):
        tinted = over(palette[shade], alpha * share, palette["paper"])
        assert contrast(palette["ink"], tinted) >= 4.5


def test_every_shade_of_a_word_has_a_rule_not_darker_than_tested() -> None:
    for side in ("for", "against"):
        rules = re.findall(rf"\.{side}(\d) {{ background: rgb\(var\(--{side}\) / ([.\d]+)\)", CSS)
        assert [int(level) for level, _ in rules] == list(range(1, _LEVELS + 1))
        assert max(float(alpha) for _, alpha in rules) <= 0.5


def test_plots_take_their_colours_from_the_palette() -> None:
    rules = [line for line in CSS.splitlines() if line.startswith("svg")]
    assert rules
    assert not [line for line in rules if re.search(r"#[0-9a-f]{3}|(fill|stroke): [a-z]+;", line)
                and "fill: none" not in line]  # fmt: skip
