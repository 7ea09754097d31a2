from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from edgepipe.errors import StageError, UsageError
from edgepipe.measure import roofline
from edgepipe.measure.child import Arm, running
from edgepipe.measure.counts import PerText
from edgepipe.measure.records import Roofline
from edgepipe.measure.worker_peaks import KERNELS, OPERATIONS, Peaks, _graph
from tests.graph import toy_graphs
from tests.graph.toy_graphs import WIDTH

PEAKS = Roofline(fp32_flops_per_s=1e9, int8_ops_per_s=4e9, bytes_per_s=1e6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return toy_graphs.onnx_model(tmp_path_factory.mktemp("m") / "model").path


@pytest.mark.parametrize(
    ("counted", "cache", "ms"),
    [
        (PerText(2e6, 0.0, 10**9), 2 * 10**9, 2.0),  # weights stay in the cache
        (PerText(2e6, 4e6, 0), 0, 3.0),  # floats and integers one after the other
        (PerText(2e6, 4e6, 5000), 0, 5.0),  # memory is slower
        (PerText(2e6, 4e6, 5000), 1000, 4.0),  # a part of them stays
        (PerText(2e6, 4e6, 2000), 0, 3.0),
    ],
    ids=["in the cache", "arithmetic", "memory", "beyond the cache", "memory is faster"],
)
def test_the_floor_is_the_longer_of_arithmetic_and_memory(folder, monkeypatch, counted, cache, ms):
    monkeypatch.setattr(roofline, "per_text", lambda *_: counted)
    monkeypatch.setattr(roofline, "last_cache_bytes", lambda: cache)
    floor = roofline.floor(folder, "fp32", [7], PEAKS, 10.0)
    assert floor.ms == pytest.approx(ms)
    assert floor.share == pytest.approx(ms / 10)
    figures = (floor.fp32_flops, floor.int8_ops, floor.weight_bytes)
    assert figures == (counted.fp32_flops, counted.int8_ops, counted.weight_bytes)


def test_the_floor_of_a_real_folder(folder, monkeypatch):
    monkeypatch.setattr(roofline, "last_cache_bytes", lambda: 10**9)
    floor = roofline.floor(folder, "auto", [4, 6], PEAKS, 1.0)
    flops = 2 * 5 * WIDTH * 2 * WIDTH * 2 + 2 * WIDTH * 2
    assert floor.fp32_flops == pytest.approx(flops)
    assert floor.ms == pytest.approx(flops / 1e9 * 1e3)


def test_an_unknown_variant_has_no_floor(folder):
    with pytest.raises(UsageError, match="no variant 'int4'"):
        roofline.floor(folder, "int4", [4], PEAKS, 1.0)


def cache(root: Path, *sizes: str) -> Path:
    for number, size in enumerate(sizes):
        (root / f"index{number}").mkdir(parents=True)
        (root / f"index{number}" / "size").write_text(size)
    return root


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        (("48K\n", "32K\n", "2048K\n", "266240K\n"), 266240 * 1024),
        (("32K\n", "8M\n"), 8 * 2**20),
        ((), 0),
        (("", "much\n", "K\n", "4096\n"), 0),
    ],
    ids=["four", "two", "none", "other words"],
)
def test_the_last_cache_is_as_large_as_the_system_says(tmp_path, sizes, expected):
    assert roofline.last_cache_bytes(cache(tmp_path / "cache", *sizes)) == expected


@pytest.mark.parametrize(
    ("cached", "expected"), [(0, 64 << 20), (100 << 20, 200 << 20), (1 << 30, 512 << 20)]
)
def test_the_buffer_is_beyond_the_cache_and_within_reason(cached, expected):
    assert roofline._buffer_bytes(cached) == expected


def test_a_real_machine_has_peaks(monkeypatch):
    monkeypatch.setattr(roofline, "_SECONDS", 0.0)
    monkeypatch.setattr(roofline, "_CALLS", 1)
    monkeypatch.setattr(roofline, "_BUFFER", (1 << 20, 1 << 20))
    found = roofline.measure(threads=1)
    assert 1e6 < found.fp32_flops_per_s < 1e15
    assert 1e6 < found.int8_ops_per_s < 1e15
    assert 1e6 < found.bytes_per_s < 1e15


@pytest.mark.parametrize(
    ("operator", "kinds"),
    [("MatMul", (np.float32, np.float32)), ("MatMulInteger", (np.uint8, np.int32))],
    ids=["floats", "integers"],
)
def test_a_kernel_multiplies_what_it_says(operator, kinds):
    session = ort.InferenceSession(
        _graph(operator).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (takes,), (gives,) = session.get_inputs(), session.get_outputs()
    x = np.zeros(takes.shape, kinds[0])
    x[:, 0] = 1
    found = session.run(None, {"x": x})[0]
    assert 2 * x.size * gives.shape[1] == OPERATIONS
    assert found.dtype == kinds[1]
    assert found.min() < -100  # signed weights
    assert (found == found[0]).all()


def test_peaks_answer_by_name():
    peaks = Peaks(threads=1, buffer_bytes=4096)
    assert peaks.one("read") == 1.0
    assert len(peaks.many(KERNELS)) == 3


def test_the_child_times_what_it_is_asked_for():
    command = (sys.executable, "-P", "-m", "edgepipe.measure.worker_peaks", "--buffer", "4096")
    with running(Arm("peaks", command), threads=1) as child:
        child.load("thread")
        assert len(child.block(["read"] * 3, 1).cpu_ns) == 2
        with pytest.raises(StageError, match=r"peaks: .*gallop"):
            child.block(["gallop"], 0)
