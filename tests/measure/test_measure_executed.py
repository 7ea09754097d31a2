"""What is said to run, against the graph that onnxruntime itself saves after its optimizers."""

from __future__ import annotations

import platform
from collections import Counter
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from edgepipe.errors import BundleError, StageError
from edgepipe.measure import executed as module
from edgepipe.measure.executed import executed
from edgepipe.measure.subject import subject
from edgepipe.runtime.manifest import SessionSettings
from edgepipe.runtime.session import SessionPlan
from tests.graph import toy_graphs
from tests.graph.toy_graphs import WIDTH
from tests.measure.graphs import zeros

CPU = "CPUExecutionProvider"
ATTENTIVE = """
<ir_version: 10, opset_import: ["" : 20]>
g (int64[batch, sequence] input_ids, int64[batch, sequence] attention_mask)
  => (float[batch, 2] logits)
{
  words = Gather (table, input_ids)
  normed = LayerNormalization <axis = -1> (words, gain, shift)
  turned = Transpose <perm = [0, 2, 1]> (normed)
  scores = MatMul (normed, turned)
  scaled = Mul (scores, half)
  shares = Softmax <axis = -1> (scaled)
  seen = MatMul (shares, normed)
  residual = Add (seen, normed)
  again = LayerNormalization <axis = -1> (residual, gain, shift)
  channels = Transpose <perm = [0, 2, 1]> (again)
  image = Unsqueeze (channels, third)
  folded = Conv <pads = [1, 0, 1, 0]> (image, filter)
  active = Relu (folded)
  mean = ReduceMean <keepdims = 0> (active, last)
  kept = Cast <to = 1> (attention_mask)
  one = ReduceMax <keepdims = 1> (kept, last_mask)
  weighed = Mul (mean, one)
  logits = Gemm <transB = 1> (weighed, head, offset)
}
"""
SETTINGS = {
    "all": {},
    "no fused norms": {"disabled_optimizers": ("SkipLayerNormFusion",)},
    "extended": {"graph_optimization_level": "extended"},
    "basic": {"graph_optimization_level": "basic"},
    "none": {"graph_optimization_level": "disable"},
}


def attentive():
    arrays = {n: a for n, a in toy_graphs.weights().items() if n not in ("first", "second", "bias")}
    more = {
        "half": zeros() + 0.5, "filter": zeros(WIDTH, WIDTH, 3, 1),
        "third": np.array([3]), "last": np.array([2, 3]), "last_mask": np.array([1]),
    }  # fmt: skip
    return toy_graphs.filled(ATTENTIVE, {**arrays, **more})


@pytest.fixture(scope="module", params=["encoder", "attentive"])
def asked(request, tmp_path_factory):
    proto = {"encoder": toy_graphs.encoder, "attentive": attentive}[request.param]()
    return subject(toy_graphs.onnx_model(tmp_path_factory.mktemp("m") / "model", proto).path)


def saved_operators(path, target, settings=None):
    """The graph that a session of ours saves."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(target)
    if settings is not None:
        level = {"disable": "DISABLE_ALL", "basic": "ENABLE_BASIC", "all": "ENABLE_ALL",
                 "extended": "ENABLE_EXTENDED"}[settings.graph_optimization_level]  # fmt: skip
        options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, f"ORT_{level}")
    ort.InferenceSession(
        path, options, providers=[CPU],
        disabled_optimizers=list(settings.disabled_optimizers) if settings else [],
    )  # fmt: skip
    nodes = onnx.load(target).graph.node
    return {CPU: dict(sorted(Counter(n.op_type for n in nodes if n.op_type != "Constant").items()))}


@pytest.mark.parametrize("name", SETTINGS)
def test_what_runs_is_what_onnxruntime_saves(asked, tmp_path, name):
    settings = SessionSettings(**SETTINGS[name])
    graph = replace(asked.graph, session=settings)
    expected = saved_operators(asked.file, tmp_path / "saved.onnx", settings)
    assert executed(replace(asked, graph=graph), 7, device="cpu") == expected


def test_a_plain_session_takes_no_notice_of_the_bundles_settings(asked, tmp_path):
    settings = SessionSettings(graph_optimization_level="disable")
    bare = replace(asked, graph=replace(asked.graph, session=settings))
    found = executed(bare, 7, device="cpu", plain=True)
    assert found == saved_operators(asked.file, tmp_path / "saved.onnx")
    assert found != executed(bare, 7, device="cpu")


def test_fusions_of_every_level_are_seen(tmp_path):
    made = toy_graphs.onnx_model(tmp_path / "model", attentive())
    found = executed(subject(made.path), 7, device="cpu")[CPU]
    assert {"SkipLayerNormalization", "FusedMatMul"} <= found.keys()
    layout = {"ReorderInput", "ReorderOutput"}
    assert layout <= found.keys() or platform.machine() != "x86_64"  # each machine has its own
    assert "Relu" not in found
    assert found["LayerNormalization"] == 1


def test_the_record_of_assignment_is_older_than_the_fusions(tmp_path):
    """Why the runtime's ``explain`` is not asked: should this fail one day, it may be."""
    made = toy_graphs.onnx_model(tmp_path / "model", attentive())
    options = ort.SessionOptions()
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    session = ort.InferenceSession(made.path / "model.onnx", options, providers=[CPU])
    recorded = Counter(
        node.op_type
        for part in session.get_provider_graph_assignment_info()
        for node in part.get_nodes()
    )
    found = executed(subject(made.path), 7, device="cpu")[CPU]
    assert "SkipLayerNormalization" in found
    assert "SkipLayerNormalization" not in recorded


def test_nothing_is_left_behind(asked, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    executed(asked, 3, device="cpu")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_graph_is_one_error(tmp_path):
    made = toy_graphs.onnx_model(tmp_path / "model")
    whole = (made.path / "model.onnx").read_bytes()
    asked = subject(made.path)
    (made.path / "model.onnx").write_bytes(whole[:-100])
    with pytest.raises(BundleError, match=r"model.onnx cannot be loaded"):
        executed(asked, 7, device="cpu")


def test_a_profile_without_nodes_is_an_error(asked, monkeypatch):
    monkeypatch.setattr(module, "recorded", lambda session: (session.end_profiling(), ())[1])
    with pytest.raises(StageError, match="tells of no node"):
        executed(asked, 7, device="cpu")


def test_on_cuda_nothing_is_replayed(asked, tmp_path, monkeypatch):
    """By hand, since few machines have a GPU: replays want inputs bound to their place."""
    given = {}

    class First:
        def get_session_options(self):
            return ort.SessionOptions()

        def get_provider_options(self):
            return {"CUDAExecutionProvider": {"enable_cuda_graph": "1", "use_tf32": "0"}, CPU: {}}

    class Runtime:
        @staticmethod
        def InferenceSession(path, options, **rest):  # noqa: N802 (onnxruntime's name)
            given.update(rest, path=path, profiled=options.enable_profiling)

    monkeypatch.setattr(module, "open_session", lambda _: First())
    monkeypatch.setattr(module, "onnxruntime", lambda: Runtime)
    module._again(SessionPlan(asked.file, SessionSettings(("A",)), "cuda", 1), tmp_path / "run")
    assert given == {
        "providers": [("CUDAExecutionProvider", {"enable_cuda_graph": "0", "use_tf32": "0"})],
        "disabled_optimizers": ["A"], "enable_fallback": 0, "path": str(asked.file),
        "profiled": True,
    }  # fmt: skip
