"""The verbs on committed reports; ``run`` and ``plan`` are tested end to end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edgepipe import api
from edgepipe.errors import ConfigError, ExitCode, UsageError
from edgepipe.measure.records import CountsReport
from edgepipe.pipeline.gate import AccuracyGate
from edgepipe.pipeline.report import RunReport
from edgepipe.stage import Asked
from tests.pipeline.judging import whole
from tests.pipeline.measured import OTHER_MACHINE, benchmark, counts, validation

RATIOS = [[2.05, 2.06, 2.07], [2.08, 2.09, 2.10], [2.06, 2.07, 2.08], [2.04, 2.05, 2.06]]
GATE = AccuracyGate(measure="accuracy", max_drop=0.05, of="int8", against="teacher")
POLICY = """
[[gate]]
measure = "accuracy"
of = "int8"
against = "baseline"
max_drop = 0.02

[[gate]]
measure = "latency"
of = "int8"
against = "baseline"
max_slowdown = 0.05

[[gate]]
measure = "flops"
of = "int8"
against = "baseline"
max_ratio = 1.0
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A report, an earlier one beside it where runs look for it, and a policy."""
    report = whole(validation(90, 0), counts(), benchmark(RATIOS), created="2026-02-01T00:00:00Z")
    report.model_copy(update={"gates": (GATE,)}).write(tmp_path / "reviews" / "report.json")
    whole(validation(), counts(), benchmark(RATIOS)).write(tmp_path / "baselines" / "old.json")
    (tmp_path / "rules.toml").write_text(POLICY)
    return tmp_path


def test_a_report_is_judged_by_its_own_gates(place: Path) -> None:
    (found,) = api.gate(place / "reviews" / "report.json")
    assert (found.outcome, found.value) == ("inconclusive", 90 / 2000)
    (kept,) = api.gate(place / "reviews" / "report.json", gates=[GATE])
    assert kept == found


def test_a_policy_judges_instead_and_finds_the_baseline_beside_the_run(place: Path) -> None:
    before = (place / "reviews" / "report.json").read_bytes()
    found = api.judged(place / "reviews" / "report.json", policy=place / "rules.toml")
    assert [verdict.outcome for verdict in found.report.verdicts] == ["fail", "pass", "pass"]
    assert [gate.measure for gate in found.report.gates] == ["accuracy", "latency", "flops"]
    assert found.report.verdict == "fail"
    assert found.exit_code is ExitCode.GATE_FAILED
    assert found.baseline is not None
    assert found.baseline.created == "2026-01-01T00:00:00Z"
    assert found.path == place / "reviews" / "report.json"
    assert (place / "reviews" / "report.json").read_bytes() == before


def test_the_baseline_that_is_named_comes_before_the_policys_and_that_before_any_other(
    place: Path,
) -> None:
    report, policy = place / "reviews" / "report.json", place / "rules.toml"
    whole(validation(90, 0), machine=OTHER_MACHINE).write(place / "mine" / "x.json")
    policy.write_text('baseline = "mine"\n' + POLICY)
    by_policy = api.gate(report, policy=policy)
    assert [verdict.outcome for verdict in by_policy] == ["pass", "inconclusive", "inconclusive"]
    named = api.gate(report, policy=policy, baseline=place / "baselines" / "old.json")
    assert [verdict.outcome for verdict in named] == ["fail", "pass", "pass"]


def test_a_report_does_not_pass_against_itself(place: Path) -> None:
    report, policy = place / "reviews" / "report.json", place / "rules.toml"
    (place / "baselines" / "old.json").write_bytes(report.read_bytes())
    found = api.judged(report, policy=policy)
    assert [verdict.outcome for verdict in found.report.verdicts] == ["inconclusive"] * 3
    assert "is earlier than the report itself" in found.report.verdicts[0].why
    assert found.baseline is None
    with pytest.raises(UsageError, match=r"report\.json is of 2026-02-01T00:00:00Z, no earlier"):
        api.judged(report, policy=policy, baseline=report)


def test_two_reports_the_wrong_way_round_are_refused(place: Path) -> None:
    new, old = place / "reviews" / "report.json", place / "baselines" / "old.json"
    assert api.judged(new, policy=place / "rules.toml", baseline=old).baseline is not None
    with pytest.raises(UsageError, match=r"no earlier than .*swap the two"):
        api.judged(old, policy=place / "rules.toml", baseline=new)


def test_the_baseline_of_the_clocks_is_shown_and_where_it_was_looked_for(place: Path) -> None:
    report, policy = place / "reviews" / "report.json", place / "rules.toml"
    later = "2026-01-15T00:00:00Z"
    every = (validation(), counts(), benchmark(RATIOS))
    whole(*every, created=later, machine=OTHER_MACHINE).write(place / "baselines" / "z.json")
    found = api.judged(report, policy=policy)
    assert found.baseline is not None
    assert found.baseline.created == "2026-01-01T00:00:00Z"
    assert found.baseline_path is None
    notes = [verdict.note for verdict in found.report.verdicts]
    assert notes[0].endswith(f"the baseline is z.json of {later}")
    assert notes[1].endswith(
        "the baseline is old.json of 2026-01-01T00:00:00Z of Some CPU, 2 cores"
    )
    own = api.judged(report, baseline=place / "baselines")
    assert own.baseline is not None
    assert (own.baseline.created, own.baseline_path) == (later, place / "baselines")


def test_what_nobody_asked_for_ends_no_verdict(place: Path) -> None:
    """The gate is against the reference; the folder beside the run is for what changed, only."""
    report, folder = place / "reviews" / "report.json", place / "baselines"
    (folder / "old.json").write_text('{"schema": 1, "name": "reviews"}')
    found = api.judged(report)
    assert (found.report.verdict, found.baseline) == ("inconclusive", None)
    with pytest.raises(UsageError, match=r"old\.json has schema 1"):
        api.judged(report, baseline=folder)
    with pytest.raises(UsageError, match=r"old\.json has schema 1"):
        api.judged(report, policy=place / "rules.toml")


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"baseline": "nowhere"}, "nowhere: there is no such baseline"),
        ({"policy": "nowhere.toml"}, "cannot read the policy file"),
        ({"gates": []}, r"no gates to judge; add \[\[gate\]\] tables to the pipeline file, or"),
    ],
    ids=["baseline", "policy", "gates"],
)
def test_what_is_not_there_is_a_wrong_call(
    place: Path, given: dict[str, object], problem: str
) -> None:
    with pytest.raises(UsageError, match=problem):
        api.gate(place / "reviews" / "report.json", **given)
    with pytest.raises(UsageError, match="there is no such report"):
        api.gate(place / "report.json")


def test_a_policy_of_unknown_measures_judges_nothing(place: Path) -> None:
    (place / "rules.toml").write_text(POLICY.replace('"flops"', '"flop"'))
    with pytest.raises(ConfigError, match=r"rules\.toml:15: gate\.2\.measure: .* mean 'flops'\?"):
        api.gate(place / "reviews" / "report.json", policy=place / "rules.toml")


def test_a_verdict_brings_nothing_heavy_with_it(place: Path) -> None:
    """All kinds of gates, a policy and a baseline, in a fresh interpreter."""
    code = """
