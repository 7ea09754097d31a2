from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from edgepipe.config import load_policy, parse, parse_policy, policy_schema
from edgepipe.errors import ConfigError, UsageError
from tests.config.files import changed, folder, only, problems

WHOLE = """baseline = "baselines"

[[gate]]
measure = "accuracy"
of = "int8"
against = "teacher"
max_drop = 0.02

[[gate]]
measure = "latency"
of = "int8"
against = "baseline"
max_slowdown = 0.05
confidence = 0.99
"""


def wrong(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_policy(text, Path("rules.toml"))
    return list(caught.value.problems)


def test_a_whole_file_becomes_gates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "rules.toml").write_text(WHOLE)
    monkeypatch.chdir(tmp_path)
    policy = load_policy("p/rules.toml")
    assert [(gate.measure, gate.of) for gate in policy.gates] == [
        ("accuracy", "int8"),
        ("latency", "int8"),
    ]
    assert policy.gates[1].confidence == 0.99
    assert policy.baseline == tmp_path / "p" / "baselines"


def test_the_baseline_may_be_left_out() -> None:
    text = WHOLE.replace('baseline = "baselines"\n', "")
    assert parse_policy(text, Path("rules.toml")).baseline is None


def test_every_mistake_of_a_file_is_told_at_once() -> None:
    text = (
        WHOLE.replace('baseline = "baselines"', 'baselines = "x"\nbaseline = 3')
        .replace('measure = "accuracy"', 'measure = "acuracy"')
        .replace("max_slowdown", "max_slow_down")
        .replace("0.99", "1.5")
    )
    first, second, third, fourth, fifth = wrong(text)
    assert first == "rules.toml:1: baselines: unknown key; did you mean 'baseline'?"
    assert second == "rules.toml:2: baseline: names a report or a folder of reports, got 3"
    assert third.startswith("rules.toml:5: gate.0.measure: has to be one of 'accuracy', 'macro_f1'")
    assert third.endswith("""got "acuracy"; did you mean 'accuracy'?""")
    assert fourth == (
        "rules.toml:14: gate.1.max_slow_down: unknown setting; did you mean 'max_slowdown'?"
    )
    assert fifth.startswith("rules.toml:15: gate.1.confidence: has to be less than or equal to")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "rules.toml:1: there is no [[gate]] table, so nothing to judge"),
        ("gate = []", "rules.toml:1: there is no [[gate]] table, so nothing to judge"),
        ("[gate]\nof = 1", "rules.toml:1: gate: gates are an array of tables: [[gate]]"),
        ("[[gate]\n", "rules.toml: not TOML: "),
        ("gate = [3]", "rules.toml:1: gate.0: "),
        ('[[gate]]\nof = "int8"', "rules.toml:1: gate.0.measure: is missing"),
        (WHOLE.replace("0.02", "nan"), "rules.toml:7: gate.0.max_drop: has to be a finite number"),
        (WHOLE.replace("0.02", "-1"), "rules.toml:7: gate.0.max_drop: has to be greater than or"),
        (
            WHOLE.replace('baseline = "baselines"', 'baseline = ""'),
            "rules.toml:1: baseline: names a report or a folder of reports, got ''",
        ),
    ],
    ids=[
        "empty", "no gates", "table", "toml", "number", "measure", "nan", "negative", "path",
    ],
)  # fmt: skip
def test_what_is_no_policy(text: str, problem: str) -> None:
    (found,) = wrong(text)
    assert found.startswith(problem)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"rules\.toml: cannot read the policy file: No such"):
        load_policy(tmp_path / "rules.toml")


def test_editors_complete_from_a_schema_that_policies_fit() -> None:
    schema = policy_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    check = jsonschema.Draft202012Validator(schema)
    gate = {"measure": "accuracy", "of": "int8", "against": "teacher", "max_drop": 0.02}
    assert check.is_valid({"baseline": "baselines", "gate": [gate]})
    assert check.is_valid({"gate": [gate]})
    assert not check.is_valid({"gate": []})
    assert not check.is_valid({"gate": [{**gate, "measure": "acuracy"}]})
    assert not check.is_valid({"gate": [{**gate, "max_drops": 0.1}]})
    assert not check.is_valid({"gate": [gate], "step": {}})


def test_a_pipeline_names_its_baseline_relative_to_its_file(tmp_path: Path) -> None:
    file = folder(tmp_path)
    text = changed(
        ("threads = 2", 'threads = 2\nbaseline = "../art/baselines"'),
        ('against = "teacher"\nmin', 'against = "baseline"\nmin'),
    )
    assert parse(text, file).run.baseline == tmp_path.resolve() / "../art/baselines"
    assert parse(changed(), file).run.baseline is None


def test_a_gate_against_a_baseline_that_no_one_named(tmp_path: Path) -> None:
    text = changed(('against = "teacher"\nmin', 'against = "baseline"\nmin'))
    assert only(text, folder(tmp_path), 'against = "baseline"') == (
        'gate.1.against: against = "baseline" needs one: [run] baseline = "../artifacts/baselines"'
    )


def test_a_step_that_is_called_like_the_baseline(tmp_path: Path) -> None:
    text = changed(("[step.speed]", "[step.baseline]"))
    assert any(
        told.startswith("step.baseline: 'baseline' means an earlier report")
        for _, told in problems(text, folder(tmp_path))
    )
