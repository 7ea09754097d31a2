"""The benchmark scripts work and write what they found; what they find is not judged here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.tiny_onnx import Tiny, write_bundle

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("benchmarks") / "bundle", Tiny())


def run(script: str, *args: str | Path) -> int:
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "runtime" / f"{script}.py"), *map(str, args)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode in (0, 4, 5), done.stderr
    return done.returncode


def results(folder: Path, name: str) -> dict[str, Any]:
    """The figures, and a table beside them."""
    assert (folder / f"{name}.md").read_text().count("|") > 6
    record = json.loads((folder / f"{name}.json").read_text())
    assert record["bundle"] == "tiny"
    assert record["machine"]["packages"]["onnxruntime"]
    assert str(folder) not in json.dumps(record)
    return record["figures"]


def test_throughput(bundle: Path, tmp_path: Path) -> None:
    given = ("--bundle", bundle, "--texts", "40", "--rounds", "2", "--out", tmp_path)
    assert run("throughput", *given, "--mixture") == 0
    figures = results(tmp_path, "runtime-throughput")
    assert set(figures["runtime_speedup"]) == {"arrival", "longest"}
    assert [len(speeds) for speeds in figures["texts_per_cpu_second"].values()] == [2, 2, 2]
    assert figures["tokens"]["longest"] == 16  # what the tiny model reads


def test_workers(bundle: Path, tmp_path: Path) -> None:
    given = ("--bundle", bundle, "--texts", "40", "--blocks", "2", "--rounds", "2")
    assert run("workers", *given, "--out", tmp_path) == 0
    figures = results(tmp_path, "runtime-workers")
    assert figures["speedup_over_one_worker"]["workers"]["rounds"] == 2


def test_cold_start(bundle: Path, tmp_path: Path) -> None:
    given = ("--bundle", bundle, "--python", sys.executable, "--runs", "1")
    assert run("cold_start", *given, "--out", tmp_path) == 0
    figures = results(tmp_path, "runtime-cold-start")
    (told,) = figures["runs"]["edgepipe.runtime"]
    assert told["answer"]["label"] in Tiny().labels
    parts = (told["import_s"], told["load_s"], told["answer_s"])
    assert told["total_s"] == pytest.approx(sum(parts))
    assert min(told["peak_mb"], figures["installed"]["edgepipe.runtime"]["site_packages_mb"]) > 10


SOAK = ("--calls", "20000", "--every", "200")


def test_a_leak_of_one_answer_a_call_is_caught(bundle: Path, tmp_path: Path) -> None:
    assert run("soak", "--bundle", bundle, *SOAK, "--leak", "--out", tmp_path) == 4
    slope = results(tmp_path, "runtime-soak-leak")["bytes_in_1000_calls"]
    # a list of 64 bytes, a dict of 184, a float of 24, and what the allocator adds
    assert 200_000 < slope["low"] <= slope["bytes"] <= slope["high"] < 1_000_000


def test_a_session_that_keeps_nothing_passes_for_that(bundle: Path, tmp_path: Path) -> None:
    assert run("soak", "--bundle", bundle, *SOAK, "--out", tmp_path) != 4
    assert results(tmp_path, "runtime-soak")["bytes_in_1000_calls"]["low"] < 16_000


def test_threads_get_the_answers_of_one_thread(bundle: Path, tmp_path: Path) -> None:
    given = ("--bundle", bundle, "--threads", "4", "--calls", "100", "--out", tmp_path)
    assert run("soak", *given) == 0
    figures = results(tmp_path, "runtime-soak-threads")
    assert (figures["calls"], figures["differing"]) == (400, 0)


@pytest.mark.slow
def test_the_speed_model_is_a_bundle(bundle: Path, tmp_path: Path) -> None:
    (bundle / "tokenizer_config.json").write_text("{}")
    shape = ("--layers", "1", "--width", "32", "--max-length", "32")
    assert run("speed_model", "--tokenizer", bundle, "--into", tmp_path / "made", *shape) == 0
    manifest = json.loads((tmp_path / "made" / "edgepipe.json").read_text())
    assert [variant["name"] for variant in manifest["variants"]] == ["int8", "fp32"]
    given = ("--bundle", tmp_path / "made", "--threads", "2", "--calls", "5", "--out", tmp_path)
    assert run("soak", *given) == 0
