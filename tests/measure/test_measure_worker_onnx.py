import io
import json
import sys

import numpy as np

from edgepipe.measure import worker_onnx
from edgepipe.measure.child import onnx_arm, running
from edgepipe.measure.latency import compare
from edgepipe.measure.rounds import Budget, Conditions, Texts
from tests.runtime.tiny_onnx import Tiny, write_bundle

TEXTS = ["good film", "the plot", "a very bad film", "ok"]


def test_a_bundle_is_served(tmp_path):
    bundle = write_bundle(tmp_path / "bundle", Tiny())
    with running(onnx_arm("tiny", bundle, device="cpu", threads=1), threads=1) as worker:
        assert 0 < worker.load("thread") < 60
        block = worker.block(TEXTS, 1)
        assert len(block.cpu_ns) == 3
        assert min(block.cpu_ns) > 0
        assert worker.many(TEXTS).wall_ns > 0
        assert worker.peak_memory() > 10_000_000


def test_the_runtime_answers_as_the_model_does(tmp_path):
    from edgepipe.runtime import load

    tiny = Tiny()
    answerer = worker_onnx.OnnxAnswerer(load(write_bundle(tmp_path / "bundle", tiny), threads=1))
    expected = [tiny.labels[int(np.argmax(tiny.logits(text)))] for text in TEXTS]
    assert [answer["label"] for answer in answerer.many(TEXTS)] == expected
    assert [answerer.one(text)[0]["label"] for text in TEXTS] == expected


def test_a_bundle_that_is_not_there_is_answered_as_an_error(tmp_path, monkeypatch):
    said = io.StringIO()
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"do": "load", "clock": "thread"}\n'))
    monkeypatch.setattr(sys, "stdout", said)
    code = worker_onnx.main(["--model", str(tmp_path / "nothing")])
    answer = json.loads(said.getvalue())
    assert answer["exit_code"] == code != 0
    assert "nothing" in answer["error"]


def test_an_identical_model_measures_alike(tmp_path):
    """End to end with real children; only that figures come out, not what the clock says."""
    bundle = write_bundle(tmp_path / "bundle", Tiny())
    arms = [
        onnx_arm(name, bundle, device="cpu", threads=1, plain=plain)
        for name, plain in (("reference", False), ("plain", True))
    ]
    budget = Budget(rounds=2, round_seconds=0, round_blocks=2, seconds=0)
    measured = compare(arms[0], arms[1:], Texts(TEXTS, TEXTS), Conditions(budget=budget))
    assert measured.speedups[0].candidate == "plain"
    assert measured.speedups[0].interval.low < measured.speedups[0].interval.high
    assert measured.candidates[0].texts_per_second > 0
