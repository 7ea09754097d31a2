from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import ValidationError

from edgepipe.artifacts import Dataset, Report
from edgepipe.errors import StageError
from edgepipe.stage import Stage, Work
from tests.pipeline import toys

asked: list[str] = []


@dataclass(frozen=True, kw_only=True)
class Nothing:
    pass


class Careful(Stage[Nothing, Dataset]):
    inputs = Nothing
    makes = Dataset

    refuse: str = ""
    break_promise: bool = False
    elsewhere: bool = False

    def requires(self, inputs: Nothing) -> None:
        asked.append("requires")
        if self.refuse:
            raise StageError(self.refuse)

    def run(self, inputs: Nothing, into: Path, work: Work) -> Dataset:
        asked.append("run")
        return toys.dataset(into.parent if self.elsewhere else into, "content")

    def ensures(self, made: Dataset) -> None:
        asked.append("ensures")
        if self.break_promise:
            raise StageError("a broken promise")


@pytest.fixture(autouse=True)
def forget() -> None:
    asked.clear()


def call(stage: Stage, tmp_path: Path):
    into = tmp_path / "into"
    into.mkdir()
    return stage(Nothing(), into, Work(path=tmp_path))


def test_asked_first_checked_afterwards_committed_last(tmp_path: Path) -> None:
    made = call(Careful(), tmp_path)
    assert asked == ["requires", "run", "ensures"]
    assert made == Dataset.read(tmp_path / "into")
    assert made.digest


def test_a_refusal_comes_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="not today"):
        call(Careful(refuse="not today"), tmp_path)
    assert asked == ["requires"]


def test_a_broken_promise_is_not_committed(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="a broken promise"):
        call(Careful(break_promise=True), tmp_path)
    assert not (tmp_path / "into" / "artifact.json").exists()


def test_work_beside_the_given_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=f"wrote to {tmp_path} instead of {tmp_path / 'into'}"):
        call(Careful(elsewhere=True), tmp_path)


def test_another_kind_of_artifact_is_refused(tmp_path: Path) -> None:
    class Wrong(Careful):
        makes = Report

    with pytest.raises(StageError, match="Wrong made Dataset, not Report"):
        call(Wrong(), tmp_path)


def test_settings_are_typed_frozen_and_known() -> None:
    for wrong in ({"refuse": 3}, {"break_promise": "yes"}, {"refusal": "x"}):
        with pytest.raises(ValidationError):
            Careful(**wrong)
    with pytest.raises(ValidationError, match="frozen"):
        Careful().refuse = "x"  # type: ignore[misc]
