"""The page: it says what the results say, is fresh, and never rounds in favour of edgepipe."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.peers import page as drawing
from benchmarks.peers import tables
from benchmarks.peers.ahead import ahead
from benchmarks.peers.figures import Found
from benchmarks.peers.goals import floored, goals, judged
from benchmarks.peers.page import PAGE, RESULTS, main, page
from benchmarks.peers.records import Results, read
from edgepipe.errors import ExitCode, UsageError
from tests.benchmarks import peers_results as made_up

MADE_UP = made_up.results()


@pytest.mark.skipif(not RESULTS.exists(), reason="nothing has been measured yet")
def test_the_page_is_what_the_results_say() -> None:
    measured = read(RESULTS)
    again = "draw it anew: python -m benchmarks.peers.page"
    assert PAGE.read_text(encoding="utf-8") == page(measured), again
    beside = RESULTS.with_suffix(".md").read_text(encoding="utf-8")
    assert beside == tables.results_page(measured), again


@pytest.mark.skipif(not RESULTS.exists(), reason="nothing has been measured yet")
def test_the_readme_tells_what_the_results_say() -> None:
    readme = (PAGE.parents[1] / "README.md").read_text(encoding="utf-8")
    assert tables.overview(read(RESULTS)) in readme


def test_an_overview_has_the_fastest_row_of_each_tool() -> None:
    lines = tables.overview(MADE_UP).splitlines()[2:]
    assert [line.split("`")[1] for line in lines] == [
        "torch", "olive int8", "optimum vnni", "edgepipe",
    ]  # fmt: skip


def test_a_page_of_the_same_results_is_the_same_page() -> None:
    assert page(MADE_UP) == page(Results.model_validate_json(MADE_UP.model_dump_json()))


def test_the_page_has_every_part_and_no_gap_left() -> None:
    text = page(MADE_UP)
    for part in ("## The tools", "## What peers do better", "## What was left out", "`make bench`"):
        assert part in text
    assert "{" not in text
    assert (Path(drawing.__file__).parent / "better.md").read_text(encoding="utf-8") in text


def test_what_better_md_says_stands_in_the_page_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Path(drawing.__file__).parent
    (tmp_path / "page.md.txt").write_text((here / "page.md.txt").read_text())
    (tmp_path / "better.md").write_text("Braces {stay} and | bars too.\n")
    monkeypatch.setattr(drawing, "_HERE", tmp_path)
    assert "\nBraces {stay} and | bars too.\n" in page(MADE_UP)
    (tmp_path / "better.md").write_text("\n")
    with pytest.raises(UsageError, match=r"better\.md is empty"):
        page(MADE_UP)


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (Found(2.2, 2.0, 2.4), "**reached**"),
        (Found(2.2, 1.999, 2.4), "not shown: the interval reaches below"),
        (Found(1.9, 1.8, 1.99), "not reached"),
    ],
)
def test_only_a_whole_interval_reaches_a_goal(found: Found, verdict: str) -> None:
    assert judged(found, 2.0) == verdict


def test_a_ratio_is_cut_and_not_rounded() -> None:
    assert floored(Found(1.999, 1.996, 2.009)) == "1.99 (1.99 to 2.00)"


def test_goals_of_the_made_up_figures() -> None:
    found = goals(MADE_UP)
    assert [goal.outcome for goal in found] == [
        "**reached**", "**reached**", "not reached", "**reached**", "no goal was set",
        "not shown", "**reached**",
    ]  # fmt: skip
    assert "`edgepipe` beside `optimum vnni`: 2.14" in found[0].found
    assert "against `optimum vnni`, +0.40 (+0.02 to +1.03) against torch" in found[1].found
    assert "`edgepipe's runtime` beside `ORTModel`: 2.60" in found[3].found
    assert "0.25 s against 4.00 s" in found[6].found


@pytest.mark.parametrize(
    ("texts", "verdict"),
    [(4, "**reached**"), (10, "not shown: the interval reaches beyond"), (40, "not reached")],
)
def test_accuracy_is_held_against_the_margin_with_its_interval(texts: int, verdict: str) -> None:
    told = [found for found in MADE_UP.accuracy if found.arm != "edgepipe"]
    changed = (*told, made_up.accuracy("edgepipe", texts))
    found = goals(MADE_UP.model_copy(update={"accuracy": changed}))
    assert found[1].outcome == verdict


def test_goals_of_nothing_measured_are_not_shown() -> None:
    nothing = MADE_UP.model_copy(update={"clocks": (), "accuracy": ()})
    assert {goal.outcome for goal in goals(nothing)} == {"not shown"}
    assert "In no column" in ahead(nothing)


def test_peers_that_are_ahead_are_told_column_by_column() -> None:
    single = {**made_up.SINGLE, "olive int8": 9.0}
    same = {"sentence-transformers": 2.61, "a session by hand": 1.4, "edgepipe's runtime": 2.6}
    timed = (
        made_up.clocks("tools", "torch", single, cold={"olive int8": 0.5}),
        made_up.clocks("same-file", "ORTModel", same),
    )
    text = ahead(MADE_UP.model_copy(update={"clocks": timed}))
    lines = text.splitlines()
    assert any("**single texts**" in line and "`olive int8` 9.00 times" in line for line in lines)
    assert any("**cold start**" in line and "`olive int8` 0.500 s" in line for line in lines)
    assert not any("`torch`" in line for line in lines)  # full precision is another thing
    assert any("Table same-file, **many texts**" in line for line in lines)
    assert "neural" not in text


def test_a_lead_within_the_interval_is_called_so() -> None:
    noisy = [0.3, -0.3, 0.1]
    rough = made_up.speedup("olive int8", [[2.1 + shift] for shift in noisy])
    report = MADE_UP.clocks[0].report
    speedups = tuple(rough if s.candidate == "olive int8" else s for s in report.speedups)
    blocks = {s.candidate: tuple((r[0],) for r in s.log_ratios) for s in speedups}
    speedups = tuple(
        s.model_copy(update={"log_ratios": blocks[s.candidate]}) for s in speedups
    )  # fmt: skip
    report = report.model_copy(update={"speedups": speedups})
    timed = MADE_UP.clocks[0].model_copy(update={"report": report})
    text = ahead(MADE_UP.model_copy(update={"clocks": (timed,)}))
    assert "; may be noise)" in text


def drawn(monkeypatch: pytest.MonkeyPatch, folder: Path, results: Results) -> int:
    results.write(folder / "peers.json")
    words = ("page", folder / "peers.json", "--page", folder / "page.md")
    monkeypatch.setattr(sys, "argv", [*map(str, words)])
    return main()


def test_the_command_draws_both_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert drawn(monkeypatch, tmp_path, MADE_UP) == ExitCode.OK
    assert (tmp_path / "page.md").read_text() == page(MADE_UP)
    assert (tmp_path / "peers.md").read_text() == tables.results_page(MADE_UP)


def test_a_quick_run_is_no_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert drawn(monkeypatch, tmp_path, made_up.results(quick=True)) == ExitCode.USAGE
    assert "is a quick run" in capsys.readouterr().err
    assert not (tmp_path / "page.md").exists()
    assert not (tmp_path / "peers.md").exists()


def test_like_for_like_is_the_same_network_on_both_sides() -> None:
    """Without a student edgepipe's row is post-training int8, and is held to no goal."""
    recipes = tuple(replace(recipe, trained=False) for recipe in MADE_UP.recipes)
    found = {goal.asked: goal for goal in goals(MADE_UP.model_copy(update={"recipes": recipes}))}
    assert next(goal for asked, goal in found.items() if "the bundle" in asked).found == (
        "not measured"
    )
    with_student = [goal.asked for goal in goals(MADE_UP)]
    assert not any("like for like" in asked for asked in with_student)
    both = (*MADE_UP.recipes, replace(MADE_UP.recipes[-1], name="edgepipe int8", trained=False))
    first, *others = MADE_UP.tables
    arms = tuple(
        replace(arm, recipe="edgepipe int8") if arm.name == "edgepipe" else arm
        for arm in first.arms
    )
    extra = replace(arms[0], name="torch.compile", recipe="edgepipe", tool="edgepipe")
    arms = (*(arm for arm in arms if arm.name != "torch.compile"), extra)
    lined_up = (replace(first, arms=arms), *others)
    right = MADE_UP.accuracy[0].model_copy(update={"arm": "torch.compile"})
    results = MADE_UP.model_copy(
        update={
            "recipes": both,
            "tables": lined_up,
            "accuracy": (*(a for a in MADE_UP.accuracy if a.arm != "torch.compile"), right),
        }
    )
    alike = next(goal for goal in goals(results) if "like for like" in goal.asked)
    # 7.5 times torch beside 3.5 times torch
    assert alike.found.startswith("`edgepipe` beside `optimum vnni`: 2.14")
    assert alike.outcome == "no goal was set"