import sys
from edgepipe import api
found = api.judged(sys.argv[1], policy=sys.argv[2], baseline=sys.argv[3])
assert len(found.report.verdicts) == 3
print(sorted(m for m in sys.modules if m in sys.argv[4:]))
"""
    heavy = ("torch", "transformers", "scipy", "scipy.stats", "scipy.optimize", "scipy.special",
             "sklearn", "onnx", "onnxruntime", "datasets", "pyarrow")  # fmt: skip
    given = (place / "reviews" / "report.json", place / "rules.toml", place / "baselines", *heavy)
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, given)], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def rules(path: Path, *gates: str) -> Path:
    path.write_text("".join(f"[[gate]]\nof = 'new'\n{gate}\n" for gate in gates))
    return path


def test_two_bundles_are_judged_on_what_was_measured_just_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The measuring itself is the duel's; here it is a report made by hand."""
    asked: list[tuple[Asked, ...]] = []

    def duel(old: Path, new: Path, **given: object) -> RunReport:
        asked.append(given["asked"])
        assert (old, new, given["texts"], given["threads"]) == (Path("a"), Path("b"), ["x"], 2)
        speed = benchmark(RATIOS, name="new")
        reference = speed.reference.model_copy(update={"name": "old"})
        timed = speed.model_copy(update={"reference": reference})
        return whole().model_copy(update={"measured": {"counts": counts("new"), "speed": timed}})

    monkeypatch.setattr("edgepipe.pipeline.duel.duel", duel)
    policy = rules(
        tmp_path / "rules.toml",
        "measure = 'latency'\nagainst = 'old'\nmax_slowdown = 0.25",
        "measure = 'weights'\nmax_bytes = 99",
    )
    found = api.compare("a", "b", policy=policy, texts=["x"], threads=2)
    assert [verdict.outcome for verdict in found.report.verdicts] == ["pass", "fail"]
    assert (found.exit_code, found.path, found.baseline) == (ExitCode.GATE_FAILED, None, None)
    bare = api.compare("a", "b", texts=["x"], threads=2)
    assert (bare.report.verdict, bare.exit_code) == ("no gates", ExitCode.OK)
    assert asked == [(Asked("new", 0.8, 0.95),), ()]


def test_what_fails_by_counting_is_not_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worth: list[bool] = []

    def duel(*_: Path, worth_timing: Callable[[CountsReport], bool], **_given: object) -> RunReport:
        worth.append(worth_timing(counts("new")))
        return whole(counts("new"))

    monkeypatch.setattr("edgepipe.pipeline.duel.duel", duel)
    clocks = "measure = 'latency'\nagainst = 'old'\nmax_slowdown = 0.25"
    heavy = rules(tmp_path / "heavy.toml", clocks, "measure = 'weights'\nmax_bytes = 99")
    found = api.compare("a", "b", policy=heavy)
    assert [verdict.outcome for verdict in found.report.verdicts] == ["inconclusive", "fail"]
    assert "a gate on counts fails already" in found.report.verdicts[0].why
    light = rules(tmp_path / "light.toml", clocks, "measure = 'weights'\nmax_bytes = 100")
    api.compare("a", "b", policy=light)
    assert worth == [False, True]


@pytest.mark.parametrize(
    "gate",
    [
        "measure = 'accuracy'\nagainst = 'old'\nmax_drop = 0.1",
        "measure = 'rate'\nmin_rate = 3.0",
        "measure = 'tolerance'\nagainst = 'old'\nmax_difference = 3.0",
        "measure = 'latency'\nagainst = 'teacher'\nmin_speedup = 2.0",
        "measure = 'latency'\nagainst = 'baseline'\nmin_speedup = 2.0",
    ],
)
def test_what_two_bundles_cannot_tell_is_refused_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gate: str
) -> None:
    monkeypatch.setattr("edgepipe.pipeline.duel.duel", None)
    policy = rules(tmp_path / "rules.toml", gate)
    with pytest.raises(UsageError, match=r"gate \w+ of 'new': two models side by side have counts"):
        api.compare("a", "b", policy=policy)
