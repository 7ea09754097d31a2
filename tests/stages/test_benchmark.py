import subprocess
import sys

import pytest

from edgepipe.artifacts import Report
from edgepipe.errors import StageError
from edgepipe.measure import roofline, rounds, scenarios
from edgepipe.measure.machine import machine
from edgepipe.measure.records import BenchmarkReport, Roofline
from edgepipe.stage import Asked, Work
from edgepipe.stages import benchmark as stage
from edgepipe.stages.benchmark import Benchmark, Inputs
from tests.runtime.tiny_onnx import Tiny
from tests.stages.measured_models import checkpoint, dataset, onnx_model

PEAKS = Roofline(fp32_flops_per_s=1e9, int8_ops_per_s=4e9, bytes_per_s=1e6)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return Inputs(
        reference=checkpoint(folder / "teacher"),
        candidates={
            "reference": onnx_model(folder / "fp32", Tiny(seed=1)),
            "int8": onnx_model(folder / "int8", Tiny(seed=2), precision="int8"),
        },
        data=dataset(folder / "data", count=30, splits=("validation",)),
    )


@pytest.fixture
def quick(monkeypatch):
    real = rounds.Budget

    def shorter(**given):
        return real(**{"rounds": 2, "round_seconds": 0, "round_blocks": 2, **given})

    monkeypatch.setattr(rounds, "Budget", shorter)
    monkeypatch.setattr(roofline, "measure", lambda *, threads: PEAKS)


def test_every_model_is_timed_beside_the_reference(inputs, tmp_path, quick):
    into = tmp_path / "into"
    into.mkdir()
    fp32, int8 = inputs.candidates["reference"], inputs.candidates["int8"]
    wired = Inputs(
        reference=fp32,
        candidates={"reference": int8, "torch": inputs.reference},
        data=inputs.data,
    )
    made = Benchmark(texts=10, batch=20, seconds=0.1)(wired, into, Work(path=tmp_path, seed=4))
    report = BenchmarkReport.read(into / "report.json")
    names = ["reference", "reference (plain session)", "torch"]
    assert isinstance(made, Report)
    assert made.content == "benchmark"
    assert report.reference.name == "the reference"
    assert report.reference.digest == fp32.digest
    assert [arm.name for arm in report.candidates] == names
    assert [speedup.candidate for speedup in report.speedups] == names
    assert [arm.digest for arm in report.candidates] == [
        int8.digest, int8.digest, inputs.reference.digest,
    ]  # fmt: skip
    assert report.candidates[2].bytes == sum(
        file.stat().st_size
        for file in inputs.reference.path.iterdir()
        if file.name != "artifact.json"
    )
    # Two layers in torch against one product in onnxruntime: a factor that no noise can turn.
    assert report.speedups[2].ratio < 0.5
    assert (report.texts, report.batch, report.seed) == (10, 20, 4)
    assert (report.clock, report.threads, report.device) == ("cpu", 1, "cpu")
    assert report.machine == machine()
    assert report.data == inputs.data.digest
    assert [found.candidate for found in report.throughputs] == names
    assert len(report.texts_sha256) == 64
    assert report.roofline == PEAKS
    assert report.reference.floor.share > 0
    assert report.candidates[2].floor is None  # torch
    assert report.server == ()


def test_a_server_is_asked_for_by_its_bound(inputs, tmp_path, quick, monkeypatch):
    into = tmp_path / "into"
    into.mkdir()
    monkeypatch.setattr(scenarios, "_MOST", 10)
    wired = Inputs(
        reference=inputs.candidates["reference"],
        candidates={"int8": inputs.candidates["int8"]},
        data=inputs.data,
    )
    made = Benchmark(
        texts=10, batch=20, plain=False, seconds=8, server_bound_ms=1e4, server_percentile=90
    )
    made(wired, into, Work(path=tmp_path, asked=(Asked("int8", 1e-6, 0.95),)))
    rates = BenchmarkReport.read(into / "report.json").server
    assert [rate.name for rate in rates] == ["the reference", "int8"]
    assert {(rate.bound_ms, rate.percentile) for rate in rates} == {(1e4, 90)}
    assert all(rate.held > 0 for rate in rates)


def test_limits_of_gates_reach_the_clocks(inputs, tmp_path, quick):
    (tmp_path / "into").mkdir()
    work = Work(path=tmp_path, asked=(Asked("nobody", 1.0, 0.95),))
    with pytest.raises(StageError, match="'nobody', which is not timed"):
        Benchmark(texts=10, batch=20)(inputs, tmp_path / "into", work)


def test_arms_run_what_an_application_would(inputs):
    conditions = rounds.Conditions(device="cuda", threads=3)
    teacher = stage._arm("t", inputs.reference, conditions)
    assert teacher.command[:4] == (sys.executable, "-P", "-m", "edgepipe.training.worker_torch")
    assert teacher.command[4:] == (
        *("--checkpoint", str(inputs.reference.path), "--max-length", "16"),
        *("--threads", "3", "--device", "cuda"),
    )
    int8 = stage._arm("i", inputs.candidates["int8"], conditions, plain=True)
    assert int8.device == "cpu"
    assert int8.command[-5:] == ("--device", "cpu", "--threads", "3", "--plain")
    assert stage._arm("f", inputs.candidates["reference"], conditions).device == "cuda"


def test_plain_sessions_can_be_left_out(inputs):
    conditions = rounds.Conditions()
    with_plain = [arm.name for arm in Benchmark()._candidates(inputs, conditions)]
    without = [arm.name for arm in Benchmark(plain=False)._candidates(inputs, conditions)]
    assert len(with_plain) == 4
    assert without == ["reference", "int8"]


def test_a_model_that_cannot_be_loaded_is_named(inputs, tmp_path, quick):
    broken = onnx_model(tmp_path / "m", Tiny())
    (broken.path / "onnx" / "model.onnx").write_bytes(b"not a model")
    (tmp_path / "into").mkdir()
    wired = Inputs(reference=inputs.reference, candidates={"broken": broken}, data=inputs.data)
    with pytest.raises(StageError, match=r"^broken: "):
        Benchmark(plain=False)(wired, tmp_path / "into", Work(path=tmp_path))


def test_an_absent_split_is_refused(inputs):
    with pytest.raises(StageError, match="no 'test' split"):
        Benchmark(split="test").requires(inputs)


def test_an_empty_split_is_refused(inputs, tmp_path):
    empty = dataset(tmp_path / "empty", count=0)
    with pytest.raises(StageError, match="the validation split of the dataset is empty"):
        Benchmark().requires(
            Inputs(reference=inputs.reference, candidates=inputs.candidates, data=empty)
        )


def test_no_candidates_are_refused(inputs):
    with pytest.raises(StageError, match="no candidates"):
        Benchmark().requires(Inputs(reference=inputs.reference, candidates={}, data=inputs.data))


def test_clocks_are_never_cached():
    assert Benchmark.cached is False
    assert Benchmark.measures is True


@pytest.mark.parametrize("module", ["validate", "benchmark"])
def test_reading_a_pipeline_file_imports_nothing_heavy(module):
    heavy = "{'torch', 'transformers', 'sklearn', 'scipy', 'onnxruntime', 'numpy'}"
    code = f"import sys, edgepipe.stages.{module}; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
