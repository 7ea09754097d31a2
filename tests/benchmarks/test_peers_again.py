"""Two runs side by side: they agree within what they state, or are refused."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.peers.again import again, main, pairs
from benchmarks.peers.records import Clocks, Environment, Results
from edgepipe.errors import ExitCode, UsageError
from edgepipe.measure.records import Speedup
from tests.benchmarks import peers_results as made_up
from tests.pipeline.measured import MACHINE, OTHER_MACHINE

ONE = made_up.results()


def later(clocks: Clocks) -> Clocks:
    """Another run with all but the same ratios."""

    def other(found: Speedup) -> Speedup:
        ratios = tuple(tuple(ratio + 1e-9 for ratio in blocks) for blocks in found.log_ratios)
        return found.model_copy(update={"log_ratios": ratios})

    report = clocks.report
    update = {
        "speedups": tuple(map(other, report.speedups)),
        "throughputs": tuple(map(other, report.throughputs)),
    }
    return clocks.model_copy(update={"report": report.model_copy(update=update)})


def slower(clocks: Clocks) -> Clocks:
    """The very same ratios under another duration."""
    report = clocks.report.model_copy(update={"seconds": clocks.report.seconds + 1})
    return clocks.model_copy(update={"report": report})


TWO = made_up.results(clocks=tuple(map(later, ONE.clocks)))


def test_the_same_figures_agree() -> None:
    text = again(ONE, TWO)
    assert "18 of 18 ratios agree" in text
    assert "chance alone would part 0.9" in text
    assert "differ by 0.0 %" in text
    assert "**no**" not in text


def test_a_shift_beyond_the_intervals_does_not() -> None:
    shifted = tuple(map(later, made_up.all_clocks(shift=0.03)))
    text = again(ONE, made_up.results(clocks=shifted))
    assert "12 of 18 ratios agree" in text  # the single texts of the main table are off
    assert "differ by 3.0 %" in text
    assert text.count("**no**") == 6


def test_agreement_is_judged_by_the_errors_of_both() -> None:
    """Half a percent is inside: every interval reaches 0.6 % to either side."""
    near = made_up.results(clocks=made_up.all_clocks(shift=0.005))
    assert all(both.single.agrees for both in pairs(ONE, near))


def test_rows_of_one_run_alone_are_told() -> None:
    single = {name: ratio for name, ratio in made_up.SINGLE.items() if name != "olive int8"}
    fewer = (later(made_up.clocks("tools", "torch", single)), TWO.clocks[1])
    text = again(ONE, made_up.results(clocks=fewer))
    assert "* `olive int8` of `tools` was measured in run one alone" in text
    assert "16 of 16" in text


def test_a_table_without_batches_has_no_throughput() -> None:
    def without(clocks: Clocks) -> Clocks:
        report = clocks.report.model_copy(update={"throughputs": ()})
        return clocks.model_copy(update={"report": report})

    text = again(ONE, made_up.results(clocks=tuple(map(without, TWO.clocks))))
    assert "9 of 9" in text
    assert "| - | - | - |" in text


def with_threads(threads: int) -> tuple[Clocks, ...]:
    first, *others = ONE.clocks
    report = first.report.model_copy(update={"threads": threads})
    return (first.model_copy(update={"report": report}), *others)


def with_torch(version: str) -> tuple[Environment, ...]:
    first, *others = ONE.environments
    packages = {**first.packages, "torch": version}
    return (first.model_copy(update={"packages": packages}), *others)


OTHER_PYTHON = MACHINE.model_copy(update={"python": "3.12.1"})
OTHER_ONNXRUNTIME = MACHINE.model_copy(update={"packages": {"onnxruntime": "1.32.0"}})
OTHERS = {
    "two machines": {
        "machine": OTHER_MACHINE,
        "clocks": made_up.all_clocks(machine=OTHER_MACHINE),
    },
    "a quick run and the other a full one": {"quick": True},
    "edgepipe is 1.0 in one and 1.1 in the other": {"edgepipe": "1.1"},
    "the teacher is": {"teacher": "another"},
    "Python is 3.11.7 in one and 3.12.1": {"machine": OTHER_PYTHON},
    "onnxruntime of the project's environment": {"machine": OTHER_ONNXRUNTIME},
    "torch of optimum is 2.13.0 in one and 2.14.0": {"environments": with_torch("2.14.0")},
    "threads of tools is 1 in one and 2 in the other": {"clocks": with_threads(2)},
    "ratios of tools: they are one run, not two": {"clocks": (ONE.clocks[0], TWO.clocks[1])},
    "ratios of same-file: they are one run": {"clocks": (TWO.clocks[0], slower(ONE.clocks[1]))},
    "the texts of tools differ": {"texts": {**ONE.texts, "tools": "other ones"}},
    "line-ups differ": {"tables": (made_up.table("tools", made_up.TOOLS[:3]), *ONE.tables[1:])},
}


@pytest.mark.parametrize("why", OTHERS)
def test_figures_that_cannot_stand_side_by_side_are_refused(why: str) -> None:
    with pytest.raises(UsageError, match=why):
        again(ONE, made_up.results(**OTHERS[why]))


def test_everything_that_differs_is_told_at_once() -> None:
    with pytest.raises(UsageError, match=r"quick run.*; edgepipe is"):
        again(ONE, made_up.results(quick=True, edgepipe="2"))


def test_runs_without_a_row_in_common_are_refused() -> None:
    with pytest.raises(UsageError, match="no row in common"):
        again(ONE, made_up.results(clocks=()))


def ended(monkeypatch: pytest.MonkeyPatch, *words: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["again", *map(str, words)])
    return main()


def written(path: Path, results: Results) -> Path:
    results.write(path)
    return path


def test_the_command_prints_and_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one, out = written(tmp_path / "one.json", ONE), tmp_path / "peers-again.md"
    two = written(tmp_path / "two.json", TWO)
    assert ended(monkeypatch, one, two, "--out", out) == ExitCode.OK
    assert out.read_text() == capsys.readouterr().out == again(ONE, TWO)


def test_the_command_refuses_with_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one = written(tmp_path / "one.json", ONE)
    two = written(tmp_path / "two.json", made_up.results(quick=True))
    assert ended(monkeypatch, one, two, "--out", tmp_path / "out.md") == ExitCode.USAGE
    assert capsys.readouterr().err.startswith("error: the two runs cannot be held")
    two.write_text("{")
    assert ended(monkeypatch, one, two) == ExitCode.USAGE
    assert ended(monkeypatch, one, tmp_path / "absent.json") == ExitCode.USAGE
    assert not (tmp_path / "out.md").exists()
