from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from scipy import stats

from edgepipe.stages import STAGES
from tests.cli import toy_program
from tests.cli.conftest import Run
from tests.data.tables import numbered, write_csv

GATES = """
[[gate]]
measure = "accuracy"
of = "small"
against = "big"
max_drop = 0.01

[[gate]]
measure = "slices"
of = "small"
against = "big"
by = "label"
max_drop = 0.05

[[gate]]
measure = "agreement"
of = "small"
against = "big"
min_agreement = 0.9

[[gate]]
measure = "agreement"
of = "small"
against = "big"
min_agreement = 0.9
on = "unlabelled"

[[gate]]
measure = "size"
of = "small"
against = "big"
max_ratio = 0.5
"""


@pytest.fixture
def file(tmp_path: Path, edgepipe: Run, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pipeline whose real data and texts steps can be run alone: its models cannot."""
    monkeypatch.setitem(STAGES, "validate", "edgepipe.stages.validate:Validate")
    write_csv(tmp_path / "train.csv", numbered(100))
    write_csv(tmp_path / "test.csv", numbered(30))
    (tmp_path / "hub").mkdir()
    (tmp_path / "more.txt").write_text("one\ntwo\nthree\n")
    (tmp_path / "p.toml").write_text(PIPELINE + GATES)
    return tmp_path / "p.toml"


PIPELINE = """name = "p"
task = "text-classification"
[step.reviews]
use = "data"
train = "train.csv"
test = "test.csv"
[step.more]
use = "texts"
file = "more.txt"
[step.big]
use = "checkpoint"
model = "hub"
[step.small]
use = "checkpoint"
model = "hub"
[step.accuracy]
use = "validate"
from = { reference = "big", candidates = ["small"], data = "reviews", unlabelled = "more" }
"""


def examples(edgepipe: Run, file: Path) -> list[dict[str, object]]:
    """What the steps of a plan carry, for programs."""
    planned = json.loads(edgepipe("plan", file, "--json").out)
    assert all("examples_needed" not in step for step in planned if step["use"] != "validate")
    (step,) = (step for step in planned if step["use"] == "validate")
    assert {"name", "use", "action", "why"} < set(step)
    found: list[dict[str, object]] = step["examples_needed"]
    return found


def test_a_plan_says_how_many_examples_each_gate_needs(edgepipe: Run, file: Path) -> None:
    z2 = (stats.norm.ppf(0.95) + stats.norm.ppf(0.9)) ** 2
    accuracy, slices, agreement, unlabelled = examples(edgepipe, file)
    assert accuracy["gate"] == "accuracy: small against big"
    assert accuracy["flip_rates"] == [0.01, 0.02, 0.05, 0.1, 0.2]
    assert accuracy["needed"] == [math.ceil(z2 * r / 0.01**2) for r in (0.01, 0.02, 0.05, 0.1, 0.2)]
    assert (accuracy["margin"], accuracy["confidence"], accuracy["power"]) == (0.01, 0.95, 0.9)
    both = (stats.norm.ppf(0.95) + stats.norm.ppf(0.9**0.5)) ** 2  # two labels, each that often
    assert slices["needed"] == [
        math.ceil(both * max(r, 0.05) / 0.05**2) for r in accuracy["flip_rates"]
    ]
    assert (slices["confidence"], slices["power"]) == (0.95, 0.9)
    assert agreement["needed"] == unlabelled["needed"]
    assert agreement["needed"][3:] == [None, None]
    assert {need["step"] for need in (accuracy, slices, agreement, unlabelled)} == {"accuracy"}


def test_how_many_there_are_is_known_once_the_data_is_made(edgepipe: Run, file: Path) -> None:
    assert [need["available"] for need in examples(edgepipe, file)] == [None] * 4
    assert edgepipe("plan", file).out.count("not known yet") == 4
    assert edgepipe("run", file).code != 0  # there is no model, but data and texts are made first
    assert [need["available"] for need in examples(edgepipe, file)] == [30, 30, 30, 3]
    assert "not known yet" not in edgepipe("plan", file).out


def test_the_table_is_information(edgepipe: Run, file: Path) -> None:
    done = edgepipe("plan", file)
    assert done.code == 0
    assert "information, not a verdict" in done.out
    rows = [line.split() for line in done.out.splitlines() if "small against big" in line]
    assert rows[0] == [*["accuracy:", "small", "against", "big", "1.00%"], "857", "1,713", "4,282",
                       "8,564", "17,128", *["not", "known", "yet"]]  # fmt: skip
    assert rows[2].count("never") == 2
    assert len(rows) == 4


def test_a_margin_of_nothing_and_no_gates(edgepipe: Run, file: Path) -> None:
    file.write_text(PIPELINE + GATES.replace("max_drop = 0.01", "max_drop = 0"))
    assert examples(edgepipe, file)[0]["needed"] == [None] * 5
    file.write_text(PIPELINE)
    done = edgepipe("plan", file)
    assert "Examples" not in done.out
    assert "examples_needed" not in edgepipe("plan", file, "--json").out


def test_toys_without_data_are_planned(edgepipe: Run, tmp_path: Path) -> None:
    """Neither split nor data: the stage is another one."""
    (tmp_path / "toy.toml").write_text(toy_program.text())
    (need,) = examples(edgepipe, tmp_path / "toy.toml")
    assert (need["gate"], need["available"]) == ("accuracy: small against teacher", None)
