from __future__ import annotations

import csv
from pathlib import Path

import pytest

from edgepipe.cli.outputs import Outputs
from edgepipe.config import load
from edgepipe.stages import STAGES
from tests.cli.conftest import Run
from tests.recipe import folders

REAL = dict(STAGES)


@pytest.fixture(autouse=True)
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edgepipe: Run) -> None:
    """A model and a table with names of its own; the real stages."""
    for name, place in REAL.items():
        monkeypatch.setitem(STAGES, name, place)
    folders.model(tmp_path / "model")
    with (tmp_path / "feedback.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["was", "wie"])
        writer.writerows([f"good film number {n}", "abc"[n % 3]] for n in range(30))


def test_init_writes_a_whole_file_and_says_what_it_guessed(edgepipe: Run, tmp_path: Path) -> None:
    done = edgepipe("init", "model", "--data", "feedback.csv")
    assert (done.code, done.out) == (0, "")
    assert "texts in 'was', labels in 'wie' (a, b, c)" in done.err
    assert "model: model: BertModel, without a classification head" in done.err
    assert "warning: the tokenizer does not know 50.0% of the tokens" in done.err
    assert done.err.endswith("next: edgepipe run feedback.toml\n")
    pipeline = load(tmp_path / "feedback.toml")
    assert pipeline.name == "feedback"
    assert edgepipe("plan", "feedback.toml").code == 0


def test_a_file_that_is_there_is_kept_unless_told_otherwise(edgepipe: Run, tmp_path: Path) -> None:
    (tmp_path / "feedback.toml").write_text("mine")
    done = edgepipe("init", "model", "--data", "feedback.csv")
    assert done.code == 2
    assert "feedback.toml is there already; give -o FILE for another name, or --force" in done.err
    assert (tmp_path / "feedback.toml").read_text() == "mine"
    assert edgepipe("init", "model", "--data", "feedback.csv", "--force").code == 0
    assert edgepipe("init", "model", "--data", "feedback.csv", "-o", "deep/x.toml").code == 0
    assert load(tmp_path / "deep" / "x.toml").name == "x"


def test_what_was_given_is_written(edgepipe: Run, tmp_path: Path) -> None:
    for split in ("v", "t"):
        (tmp_path / f"{split}.csv").write_text((tmp_path / "feedback.csv").read_text())
    args = ("--validation", "v.csv", "--test", "t.csv", "--text", "was", "--label", "wie")
    assert edgepipe("init", "model", "--data", "feedback.csv", *args).code == 0
    data = load(tmp_path / "feedback.toml").steps[0].stage
    assert (str(data.validation), str(data.test)) == ("v.csv", "t.csv")


@pytest.mark.parametrize(
    ("args", "code", "told"),
    [
        (["absent", "--data", "feedback.csv"], 2, "absent: there is no such file or folder"),
        (["feedback.csv", "--data", "feedback.csv"], 2, "a model is a folder or an .onnx file"),
        (["model", "--data", "model"], 3, "not a readable dataset"),
        (["model", "--data", "feedback.csv", "--text", "x"], 3, "has no column 'x'"),
        (["model", "--data", "feedback.csv", "--test", "x.csv"], 2, "x.csv: there is no such"),
        (["model", "--data", "feedback.csv", "--task", "x"], 2, "Invalid value for '--task'"),
    ],
)
def test_what_cannot_be_guessed(
    edgepipe: Run, tmp_path: Path, args: list[str], code: int, told: str
) -> None:
    done = edgepipe("init", *args)
    assert (done.code, done.out) == (code, "")
    assert told in done.err
    assert not list(tmp_path.glob("*.toml"))


def test_compress_runs_what_it_wrote(
    edgepipe: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[tuple[Path, Path, bool]] = []

    def run_file(file: Path, artifacts: Path, outputs: Outputs) -> int:
        ran.append((file, artifacts, outputs.as_json))
        return 5

    monkeypatch.setattr("edgepipe.cli.compress.run_file", run_file)
    done = edgepipe("compress", "model", "--data", "feedback.csv", "--artifacts", "a", "--json")
    assert done.code == 5
    assert ran == [(Path("feedback.toml"), Path("a"), True)]
    assert (tmp_path / "feedback.toml").is_file()
