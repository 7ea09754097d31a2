from __future__ import annotations

import base64
import hashlib
import re
from xml.etree import ElementTree as ET

import pytest

from edgepipe.pipeline.report import RunReport
from edgepipe.present.judged_by import JudgedBy
from edgepipe.present.page import page
from tests.pipeline.measured import validation
from tests.present.judged import THREE, report, verdict
from tests.present.parsed import Parsed
from tests.present.rich import rich

SVG = re.compile(r"<svg.*?</svg>", re.DOTALL)


@pytest.fixture(scope="module")
def html() -> str:
    older = rich().model_copy(update={"created": "2026-10-01T00:00:00Z", "verdicts": ()})
    return page(rich(), older)


def test_its_policy_allows_the_one_style_sheet_and_nothing_else(html: str) -> None:
    found = Parsed(html)
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    (policy,) = [
        m["content"] for m in found.all("meta") if m.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = dict(rule.strip().split(" ", 1) for rule in (policy or "").split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["style-src"] == f"'sha256-{digest}'"
    assert "script-src" not in rules
    assert html.index("Content-Security-Policy") < html.index("<style>")


def test_it_runs_and_fetches_nothing(html: str) -> None:
    found = Parsed(html)
    names = {tag for tag, _ in found.elements}
    assert not names & {
        "script",
        "img",
        "iframe",
        "object",
        "embed",
        "form",
        "video",
        "use",
        "base",
    }
    attributes = {name for _, name in found.shape}
    assert not {name for name in attributes if name.startswith("on")}
    assert not attributes & {"style", "src", "srcset", "action", "xlink:href"}
    assert "url(" not in html
    assert "@import" not in html
    for tag, attributes_of in found.elements:
        target = attributes_of.get("href")
        assert target is None or target.startswith("#") or (tag, target) == ("link", "data:,")


def test_it_is_well_formed(html: str) -> None:
    found = Parsed(html)
    assert (found.wrong, found.open) == ([], [])
    ids = [a["id"] for _, a in found.elements if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["href"] for a in found.all("a")} <= {f"#{name}" for name in ids}


def test_every_plot_says_what_it_shows(html: str) -> None:
    plots = [ET.fromstring(svg) for svg in SVG.findall(html)]  # noqa: S314 - our own
    assert len(plots) > 12
    for plot in plots:
        assert plot.get("role") == "img"
        title, description = list(plot)[:2]
        assert (title.tag, description.tag) == ("title", "desc")
        assert title.text
        assert description.text
        assert not {e.get("fill") or e.get("stroke") for e in plot.iter()} - {None}


def test_its_sections_come_in_the_order_of_their_weight(html: str) -> None:
    order = ["verdict", "changes", "models", "latency", "accuracy", "counts", "notes"]
    found = [a["id"] for a in Parsed(html).all("section")]
    assert found == [*order, "pipeline", "provenance"]


def test_the_verdict_is_a_word_and_a_sentence(html: str) -> None:
    text = Parsed(html).text
    assert "fail: reviews · edgepipe" in text
    assert "1 of 6 gates failed: int8: size of the files, at most 18.0 MB. grew" in text


@pytest.mark.parametrize(
    ("made", "word", "sentence"),
    [
        (report(), "no gates", "no policy was given"),
        (
            report().model_copy(update={"pipeline": "[step]"}),
            "no gates",
            "the pipeline file has no gates",
        ),
        (rich().model_copy(update={"verdicts": ()}), "not judged", "are not judged yet"),
        (report([verdict()]), "pass", "The only gate is met."),
        (report([verdict(), verdict()]), "pass", "2 of 2 gates are met."),
        (
            report([verdict(), verdict("inconclusive", why="too few texts")]),
            "inconclusive",
            "1 of 2 gates could not be decided: int8 against teacher: accuracy drop, at most",
        ),
    ],
    ids=["no policy", "no gates", "not judged", "one", "two", "inconclusive"],
)
def test_each_verdict_has_its_sentence(made: RunReport, word: str, sentence: str) -> None:
    found = Parsed(page(made))
    assert f"{word}: reviews" in found.text
    assert sentence in found.text


def test_what_is_compared_only_shows_no_verdicts_of_its_own() -> None:
    found = Parsed(page(report(THREE), report(), judged=False))
    assert "compared: reviews" in found.text
    assert "Compared, not judged: no policy was given." in found.text
    assert not [a for a in found.all("b") if "outcome" in a.get("class", "")]


def test_a_verdict_of_two_words_is_one_class() -> None:
    """``gates`` is the class of the list of gates."""
    (head,) = [a for a in Parsed(page(report())).all("div") if "verdict" in a.get("class", "")]
    assert head["class"].split() == ["verdict", "no-gates"]


def test_the_files_that_were_judged_are_named() -> None:
    by = JudgedBy(report_sha256="a" * 64, policy="p.toml", policy_sha256="b" * 64, baseline="old")
    text = Parsed(page(report(THREE), by=by)).text
    assert all(part in text for part in ("a" * 64, "p.toml", "b" * 64, "old"))


def test_what_was_not_measured_is_left_out() -> None:
    found = Parsed(page(report()))
    assert [a["id"] for a in found.all("section")] == ["verdict", "provenance"]
    assert [a["href"] for a in found.all("a")] == ["#provenance"]


def test_without_clocks_models_are_drawn_by_size_alone() -> None:
    found = Parsed(page(report(measured={"accuracy": validation(60, 50, 2000)})))
    assert "Accuracy against size" in found.text
    assert "latency" not in found.text.lower()
    assert "p50" not in found.text


def test_a_gate_without_a_figure_has_no_plot() -> None:
    one = verdict("inconclusive", "percentile", tier="clocks", value=None, low=None, high=None)
    html = page(report([one]))
    assert "no figure" in html
    assert not SVG.findall(html)


def test_figures_of_the_report_stand_in_the_page() -> None:
    text = " ".join(Parsed(page(rich())).text.split())
    for figure in (
        "97.00%",  # accuracy of int8: 60 of 2,000 wrong
        "0.50 points",  # drop: 60 - 50 of 2,000
        "60 the reference, 50 the candidate",
        "8.00x",  # speed-up
        "0.300 ms",  # floor
        "1 min 23 s",
        "4 texts longer than the reference reads",
        "99% within 50.0 ms",
        "SomeOperator",
        "+1.00",  # weight of a word
        "a doubt",
        "a remark",
    ):
        assert figure in text, figure


def test_changes_name_what_changed_and_what_cannot_be_compared() -> None:
    new = report(measured={"accuracy": validation(60, 50, 2000)})
    old = report(measured={"accuracy": validation(20, 50, 2000)}, created="2026-10-01T00:00:00Z")
    text = " ".join(Parsed(page(new, old)).text.split())
    assert "The baseline is reviews of 2026-10-01T00:00:00Z" in text
    assert "99.00%97.00%-2.00 points" in text.replace(" ", "").replace("points", " points")
    other = {"accuracy": validation(20, 50, 2000, split_sha256="other texts")}
    apart = Parsed(page(new, report(measured=other))).text
    assert "int8, accuracy: the test texts are others" in apart
