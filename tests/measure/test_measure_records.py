import base64
import json
import tracemalloc
import zlib

import numpy as np
import pytest
from pydantic import ValidationError

from edgepipe.errors import BundleError, UsageError
from edgepipe.measure import records
from edgepipe.measure.records import (
    PROBABILITIES,
    REFERENCE,
    CountsReport,
    Estimate,
    Record,
    ValidationReport,
    packed,
    unpacked,
)
from tests.pipeline import measured

VALIDATION = measured.validation(3, 2, 50, names=(REFERENCE, "int8"))
BENCHMARK = measured.benchmark(((0.69, 0.7), (0.68, 0.71)))
COUNTS = measured.counts()


@pytest.mark.parametrize("report", [VALIDATION, BENCHMARK, COUNTS], ids=lambda r: r.content)
def test_a_report_reads_back_as_it_was_written(report, tmp_path):
    path = tmp_path / records.REPORT
    report.write(path)
    assert json.loads(path.read_text())["schema"] == 2
    assert records.read(path) == report
    assert type(report).read(path) == report


@pytest.mark.parametrize("kind", [ValidationReport, CountsReport], ids=lambda kind: kind.__name__)
def test_a_report_of_another_kind_is_refused(kind, tmp_path):
    BENCHMARK.write(tmp_path / "r.json")
    with pytest.raises(BundleError, match=r"r\.json is damaged"):
        kind.read(tmp_path / "r.json")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": 1}, "has schema 1; this edgepipe reads schema 2"),
        ({"schema": None}, "has schema None"),
        ({"content": "horoscope"}, "holds 'horoscope'"),
        ({"examples": "two"}, "is damaged"),
        ({"surplus": 1}, "is damaged"),
        ({"truth": packed([0] * 49)}, "packed figures are not 50"),
        ({"truth": packed([1] * 50)}, "answers and the count of right ones differ"),
        ({"truth": "no base64"}, "packed figures are damaged"),
        ({"labels": []}, "an answer is none of the labels"),
        ({"comparisons": []}, "comparisons and candidates differ"),
        ({"unlabelled": 5}, "packed figures are"),
        ({"unlabelled": 10**9}, "less than or equal to 100000000"),
        ({"unlabelled": 10**8}, "cannot hold 100000000 figures"),
        ({"examples": -1}, "greater than or equal to 0"),
        ({"resamples": 98}, "greater than or equal to 99"),
        ({"labels": ["a"] * 100_001}, "at most 100000 items"),
    ],
)
def test_what_it_does_not_know_it_refuses(change, said, tmp_path):
    path = tmp_path / "r.json"
    found = VALIDATION.model_dump(mode="json", by_alias=True)
    path.write_text(json.dumps({**found, **change}))
    with pytest.raises(BundleError, match=said):
        records.read(path)


@pytest.mark.parametrize("field", ["examples", "reference_only", "candidate_only"])
def test_a_comparison_that_its_answers_do_not_bear_out_is_refused(field, tmp_path):
    path = tmp_path / "r.json"
    found = VALIDATION.model_dump(mode="json", by_alias=True)
    found["comparisons"][0][field] -= 1
    path.write_text(json.dumps(found))
    with pytest.raises(BundleError, match="int8: answers and the counts of its comparison differ"):
        records.read(path)


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("candidates", 0, "calls"), -1, "greater than or equal to 0"),
        (("candidates", 0, "calls"), 10**9, "less than or equal to 100000000"),
        (("candidates", 0, "bytes"), -1, "greater than or equal to 0"),
        (("candidates", 0, "p90_ms"), -0.5, "greater than or equal to 0"),
        (("candidates", 0, "quantiles_ms"), [], "at least 101 items"),
        (("speedups", 0, "log_ratios"), [[0.1, 0.2]], "at least 2 items"),
        (("speedups", 0, "log_ratios"), [[0.1], []], "at least 1 item"),
        (("speedups", 0, "log_ratios"), [[0.1], [1e3]], "less than or equal to 50"),
        (("control", "log_ratios"), [[0.1], [-50.1]], "greater than or equal to -50"),
        (("speedups", 0, "ratio"), 0.0, "greater than 0"),
        (("texts",), -1, "greater than or equal to 0"),
    ],
)
def test_figures_that_cannot_be_are_refused(place, value, said, tmp_path):
    path = tmp_path / "r.json"
    found = BENCHMARK.model_dump(mode="json", by_alias=True)
    inner = found
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    path.write_text(json.dumps(found))
    with pytest.raises(BundleError, match=said):
        records.read(path)


