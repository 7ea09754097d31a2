from __future__ import annotations

import re

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from edgepipe.measure.records import Flip
from edgepipe.present.escape import code, prose
from edgepipe.present.judged_by import JudgedBy
from edgepipe.present.markdown import LIMIT, compared, markdown
from tests.pipeline.measured import OTHER_MACHINE, validation
from tests.present.judged import NASTY, SIZE, SPEED, THREE, everything, nasty, report, verdict

DIALECT = MarkdownIt("gfm-like", {"linkify": False})


def tokens(text: str) -> list[Token]:
    """By a parser of GitHub's dialect that has nothing to do with ours."""
    found = DIALECT.parse(text)
    return [t for token in found for t in (token, *(token.children or ()))]


def tables(text: str) -> list[list[list[str]]]:
    """Cells as their source, by row, by table."""
    made: list[list[list[str]]] = []
    inside = False
    for token in DIALECT.parse(text):
        match token.type:
            case "table_open":
                made.append([])
                inside = True
            case "table_close":
                inside = False
            case "tr_open":
                made[-1].append([])
            case "inline" if inside:
                made[-1][-1].append(token.content)
    return made


def test_the_verdict_comes_first_and_gates_stand_by_tier() -> None:
    text = markdown(report(THREE))
    assert text.startswith("## `reviews`: FAIL: 1 of 3 gates failed, 1 inconclusive\n")
    counts, accuracy, clocks = tables(text)
    assert counts[0] == ["verdict", "gate", "found", "asked"]
    assert counts[1] == ["❌ **fail**", "`int8`: size of the files", "18.2 MB", "at most 18.0 MB"]
    assert accuracy[1][:2] == ["✅ pass", "`int8` against `teacher`: accuracy drop"]
    assert clocks[1][0] == "⚠️ **inconclusive**"
    headings = [line.removeprefix("### ") for line in text.splitlines() if line.startswith("### ")]
    assert headings[:3] == [
        "Counts: exact, but for the memory of a process",
        "Accuracy: with the error of sampling texts",
        "Clocks: with the machine's noise, too",
    ]
    assert "  - `vocab.txt 300 kB`" in text
    assert "the machine is busy" in text


def test_doubts_remarks_flips_and_the_command_are_there() -> None:
    measured = everything()
    speed = measured["speed"].model_copy(update={"doubts": ("too noisy",), "remarks": ("hm",)})
    text = markdown(report(THREE, {**measured, "speed": speed}), again="edgepipe gate r.json")
    assert text.index("too noisy") < text.index("### Counts") < text.index("- hm")
    (flips,) = [table for table in tables(text) if table[0][0] == "row"]
    assert len(flips) == 11
    assert flips[1] == ["1", "`text 0`", "`no`", "`no` 90%", "`yes` 60%"]
    assert "110 of 2000 texts answered otherwise" in text
    (fence,) = [t for t in tokens(text) if t.type == "fence"]
    assert fence.content == "edgepipe gate r.json\n"


def test_changes_stand_beside_each_other_only_where_they_compare() -> None:
    new, old = report([verdict()], everything()), report([], everything())
    old = old.model_copy(update={"machine": OTHER_MACHINE})
    speed = old.measured["speed"].model_copy(update={"machine": OTHER_MACHINE})
    smaller = validation(60, 50, size=50)
    old = old.model_copy(update={"measured": {**old.measured, "speed": speed, "accuracy": smaller}})
    rows = [row for table in tables(compared(new, old)) for row in table]
    assert ["size of the files", "50 bytes", "25 bytes", "-50.0%"] in rows
    assert "accuracy" not in [row[0] for row in rows]
    assert "#### `fp32`\n\n4 of 4 figures are the same.\n" in compared(new, old)
    (median, _) = [row for row in rows if row[0] == "median latency"]
    assert median[3] == "not compared: another machine: Another CPU, 2 cores"
    assert "another machine" in compared(new, old)
    assert "What changed since the baseline" in markdown(new, old)
    assert "baseline" not in markdown(new)


