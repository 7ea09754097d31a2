"""pipelines/tiny.toml, run whole by the program itself, as a user would."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from edgepipe import runtime
from tests.end_to_end import kill_chain

ROOT = Path(__file__).parents[2]
TINY = ROOT / "pipelines" / "tiny.toml"
STEPS = [
    *("reviews", "teacher", "student", "exported", "fp32", "int8"),
    *("counts", "accuracy", "speed", "bundle"),
]


def edgepipe(*args: str | Path) -> subprocess.CompletedProcess[str]:
    command = kill_chain.command(*args)
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tiny")
    done = edgepipe("run", TINY, "--artifacts", root)
    assert done.returncode == 0, done.stderr
    assert "verdict: pass" in done.stdout
    return root


@pytest.mark.slow
def test_the_bundle_answers_and_the_report_says_how_well(artifacts: Path) -> None:
    bundle = artifacts / "tiny" / "bundle"
    done = edgepipe("predict", bundle, "--json", "A wonderful film.", "Dull and pointless.")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [a["label"] for a in answers] == ["positive", "negative"]
    report = json.loads((artifacts / "tiny" / "report.json").read_text())
    assert [s["name"] for s in report["steps"]] == STEPS
    assert report["verdicts"][0]["outcome"] == "pass"


@pytest.mark.slow
def test_the_figures_of_the_report_are_those_of_the_bundle(artifacts: Path) -> None:
    lines = (ROOT / "pipelines/data/movie-reviews/test.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    report = json.loads((artifacts / "tiny" / "report.json").read_text())
    found = {a["name"]: a["correct"] for a in report["measured"]["accuracy"]["candidates"]}
    for variant in ("int8", "fp32"):
        with runtime.load(artifacts / "tiny" / "bundle", variant=variant, threads=1) as model:
            answers = model.logits([row["text"] for row in rows], exact=True).argmax(axis=1)
        right = sum(int(a) == row["label"] for a, row in zip(answers, rows, strict=True))
        assert right == found[variant]


@pytest.mark.slow
def test_a_second_run_says_that_it_reuses_everything_but_the_clocks(artifacts: Path) -> None:
    before = (artifacts / "tiny" / "bundle" / "edgepipe.json").read_bytes()
    done = edgepipe("run", TINY, "--artifacts", artifacts)
    assert done.returncode == 0
    reused = [line.split()[0] for line in done.stderr.splitlines() if line.endswith(": reused")]
    assert reused == [step for step in STEPS if step != "speed"]
    assert (artifacts / "tiny" / "bundle" / "edgepipe.json").read_bytes() == before


@pytest.mark.slow
def test_plan_names_the_setting_that_changed(artifacts: Path, tmp_path: Path) -> None:
    text = TINY.read_text().replace("epochs = 1", "epochs = 2")
    text = text.replace('"data/', f'"{ROOT}/pipelines/data/')
    (tmp_path / "changed.toml").write_text(text)
    done = edgepipe("plan", tmp_path / "changed.toml", "--artifacts", artifacts, "--json")
    planned = {p["name"]: (p["action"], p["why"]) for p in json.loads(done.stdout)}
    assert planned["teacher"] == ("reuse", [])
    assert planned["student"] == ("run", ["setting epochs: 1 -> 2"])
    assert planned["exported"] == ("depends", ["on student"])


@pytest.mark.slow
def test_gate_judges_the_report_again(artifacts: Path) -> None:
    done = edgepipe("gate", artifacts / "tiny" / "report.json")
    assert done.returncode == 0
    assert done.stdout.startswith("PASS")


@pytest.mark.slow
def test_killed_in_the_middle_of_every_step_it_ends_with_the_same_bundle(
    artifacts: Path, tmp_path: Path
) -> None:
    killed = kill_chain.killed_everywhere(TINY, tmp_path, after=1.5)
    assert {"teacher", "student", "exported", "speed"} <= set(killed)
    done = edgepipe("run", TINY, "--artifacts", tmp_path)
    assert done.returncode == 0, done.stderr
    files = ["config.json", "tokenizer.json", "tokenizer_config.json", "golden.jsonl"]
    if kill_chain.choices(tmp_path, "tiny") == kill_chain.choices(artifacts, "tiny"):
        files += ["edgepipe.json", "README.md", "bom.cdx.json", "provenance.json"]
        files += ["onnx/model.onnx", "onnx/model_quantized.onnx"]
    for file in files:
        ours, theirs = (root / "tiny" / "bundle" / file for root in (tmp_path, artifacts))
        assert ours.read_bytes() == theirs.read_bytes(), file


@pytest.mark.slow
def test_ctrl_c_is_said_in_one_line(tmp_path: Path) -> None:
    child = kill_chain.start(TINY, tmp_path)
    assert child.stderr is not None
    for line in child.stderr:
        if line.startswith("teacher (train): running"):
            break
    time.sleep(3)
    child.send_signal(signal.SIGINT)
    _, rest = child.communicate()
    assert child.returncode == 130
    assert "Traceback" not in rest
    assert "interrupted; finished steps are kept" in rest
