"""Tables of a comparison: order, crashes, strange texts, and the ratios behind them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from benchmarks.peers import tables
from benchmarks.peers.figures import best_peer, colder, lost, our_best, rows, versus
from benchmarks.peers.lineup import Recipe
from benchmarks.peers.records import Crash, Results, read
from edgepipe.errors import UsageError
from edgepipe.measure.statistics import TWO_SIDED, drop_bounds, student_quantile
from tests.benchmarks import peers_results as made_up
from tests.pipeline.measured import OTHER_MACHINE

RESULTS = made_up.results()


def tokens(text: str) -> list[Token]:
    return MarkdownIt("gfm-like", {"linkify": False}).parse(text)


def widths(text: str) -> list[list[int]]:
    """Cells of every row of every table."""
    found: list[list[int]] = []
    for token in tokens(text):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append(0)
        elif token.type in ("td_open", "th_open"):
            found[-1][-1] += 1
    return found


def lines_of(text: str, name: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(f"| `{name}` |")]


def test_rows_stand_by_kind_then_the_reference_then_by_speed() -> None:
    order = [row.arm.name for row in rows(RESULTS, "tools")]
    assert order == [
        "torch", "optimum O3", "torch.compile",
        "optimum vnni", "olive int8", "optimum O3, quantized", "neural",
        "edgepipe", "edgepipe, plain session",
    ]  # fmt: skip


def test_the_student_is_a_group_of_its_own_below_int8() -> None:
    text = tables.tools(RESULTS)
    heads = (
        "| **fp32** |",
        "| **int8** |",
        "| `neural` |",
        "| **int8, a student",
        "| `edgepipe` |",
    )
    places = [text.index(head) for head in heads]
    assert places == sorted(places)


def test_every_table_is_narrow_and_every_row_as_wide_as_its_head() -> None:
    found = widths(tables.results_page(RESULTS))
    assert len(found) == 7
    for table in found:
        assert len(set(table)) == 1
        assert table[0] <= 9


def test_a_crash_and_an_environment_that_was_not_built_keep_their_rows() -> None:
    text = tables.tools(RESULTS)
    assert all("crash, note 1" in line for line in lines_of(text, "optimum O3, quantized"))
    assert all("not built, note 2" in line for line in lines_of(text, "neural"))
    assert len(lines_of(text, "neural")) == 3
    assert "1. exit code 1 of `make optimum O3, quantized`: " in text
    expected = "2. the environment neural-compressor could not be built: `ERROR: giving up`"
    assert expected in text
    assert "Traceback" not in text  # the last line, and nothing before it


def test_what_starts_from_a_recipe_that_failed_tells_that_failure() -> None:
    broken = tuple(
        made_up.made("optimum O3", 3, "the first") if made.recipe == "optimum O3" else made
        for made in RESULTS.made
    )
    text = tables.tools(RESULTS.model_copy(update={"made": broken}))
    assert "1. exit code 3 of `make optimum O3`: `the first`" in text
    assert "2. the environment" in text  # told once for both rows


def test_exit_code_0_without_a_model_is_a_crash() -> None:
    nothing = tuple(
        made_up.made("olive int8", 0, "it left no model") if made.recipe == "olive int8" else made
        for made in RESULTS.made
    )
    text = tables.tools(RESULTS.model_copy(update={"made": nothing}))
    assert "exit code 0 of `make olive int8`: `it left no model`" in text


def test_an_arm_that_crashed_while_it_was_timed_tells_its_command() -> None:
    crash = Crash(arm="neural", why="neural: a\nlast | words", command="serve | `it`", exit_code=9)
    timed = made_up.clocks("tools", "torch", made_up.SINGLE, crashes=(crash,))
    environments = tuple(found for found in RESULTS.environments if not found.failed)
    update = {"clocks": (timed,), "environments": environments}
    text = tables.tools(RESULTS.model_copy(update=update))
    assert "2. exit code 9 of `` serve ¦ `it` ``: `last ¦ words`" in text


def test_a_failure_that_is_no_row_is_told_apart() -> None:
    assert not tables.crashes(RESULTS)
    spare = made_up.made("spare", 7, "gone")
    text = tables.crashes(RESULTS.model_copy(update={"made": (*RESULTS.made, spare)}))
    assert text == "* exit code 7 of `make spare`: `gone`\n"


def test_strange_texts_stay_inside_code() -> None:
    strange = made_up.HOSTILE
    ending = RESULTS.endings[0].model_copy(update={"said": strange, "left": (strange,)})
    environment = made_up.environment(strange, strange)
    arms = (made_up.arm(strange, "checkpoint", "torch"), *made_up.TOOLS)
    update = {
        "endings": (ending, *RESULTS.endings),
        "environments": (environment, *RESULTS.environments),
        "tables": (made_up.table("tools", arms),),
        "texts": {"tools": strange},
        "date": strange,
        "teacher": "| <b>",
    }
    text = tables.results_page(RESULTS.model_copy(update=update))
    assert all(len(set(table)) == 1 for table in widths(text))
    inline = [child for token in tokens(text) for child in token.children or ()]
    assert {child.type for child in inline} <= {
        "text", "code_inline", "strong_open", "strong_close", "html_inline", "softbreak",
    }  # fmt: skip
    plain = "".join(child.content for child in inline if child.type != "code_inline")
    assert "script" not in plain
    assert "@you" not in plain
    assert "##[group]" not in text


def test_exit_code_0_is_marked() -> None:
    text = tables.endings(RESULTS)
    assert "| olive | **exit 0**, left `model.onnx`: " in text
    assert "exit 2, nothing left: `error: unrecognized arguments` |" in text


def test_versions_that_matter_under_any_spelling() -> None:
    text = tables.environments(RESULTS)
    assert "torch 2.13.0, sentence-transformers 5.1, onnxruntime 1.31.1" in text


def test_doubts_and_the_sentinel_stand_below_the_clocks() -> None:
    timed = made_up.clocks("tools", "torch", made_up.SINGLE, doubts=("it is | wrong",))
    text = tables.tools(RESULTS.model_copy(update={"clocks": (timed,)}))
    assert "* **Doubt:** `it is ¦ wrong`" in text
    assert "(A/A): 1.00 (0.99 to 1.01)." in text
    assert "one by one: 1,008 texts of 27.5 tokens in the mean." in text


def test_what_did_not_run_says_so() -> None:
    empty = RESULTS.model_copy(update={"endings": (), "clocks": (), "quick": True})
    text = tables.results_page(empty)
    assert "A quick run" in text
    assert text.count("Not measured.") == 2  # other shapes, endings
    assert "Not timed." in text


def test_random_weights_are_named() -> None:
    shape = made_up.table("small", made_up.TOOLS[:1], "small")
    timed = made_up.clocks("small", "torch", {"torch.compile": 1.0})
    text = tables.shapes(RESULTS.model_copy(update={"tables": (shape,), "clocks": (timed,)}))
    assert "Random weights: speed only." in text


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (0.0123, "0.012"), (0.25, "0.250"), (9.996, "10.0"), (1234.4, "1,234"), (5, "5")],
)
def test_three_digits(value: float, shown: str) -> None:
    assert tables.number(value) == shown


def test_a_ratio_of_two_candidates_by_hand() -> None:
    report = made_up.clocks("tools", "torch", {"a": 1.0, "b": 1.0}).report
    mine, rival = ((0.9, 1.1), (1.2, 1.4)), ((0.5, 0.3), (0.4, 0.6))
    speedups = (made_up.speedup("a", mine), made_up.speedup("b", rival))
    found = versus(report.model_copy(update={"speedups": speedups}), "a", "b")
    means = ((0.4 + 0.8) / 2, (0.8 + 0.8) / 2)  # of the two blocks of each round
    center = (means[0] + means[1]) / 2
    error = abs(means[0] - means[1]) / 2  # s / sqrt(2), and s of two is |a - b| / sqrt(2)
    reach = error * student_quantile(TWO_SIDED, 1)
    assert found.value == pytest.approx(math.exp(center))
    assert found.low == pytest.approx(math.exp(center - reach))
    assert found.high == pytest.approx(math.exp(center + reach))


def test_a_ratio_over_the_reference_is_the_reports_own_and_back() -> None:
    report = RESULTS.clocks[0].report
    known = report.speedups[1]
    found = versus(report, "optimum O3", "torch")
    expected = (known.ratio, known.interval.low, known.interval.high)
    assert tuple(found) == pytest.approx(expected)
    back = versus(report, "torch", "optimum O3")
    assert tuple(back) == pytest.approx((1 / expected[0], 1 / expected[2], 1 / expected[1]))
    with pytest.raises(ValueError, match="no speedups of 'nobody'"):
        versus(report, "nobody", "torch")


def test_cold_starts_are_compared_round_by_round() -> None:
    first = RESULTS.clocks[1].cold[0]
    second = first.model_copy(update={"totals_s": tuple(s / 8 for s in first.totals_s)})
    assert tuple(colder(second, first)) == pytest.approx((8, 8, 8))


def test_accuracies_are_compared_text_by_text() -> None:
    one, other = made_up.accuracy("one", 12), made_up.accuracy("other", 2)
    bounds = drop_bounds(10, 0, made_up.EXAMPLES, confidence=TWO_SIDED)
    assert tuple(lost(one, other)) == (0.01, bounds.low, bounds.high)
    assert lost(other, one).value == -0.01


def test_the_best_peer_is_int8_made_by_others_and_of_known_accuracy() -> None:
    best, ours = best_peer(RESULTS), our_best(RESULTS, trained=True)
    assert best
    assert ours
    assert (best.arm.name, ours.arm.name) == ("optimum vnni", "edgepipe")
    known = tuple(found for found in RESULTS.accuracy if found.arm != "optimum vnni")
    second = best_peer(RESULTS.model_copy(update={"accuracy": known}))
    assert second
    assert second.arm.name == "olive int8"
    assert best_peer(RESULTS.model_copy(update={"accuracy": ()})) is None


def test_results_come_back_from_their_file(tmp_path: Path) -> None:
    RESULTS.write(tmp_path / "peers.json")
    assert read(tmp_path / "peers.json") == RESULTS


@pytest.mark.parametrize("damage", ["", "[]", "{}", '{"version": 2}', "[" * 100_000])
def test_a_damaged_file_is_refused(tmp_path: Path, damage: str) -> None:
    (tmp_path / "peers.json").write_text(damage)
    with pytest.raises(UsageError, match="holds no results"):
        read(tmp_path / "peers.json")


def test_clocks_of_another_machine_are_refused(tmp_path: Path) -> None:
    mixed = RESULTS.model_copy(update={"clocks": made_up.all_clocks(machine=OTHER_MACHINE)})
    mixed.write(tmp_path / "peers.json")
    with pytest.raises(UsageError, match="another machine's"):
        read(tmp_path / "peers.json")


def test_rows_and_clocks_of_nothing_known_are_refused() -> None:
    recipes = tuple(found for found in RESULTS.recipes if found.name != "neural")
    with pytest.raises(ValueError, match="no recipe"):
        made_up.results(recipes=recipes)
    with pytest.raises(ValueError, match="there is no table"):
        made_up.results(tables=RESULTS.tables[:1])


def test_recipes_that_start_from_each_other_end() -> None:
    """A line-up that is wrong shows crashes, and hangs nothing."""
    one, two = (
        Recipe(name=name, tool="t", how="h", environment="e", precision="int8", call="c", of=of)
        for name, of in (("one", "two"), ("two", "one"))
    )
    arms = (made_up.arm("a", "one", "t"),)
    update = {"recipes": (one, two), "tables": (made_up.table("tools", arms),), "clocks": ()}
    (row,) = rows(Results.model_validate(RESULTS.model_copy(update=update)), "tools")
    assert row.failure is None
