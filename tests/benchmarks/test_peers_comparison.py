"""A comparison with tools that are well, break, or cannot be installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.peers import comparison, environments
from benchmarks.peers.__main__ import _rotten as rotten
from benchmarks.peers.comparison import Comparison, Data
from benchmarks.peers.lineup import MAIN, Arm, Lineup, Recipe, Table, Trial
from benchmarks.peers.records import Crash
from benchmarks.peers.work import Work
from edgepipe.errors import StageError
from tests.benchmarks import peers_results as made_up

ROOT = Path(__file__).parents[2]
STUB = '''
from benchmarks.peers.tool import run


def copy(job):
    (job.out / "model.onnx").write_bytes((job.checkpoint / "model.safetensors").read_bytes())


def bad(job):
    raise ValueError("no such option")


def whole(job):
    if len((job.checkpoint / "model.safetensors").read_bytes()) < 10:
        raise ValueError("cut short in /home/someone/folder/model.safetensors")
    copy(job)


class Guess:
    """Right where a text says so itself; ``wrong`` turns every fifth answer round."""

    every = 0

    def __init__(self, setup):
        self.made = setup.made

    def one(self, text):
        number, label = text.split()
        return "no" if label == "yes" and self.every and int(number) % self.every == 0 else label

    def many(self, texts):
        return [self.one(text) for text in texts]

    def label(self, answer):
        return answer


class Wrong(Guess):
    every = 5


class Broken(Guess):
    def __init__(self, setup):
        raise OSError("a library is missing")


MAKERS = {"copy": copy, "bad": bad, "whole": whole}
LOADERS = {"guess": Guess, "wrong": Wrong, "broken": Broken}

if __name__ == "__main__":
    raise SystemExit(run(MAKERS, LOADERS))
'''


def recipe(name: str, how: str, environment: str = MAIN, of: str = "") -> Recipe:
    return Recipe(
        name=name, tool="stub", how=how, environment=environment, precision="int8",
        call=f"stub {how}", of=of,
    )  # fmt: skip


def arm(name: str, of: str, load: str = "guess", environment: str = MAIN) -> Arm:
    return Arm(name=name, recipe=of, tool="stub", load=load, environment=environment)


LINEUP = Lineup(
    recipes=(
        recipe("itself", ""),
        recipe("copied", "copy"),
        recipe("crashed", "bad"),
        recipe("built on a crash", "copy", of="crashed"),
        recipe("not installed", "copy", environment="lost"),
    ),
    trials=(
        Trial(tool="stub", environment=MAIN, what="corrupt checkpoint", how="whole", call="stub"),
        Trial(tool="stub", environment="lost", what="misspelt option", how="bad", call="stub -x"),
    ),
    tables=(
        Table(
            name="tools",
            title="",
            model="small",
            arms=(
                arm("torch", "itself"),
                arm("wrong", "copied", "wrong"),
                arm("crashed", "crashed"),
                arm("built on a crash", "built on a crash"),
                arm("not installed", "not installed"),
                arm("not installed here", "copied", environment="lost"),
                arm("broken", "copied", "broken"),
            ),
            max_length=8,
            rounds=2,
            batch=8,
            blocks=2,
        ),
    ),
)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Comparison:
    tools = tmp_path / "beside" / "benchmarks" / "peers" / "tools"
    tools.mkdir(parents=True)
    (tools / "stub.py").write_text(STUB)
    monkeypatch.setattr(comparison, "TOOLS", tools)
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{tmp_path / 'beside'}")
    (tmp_path / "pins").mkdir()
    (tmp_path / "pins" / "lost.txt").write_text("./no-such-folder-anywhere\n")
    monkeypatch.setattr(environments, "PINS", tmp_path / "pins")
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "model.safetensors").write_bytes(b"0123456789")
    (checkpoint / "config.json").write_text(json.dumps({"id2label": {"0": "no", "1": "yes"}}))
    rows = [{"text": f"{n} {('no', 'yes')[n % 2]}", "label": n % 2} for n in range(20)]
    for name in ("train", "test"):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    said: list[str] = []
    return Comparison(
        lineup=LINEUP,
        work=Work(tmp_path / "work", {}),
        data=Data(train=tmp_path / "train.jsonl", test=tmp_path / "test.jsonl"),
        checkpoints={"small": checkpoint},
        environments=tmp_path / "venvs",
        seed=0,
        say=said.append,
    )


def test_what_fails_is_told_and_the_rest_is_measured(run: Comparison) -> None:
    (lost,) = run.build()
    assert "no-such-folder-anywhere" in lost.failed
    made = {found.recipe: found for found in run.make()}
    assert made["itself"].bytes == sum(f.stat().st_size for f in run.checkpoints["small"].iterdir())
    assert (made["copied"].exit_code, made["copied"].bytes) == (0, 10)
    assert made["crashed"].exit_code == 1
    assert made["crashed"].said.endswith("ValueError: no such option")
    assert "crashed made nothing" in made["built on a crash"].said
    assert "lost could not be built" in made["not installed"].said

    (table,) = LINEUP.tables
    accurate, crashes = run.accuracy(table)
    found = {row.arm: row for row in accurate}
    assert found["torch"].accuracy == 1
    # 5 and 15 are the multiples of 5 below 20 whose answer is yes
    assert (found["wrong"].accuracy, found["wrong"].flips) == (0.9, 2)
    assert found["wrong"].drop == pytest.approx(0.1)
    why = {crash.arm: crash.why for crash in crashes}
    assert set(why) == {
        "crashed", "built on a crash", "not installed", "not installed here", "broken",
    }  # fmt: skip
    assert why["broken"].endswith("OSError: a library is missing")
    assert "lost could not be built" in why["not installed here"]

    times = run.clocks(table, crashes)
    assert [candidate.name for candidate in times.report.candidates] == ["wrong"]
    assert {crash.arm for crash in times.crashes} == set(why)
    assert all(crash.command.startswith("stub ") for crash in times.crashes if crash.arm != "torch")


def test_a_wrong_ending_is_known_by_its_code_and_no_folder(run: Comparison) -> None:
    run.build()
    (ending,) = run.endings()
    assert (ending.exit_code, ending.left) == (1, ())
    assert ending.said == "ValueError: cut short in …/model.safetensors"
    assert not any(path.is_dir() and "tmp" in path.name for path in run.work.folder.iterdir())


def test_what_is_done_is_not_done_again(run: Comparison) -> None:
    run.build()
    first = run.make()
    for folder in (run.work.folder / "made").rglob("model.onnx"):
        folder.write_bytes(b"not made anew")
    assert run.make() == first
    table = LINEUP.tables[0]
    accurate, crashes = run.accuracy(table)
    times = run.clocks(table, crashes)
    (run.data.test).write_text((run.data.test).read_text())
    assert run.clocks(table, crashes) == times
    assert (run.work.folder / "made" / "small" / "copied" / "model.onnx").read_bytes() == (
        b"not made anew"
    )
    assert [row.arm for row in accurate] == ["torch", "wrong"]


def test_without_the_reference_nothing_is_compared(run: Comparison) -> None:
    run.build()
    table = replace(LINEUP.tables[0], arms=(arm("torch", "itself", "broken"),))
    with pytest.raises(
        StageError, match=r"(?s)torch, the reference, does not answer: .*is missing"
    ):
        run.accuracy(table)


def test_a_checkpoint_that_is_none_is_refused_before_anything_runs(tmp_path: Path) -> None:
    done = subprocess.run(
        (
            sys.executable,
            "-m",
            "benchmarks.peers",
            "--checkpoint",
            tmp_path,
            "--work",
            tmp_path / "w",
        ),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 2
    assert done.stderr == (
        f"error: {tmp_path} has no config.json: --checkpoint wants a folder that "
        "from_pretrained reads, with config.json and tokenizer.json\n"
    )
    assert not (tmp_path / "w").exists()


def test_a_quick_run_fails_with_anything_that_breaks(capsys: pytest.CaptureFixture[str]) -> None:
    results = made_up.results()
    whole = tuple(found.model_copy(update={"crashes": ()}) for found in results.clocks)
    assert rotten(results.model_copy(update={"clocks": whole})) == 0
    gone = Crash(arm="edgepipe int8", why="its library is gone", command="")
    broken = (whole[0].model_copy(update={"crashes": (gone,)}), *whole[1:])
    assert rotten(results.model_copy(update={"clocks": broken})) == 3
    assert capsys.readouterr().err == "error: edgepipe int8: its library is gone\n"
