"""Texts of others are shown, never acted on."""

from __future__ import annotations

import re

import pytest

from edgepipe.measure.records import packed
from edgepipe.pipeline.report import RunReport
from edgepipe.present.legible import clipped, legible, shortened
from edgepipe.present.page import page
from tests.pipeline.measured import validation
from tests.present.judged import NASTY, nasty, report
from tests.present.parsed import Parsed
from tests.present.rich import rich, spoiled, values

EVIL = "'\"><script>alert(1)</script><img src=x onerror=alert(1)></style></title></svg><!--{{7*7}}"
BIDI = re.compile("[\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c]")
PERSIAN = "سلام می\u200cخواهم"  # noqa: RUF001 - words, no Latin
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
PACKED = ("eJ", "eN")
"""How zlib's data begins in base64."""
FIXED = {
    "accuracy", "agreement", "size", "latency", "pass", "fail", "inconclusive", "counts", "clocks",
    "validation", "benchmark", "run", "cpu", "test", "ran", "reused", "percentile", "slices",
    "share", "ms", "bytes", "ratio", "at most", "at least",
}  # fmt: skip


@pytest.fixture(scope="module")
def evil() -> tuple[RunReport, set[str]]:
    return spoiled(rich(), lambda text: f"{text} {EVIL}")


def test_markup_in_every_field_is_only_text(evil: tuple[RunReport, set[str]]) -> None:
    harmless, _ = spoiled(rich(), lambda text: f"{text} {'x' * len(EVIL)}")
    report, changed = evil
    assert {
        "reviews",
        "int8",
        "good",
        "a doubt",
        "k1",
        "Some CPU",
        "text 0",
        "an item",
        "a new measure",
    } <= changed
    before, after = Parsed(page(harmless, harmless)), Parsed(page(report, report))
    assert after.shape == before.shape
    assert (after.wrong, after.open) == ([], [])
    assert after.text.count("<script>alert(1)</script>") > 50
    assert "{{7*7}}" in after.text


def test_only_words_of_fixed_lists_cannot_be_changed(evil: tuple[RunReport, set[str]]) -> None:
    kept = set(values(rich().model_dump())) - evil[1]
    assert {text for text in kept if not text.startswith(PACKED)} <= FIXED


@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
def test_nasty_texts_leave_the_page_as_it_is(text: str) -> None:
    plain, found = Parsed(page(nasty("plain"))), page(nasty(text))
    after = Parsed(found)
    assert after.shape <= plain.shape
    assert (after.wrong, after.open) == ([], [])
    assert not CONTROL.search(found)
    assert not BIDI.search(found)
    found.encode()


def test_attributes_hold_nothing_of_others_but_names_of_regions(
    evil: tuple[RunReport, set[str]],
) -> None:
    named = {
        name
        for _, attributes in Parsed(page(evil[0])).elements
        for name, value in attributes.items()
        if "alert" in (value or "")
    }
    assert named <= {"aria-label"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\u202eb", "a\\u202eb"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\x00\x7f\x9f", "\\x00\\x7f\\x9f"),
        ("one\r\ntwo\tthree", "one\ntwo\tthree"),
        ("\ud800 \ufffe", "\\ud800 \\ufffe"),
        ("\u2066x\u2069\u200f", "\\u2066x\\u2069\\u200f"),
        (PERSIAN, PERSIAN),
        ("👩\u200d🚀 naïve 漢字", "👩\u200d🚀 naïve 漢字"),
    ],
    ids=["bidi", "escape", "control", "lines", "no character", "isolate", "persian", "emoji"],
)
def test_what_controls_a_page_is_shown_instead(text: str, shown: str) -> None:
    assert legible(text) == shown


def test_long_texts_are_cut_and_say_so() -> None:
    assert clipped("a" * 600) == "a" * 600
    assert clipped("a" * 1601) == "a" * 600 + "… (and 1,001 more characters)"


def test_headings_of_tables_are_cut_in_their_middle() -> None:
    assert shortened("a" * 48) == "a" * 48
    assert shortened("a" * 30 + "b" * 30) == "a" * 23 + "…" + "b" * 24


def test_a_flip_of_a_million_characters_is_cut() -> None:
    found = validation(60, 50, 2000)
    long = found.comparisons[0].flips[0].model_copy(update={"text": "long " * 200_000})
    one = found.comparisons[0].model_copy(update={"flips": (long,) * 50, "flipped": 110})
    made = report(measured={"accuracy": found.model_copy(update={"comparisons": (one,)})})
    html = page(made)
    assert len(html) < 200_000
    assert "999,400 more characters" in html
    assert "50 of 110 texts" in html


def test_150_labels_show_the_pairs_most_confused() -> None:
    labels = tuple(f"label {n}" for n in range(150))
    found = validation(60, 50, 2000)
    confusion = [[0] * 150 for _ in labels]
    confusion[3][149] = 60
    wide = {"confusion": tuple(map(tuple, confusion))}
    made = found.model_copy(
        update={
            "labels": labels,
            "reference": found.reference.model_copy(update=wide),
            "candidates": (found.candidates[0].model_copy(update=wide),),
        }
    )
    parsed = Parsed(page(report(measured={"accuracy": made})))
    assert "Most confused" in parsed.text
    assert "Confusion matrix" not in parsed.text
    assert re.search(r"label 3\s*label 149\s*60\s*60\s*\+0", parsed.text)


def test_fifty_candidates_stay_readable() -> None:
    found = validation(60, 50, 200)
    first = found.candidates[0]
    arms = tuple(first.model_copy(update={"name": f"candidate {n}"}) for n in range(50))
    compared = tuple(found.comparisons[0].model_copy(update={"candidate": a.name}) for a in arms)
    made = found.model_copy(update={"candidates": arms, "comparisons": compared})
    html = page(report(measured={"accuracy": made}))
    parsed = Parsed(html)
    folded = [a for a in parsed.all("details") if a.get("class") == "candidate"]
    assert len(folded) == 50
    assert sum("open" in a for a in folded) == 1
    assert len(html) < 3_000_000


def test_empty_and_zero_figures_are_drawn_all_the_same() -> None:
    made = rich()
    speed, accuracy = made.measured["speed"], made.measured["accuracy"]
    assert speed.content == "benchmark"
    assert accuracy.content == "validation"
    zero = {"p50_ms": 0.0, "quantiles_ms": (0.0,) * 101, "texts_per_second": 0.0, "bytes": 0}
    bare = speed.model_copy(
        update={
            "reference": speed.reference.model_copy(update=zero),
            "candidates": (speed.candidates[0].model_copy(update=zero | {"quantiles_ms": ()}),),
            "server": (), "throughputs": (), "roofline": None, "remarks": (), "doubts": (),
        }
    )  # fmt: skip
    still = {"calibration": accuracy.reference.calibration.model_copy(update={"bins": ()}),
             "classes": (), "bytes": 0}  # fmt: skip
    empty = accuracy.model_copy(
        update={
            "reference": accuracy.reference.model_copy(update=still), "candidates": (),
            "comparisons": (), "slices": (), "labels": (), "truth": packed(()), "examples": 0,
        }
    )  # fmt: skip
    drawn = page(made.model_copy(update={"measured": {"speed": bare, "accuracy": empty}}))
    parsed = Parsed(drawn)
    assert (parsed.wrong, parsed.open) == ([], [])
    assert not re.search(r"\bnan\b", drawn)
