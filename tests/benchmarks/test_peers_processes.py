"""Environments that build or do not, and tools that make, fail, lie and answer."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from benchmarks.peers import environments, processes
from benchmarks.peers.environments import Built
from benchmarks.peers.lineup import Arm, Recipe, Trial
from benchmarks.peers.records import Environment
from benchmarks.peers.tool import Job
from edgepipe.errors import StageError

ROOT = Path(__file__).parents[2]
STUB = """
import sys
from benchmarks.peers.tool import command, run


def good(job):
    (job.out / "model.onnx").write_bytes(job.texts.read_bytes() + job.checkpoint.read_bytes())


def bad(job):
    (job.out / "model.onnx").write_bytes(b"half")
    raise ValueError("this option does not exist")


def silent(job):
    print("a warning about something else", file=sys.stderr)
    print("see the log")


def program(job):
    command(sys.executable, "-c", "raise SystemExit(7)")


class Shout:
    def __init__(self, setup):
        print("libraries like to talk")
        self.end = "!" * setup.threads

    def one(self, text):
        return text.upper() + self.end

    def many(self, texts):
        return [self.one(text) for text in texts]

    def label(self, answer):
        return answer


class Forgetful(Shout):
    def many(self, texts):
        return [self.one(text) for text in texts[1:]]


MAKERS = {"good": good, "bad": bad, "silent": silent, "program": program}
LOADERS = {"shout": Shout, "forgetful": Forgetful}
raise SystemExit(run(MAKERS, LOADERS))
"""


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Built:
    tools = tmp_path / "beside" / "benchmarks" / "peers" / "tools"
    tools.mkdir(parents=True)
    (tools / "stub.py").write_text(STUB)
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{tmp_path / 'beside'}")
    record = Environment(name="stub", packages={}, bytes=0, seconds=0.0)
    return Built(Path(sys.executable), record)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    (tmp_path / "checkpoint").write_bytes(b"12345")
    (tmp_path / "texts").write_bytes(b"123")
    return Job(tmp_path / "checkpoint", tmp_path / "out", tmp_path / "texts", 64)


def recipe(how: str) -> Recipe:
    return Recipe(
        name=how, tool="stub", how=how, environment="stub", precision="int8", call=f"stub {how}"
    )


def arm(load: str) -> Arm:
    return Arm(name=load, recipe="good", tool="stub", load=load, environment="stub")


def test_what_a_tool_made_is_weighed(built: Built, job: Job) -> None:
    job.out.mkdir()
    (job.out / "left-over.onnx").write_bytes(b"from an interrupted run")
    made = processes.make(recipe("good"), "small", built, job, lines=3)
    assert (made.exit_code, made.bytes, made.lines, made.said) == (0, 8, 3, "")
    assert made.seconds > 0
    assert processes.found(job.out) == ["model.onnx"]


@pytest.mark.parametrize(
    ("how", "code", "said"),
    [
        ("bad", 1, "ValueError: this option does not exist"),
        ("silent", 0, "it ended with 0 and left no model; see the log"),
        ("program", 7, "it ended with 7 and left no model; it said nothing"),
    ],
)
def test_a_failure_is_in_the_record(built: Built, job: Job, how: str, code: int, said: str) -> None:
    made = processes.make(recipe(how), "small", built, job, lines=1)
    assert made.exit_code == code
    assert said in made.said


def test_a_trial_tells_what_was_left(built: Built, job: Job) -> None:
    trial = Trial(
        tool="stub", environment="stub", what="misspelt option", how="bad", call="stub --bda"
    )
    ending = processes.ending(trial, built, job)
    assert ending.exit_code == 1
    assert ending.left == ("model.onnx",)
    assert ending.said == "ValueError: this option does not exist"


def test_answers_come_from_many_and_chatter_does_not_reach_them(built: Built) -> None:
    options = {"made": Path(), "file": "", "threads": 2, "max_length": 8}
    assert processes.answers(arm("shout"), built, options, ["a", "b"]) == ["A!!", "B!!"]


def test_a_missing_answer_is_an_error(built: Built) -> None:
    options = {"made": Path(), "file": "", "threads": 1, "max_length": 8}
    with pytest.raises(StageError, match="1 answers to 2 texts"):
        processes.answers(arm("forgetful"), built, options, ["a", "b"])


def test_an_unknown_way_is_told(built: Built) -> None:
    options = {"made": Path(), "file": "", "threads": 1, "max_length": 8}
    with pytest.raises(StageError, match="invalid choice: 'whisper'"):
        processes.answers(arm("whisper"), built, options, ["a"])


def test_corruption_cuts_models_in_half_and_nothing_else(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "onnx").mkdir(parents=True)
    (source / "onnx" / "model.onnx").write_bytes(bytes(100))
    (source / "model.safetensors").write_bytes(bytes(51))
    (source / "config.json").write_text("{}")
    cut = processes.corrupted(source, tmp_path / "cut")
    assert (cut / "onnx" / "model.onnx").stat().st_size == 50
    assert (cut / "model.safetensors").stat().st_size == 25
    assert (cut / "config.json").read_text() == "{}"
    assert (source / "onnx" / "model.onnx").stat().st_size == 100


@pytest.fixture
def pins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "pins"
    folder.mkdir()
    monkeypatch.setattr(environments, "PINS", folder)
    return folder


def test_an_environment_is_built_once_and_anew_when_pins_changed(
    pins: Path, tmp_path: Path
) -> None:
    half = tmp_path / "venvs" / "empty"
    half.mkdir(parents=True)
    (half / "ready.json").write_text('{"pins": "oth')  # an interrupted build
    (half / "half.txt").touch()
    (pins / "empty.txt").write_text("# nothing\n")
    first = environments.build("empty", tmp_path / "venvs")
    assert first.python.exists()
    assert first.record.failed == ""
    assert "torch" not in first.record.packages
    assert not (half / "half.txt").exists()
    assert environments.build("empty", tmp_path / "venvs").record == first.record
    (pins / "empty.txt").write_text("./no-such-folder-anywhere\n")
    built = environments.build("empty", tmp_path / "venvs")
    assert "no-such-folder-anywhere" in built.record.failed
    assert built.record.packages == {}
    assert not half.exists()
