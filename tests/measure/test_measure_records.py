import json

import pytest

from edgepipe.errors import BundleError
from edgepipe.measure import records
from edgepipe.measure.machine import machine
from edgepipe.measure.records import (
    ArmAccuracy,
    ArmTimes,
    BenchmarkReport,
    ClassScores,
    Comparison,
    Interval,
    Speedup,
    ValidationReport,
)

HALF = Interval(low=0.4, high=0.6)


def accuracy(name: str) -> ArmAccuracy:
    return ArmAccuracy(
        name=name, digest="d", precision="fp32", device="cpu", correct=1, accuracy=0.5,
        interval=HALF, macro_f1=0.5, confusion=((1, 0), (1, 0)), truncated=0,
        classes=(ClassScores(label="no", precision=0.5, recall=1.0, f1=2 / 3, support=1),),
        files={"model.onnx": 7}, bytes=7,
    )  # fmt: skip


def validation() -> ValidationReport:
    comparison = Comparison(
        candidate="int8", examples=2, reference_only=1, candidate_only=0, drop=0.5,
        bootstrap=HALF, score=HALF, mcnemar_p=1.0, agreement=0.5, agreement_interval=HALF,
        flipped=1, flips=(),
    )  # fmt: skip
    return ValidationReport(
        data="d", split="test", labels=("no", "yes"), examples=2, seed=0, resamples=99,
        reference=accuracy("the reference"), candidates=(accuracy("int8"),),
        comparisons=(comparison,),
    )  # fmt: skip


def benchmark() -> BenchmarkReport:
    times = ArmTimes(
        name="the reference", digest="d", device="cpu", bytes=7, calls=20, p50_ms=1.0, p90_ms=2.0,
        p99_ms=None, cpu_p50_ms=0.9, texts_per_second=900.0, texts_per_cpu_second=950.0,
        load_s=0.3, peak_memory_bytes=1000,
    )  # fmt: skip
    speedup = Speedup(
        candidate="int8", ratio=2.0, interval=HALF, standard_error=0.01, degrees_of_freedom=1,
        log_ratios=((0.69, 0.7), (0.68, 0.71)),
    )  # fmt: skip
    return BenchmarkReport(
        machine=machine(), device="cpu", threads=1, clock="cpu", data="d", split="validation",
        texts=10, batch=5, seed=0, seconds=1.5, reference=times, candidates=(times,),
        speedups=(speedup,), control=speedup, doubts=("a doubt",),
    )  # fmt: skip


@pytest.mark.parametrize("report", [validation(), benchmark()])
def test_a_report_reads_back_as_it_was_written(report, tmp_path):
    path = tmp_path / records.REPORT
    report.write(path)
    assert json.loads(path.read_text())["schema"] == 1
    assert records.read(path) == report
    assert type(report).read(path) == report


def test_a_report_of_the_other_kind_is_refused(tmp_path):
    benchmark().write(tmp_path / "r.json")
    with pytest.raises(BundleError, match=r"r\.json is damaged"):
        ValidationReport.read(tmp_path / "r.json")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": 2}, "has schema 2; this edgepipe reads schema 1"),
        ({"schema": None}, "has schema None"),
        ({"content": "horoscope"}, "holds 'horoscope'"),
        ({"examples": "two"}, "is damaged"),
        ({"surplus": 1}, "is damaged"),
    ],
)
def test_what_it_does_not_know_it_refuses(change, said, tmp_path):
    path = tmp_path / "r.json"
    found = validation().model_dump(mode="json", by_alias=True)
    path.write_text(json.dumps({**found, **change}))
    with pytest.raises(BundleError, match=said):
        records.read(path)


@pytest.mark.parametrize("text", ["", "{", "[]", "\N{SNOWMAN}"])
def test_damage_is_one_clear_error(text, tmp_path):
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(BundleError, match=r"r\.json"):
        records.read(path)


def test_an_absent_report_is_one_clear_error(tmp_path):
    with pytest.raises(BundleError, match="no readable report"):
        records.read(tmp_path / "r.json")


def test_the_reference_takes_the_name_that_the_pipeline_gives_it():
    named = records.named(validation(), "teacher")
    assert named.reference.name == "teacher"
    assert named.reference.bytes == 7
    assert named.comparisons == validation().comparisons


def test_reading_reports_needs_no_statistics():
    """A gate may read reports where scipy and scikit-learn are not installed."""
    import subprocess
    import sys

    code = "import sys, edgepipe.measure.records; print([m for m in sys.modules if 'scipy' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