@pytest.mark.parametrize("error", [ZeroDivisionError, OverflowError, IndexError, RecursionError])
def test_whatever_goes_wrong_in_reading_is_damage(error, tmp_path, monkeypatch):
    path = tmp_path / "r.json"
    VALIDATION.write(path)

    def fails(*_, **__):
        raise error("odd")

    monkeypatch.setattr(ValidationReport, "labels_of_texts", fails)
    with pytest.raises(BundleError, match=r"r\.json is damaged: odd"):
        records.read(path)


def test_a_count_that_the_text_cannot_hold_takes_no_memory(monkeypatch):
    """zlib's limit is 1032 times (RFC 1951: 258 bytes in two bits at least)."""
    most = packed([0] * 10**6)
    assert unpacked(most, 10**6).sum() == 0
    monkeypatch.setattr(zlib, "decompressobj", lambda: pytest.fail("it unfolds"))
    with pytest.raises(ValueError, match="cannot hold 100000000 figures"):
        unpacked(packed([1, 2]), 10**8)


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
    named = records.named(VALIDATION, "teacher")
    assert named.reference.name == "teacher"
    assert named.reference.bytes == VALIDATION.reference.bytes
    assert named.comparisons == VALIDATION.comparisons
    assert records.named(COUNTS, "teacher") == COUNTS


@pytest.mark.parametrize("values", [[], [0], [2, 0, -1, 2**31 - 1], list(range(1000))])
def test_packed_integers_come_back(values):
    found = unpacked(packed(values), len(values))
    assert found.dtype == np.int64
    assert found.tolist() == values


def test_a_packed_bomb_is_refused_before_it_unfolds():
    bomb = base64.b64encode(zlib.compress(bytes(40_000_000), 9)).decode()
    tracemalloc.start()
    with pytest.raises(ValueError, match="packed figures are not 2"):
        unpacked(bomb, 2)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_bounds_are_taken_at_the_next_level_kept():
    found = Estimate(value=0.0, quantiles=tuple(range(len(PROBABILITIES))))
    at = {0.95: 0.05, 0.975: 0.025, 0.999: 0.001, 0.93: 0.05, 0.6: 0.25}
    for confidence, tail in at.items():
        bounds = found.bounds(confidence)
        assert bounds.low == PROBABILITIES.index(tail)
        assert bounds.high == PROBABILITIES.index(1 - tail)
    with pytest.raises(UsageError, match=r"up to a confidence of 0\.999"):
        found.bounds(0.9999)


@pytest.mark.parametrize("quantiles", [(0.0,) * 3, (*[0.0] * 14, -1.0)])
def test_quantiles_are_all_there_and_rise(quantiles):
    with pytest.raises(ValidationError, match="rising order"):
        Estimate(value=0.0, quantiles=quantiles)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_no_record_holds_what_json_cannot(bad):
    class Figure(Record):
        value: float

    with pytest.raises(ValidationError, match="finite"):
        Figure(value=bad)


def test_reading_reports_needs_no_statistics():
    """A gate may read reports where scipy and scikit-learn are not installed."""
    import subprocess
    import sys

    code = "import sys, edgepipe.measure.records; print([m for m in sys.modules if 'scipy' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
