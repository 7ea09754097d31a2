"""Copies of a bundle are as they should be; each option of the full set is left out once."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from edgepipe.measure.child import running
from edgepipe.runtime import load
from tests.graph import toy_graphs

GATE = Path(__file__).parents[2] / "benchmarks" / "gate"
SESSION = {
    "disabled_optimizers": ["A", "B"],
    "graph_optimization_level": "basic",
    "config_entries": {"session.disable_prepacking": "1"},
}


@pytest.fixture(scope="module")
def arms():
    spec = importlib.util.spec_from_file_location("session_arms", GATE / "session_arms.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["session_arms"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["session_arms"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    proto = toy_graphs.encoder()
    for node in proto.graph.node:
        if list(node.output) == ["residual"]:
            node.op_type = "Sum"
    return toy_graphs.onnx_model(tmp_path_factory.mktemp("b") / "bundle", proto).path


def test_each_option_is_left_out_once(arms):
    found = list(arms.arrangements(SESSION, threads=1, has_sum=True))
    assert [one.name for one in found[:2]] == ["the full set", "plain session"]
    left_out = {one.name: one.stands for one in found if one.stands}
    assert left_out == {
        "without spinning off": "runtime",
        "without inter_op_num_threads": "runtime",
        "without the record of assignment": "runtime",
        "without A disabled": "manifest",
        "without B disabled": "manifest",
        "without session.disable_prepacking": "manifest",
        "without its level": "manifest",
    }
    changed = {}
    for one in found:
        session = json.loads(json.dumps(SESSION))
        if one.change:
            one.change(session)
        changed[one.name] = session
    assert changed["without A disabled"] == {**SESSION, "disabled_optimizers": ["B"]}
    assert changed["without its level"]["graph_optimization_level"] == "all"
    assert changed["without session.disable_prepacking"]["config_entries"] == {}
    assert len({one.name for one in found}) == len(found)


def test_a_copy_differs_where_it_should_and_the_bundle_stays(arms, bundle, tmp_path):
    before = {path.name: path.read_bytes() for path in bundle.iterdir()}
    assert arms.has_sum(bundle, "fp32")
    settings = arms.settings(bundle, "fp32")
    wanted = {a.name: a for a in arms.arrangements(settings, threads=1, has_sum=True)}
    for number, name in enumerate(
        ("without spinning off", "Add in place of Sum, SkipLayerNormFusion disabled")
    ):
        folder = arms.arranged(bundle, "fp32", wanted[name], tmp_path / str(number))
        with load(folder, threads=1) as model, load(bundle, threads=1) as original:
            assert model("a good film") == original("a good film")
    entries = arms.settings(tmp_path / "0", "fp32")["config_entries"]
    assert entries == {"session.intra_op.allow_spinning": "1"}
    operators = [node.op_type for node in onnx.load(tmp_path / "1" / "model.onnx").graph.node]
    assert "Sum" not in operators
    assert {path.name: path.read_bytes() for path in bundle.iterdir()} == before


@pytest.mark.parametrize("patch", ["nothing", "inter_op", "record"])
def test_the_worker_answers_without_an_option(arms, bundle, patch):
    one = next(iter(arms.arrangements(arms.settings(bundle, "fp32"), threads=1, has_sum=False)))
    with running(arms.arm(replace(one, patch=patch), bundle, "fp32", 1), threads=1) as child:
        child.load("thread")
        assert len(child.block(["a good film"], 0).cpu_ns) == 1