@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
def test_no_text_breaks_a_table_or_becomes_anything_else(text: str) -> None:
    bad = nasty(text)
    written = markdown(bad, nasty(text), again=f"edgepipe gate {text}")
    found = tokens(written)
    kinds = {token.type for token in found}
    assert not kinds & {"html_inline", "link_open", "image", "blockquote_open", "hr", "s_open"}
    html = [token.content for token in found if token.type == "html_block"]
    assert all(
        re.fullmatch(r"<details>\n<summary>[\w ;]+</summary>\n|</details>\n", block)
        for block in html
    )
    assert len(html) == 2
    plain = "".join(token.content for token in found if token.type == "text")
    assert not re.search(r"@\w|#\d|www\.|://|\$|::", plain)
    for table in tables(written):
        assert {len(row) for row in table} == {len(table[0])}
    body = written.partition("### How to reproduce")[0].splitlines()
    rows = sum(len(table) for table in tables(written))
    assert rows == sum(line.startswith("|") for line in body) - len(tables(written))
    assert len([table for table in tables(written) if table[0][0] == "verdict"]) == 1
    assert "\x1b" not in written
    assert "\u202e" not in written


@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
def test_a_code_span_holds_what_it_was_given(text: str) -> None:
    (inline,) = MarkdownIt("commonmark").parse(f"x {code(text, longest=10_000)} y")[1:2]
    children = inline.children or []
    if not text.strip():
        assert inline.content == "x (empty) y"
        return
    assert [child.type for child in children] == ["text", "code_inline", "text"]
    if text.isprintable():
        assert children[1].content == " ".join(text.split()).replace("|", "¦")


@pytest.mark.parametrize(
    "text",
    [
        "2000 texts; about 8.5 would do",
        "0.5 points (95%: 1 to 2)",
        "the machine's load, too high",
        "raise `max_ms`: ok",
    ],
)
def test_prose_stays_prose(text: str) -> None:
    assert prose(text) == text


@pytest.mark.parametrize("text", [t for t in (*NASTY, "a `b``c`", "a `b` `") if t.strip("x ")])
def test_what_could_be_more_than_prose_is_code(text: str) -> None:
    assert prose(text).startswith("`")


def long() -> object:
    flip = Flip(
        row=1, text="é" * 500, label="a", reference="b", candidate="c", reference_confidence=0.5,
        candidate_confidence=0.5,
    )  # fmt: skip
    found = validation(3, 2, 20)
    compared = found.comparisons[0].model_copy(update={"flips": (flip,) * 10})
    step = found.model_copy(update={"comparisons": (compared,)})
    return report([SIZE, SPEED] * 40, {f"step {n}": step for n in range(400)})


def test_it_stays_below_the_limit_of_a_job_summary() -> None:
    assert LIMIT <= 1024 * 1000
    text = markdown(long())
    assert 0.95 * LIMIT < len(text.encode()) <= LIMIT
    assert text.endswith("See the report.*\n")


@pytest.mark.parametrize("limit", [600, 3_000, 20_000, 65_536, 65_537, 65_600])
def test_a_cut_is_at_the_end_of_a_row_and_closes_what_is_open(limit: int) -> None:
    whole = markdown(long(), limit=10**9).splitlines()
    text = markdown(long(), limit=limit)
    assert len(text.encode()) <= limit
    kept = text.splitlines()
    note = next(n for n, line in enumerate(kept) if line.startswith("*Cut here"))
    shared = [line for line in kept[:note] if line not in ("", "</details>")]
    assert shared == [line for line in whole if line not in ("", "</details>")][: len(shared)]
    assert text.count("<details>") == text.count("</details>")


def test_what_fits_is_not_cut() -> None:
    whole = markdown(report(THREE, everything()))
    assert markdown(report(THREE, everything()), limit=len(whole.encode()) + 1) == whole
    assert "Cut here" not in whole
    assert "Cut here" in markdown(report(THREE, everything()), limit=len(whole.encode()) - 1)


def test_the_files_that_were_judged_are_named() -> None:
    by = JudgedBy(report_sha256="a" * 64, policy="p|.toml", policy_sha256="b" * 64)
    made = markdown(report(THREE), by=by)
    told = (
        f"Judged by: report, SHA-256 `{'a' * 64}`; policy `p\N{BROKEN BAR}.toml`; policy, SHA-256 "
    )
    assert f"{told}`{'b' * 64}`." in made
    assert "Judged by" not in markdown(report(THREE))
