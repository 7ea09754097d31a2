from __future__ import annotations

import os

import pytest

from edgepipe.artifacts import GraphRecord, Report
from edgepipe.errors import StageError
from edgepipe.graph.quantize_dynamic import DynamicSettings, quantize
from edgepipe.measure.records import CountsReport
from edgepipe.stage import Work
from edgepipe.stages import STAGES, stage_class
from edgepipe.stages.count import Count, Inputs
from tests.graph import toy_graphs
from tests.graph.toy_graphs import WIDTH
from tests.runtime.tiny_onnx import Tiny
from tests.stages.measured_models import onnx_model

CPU = "CPUExecutionProvider"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """An encoder in floats, and in int8."""
    folder = tmp_path_factory.mktemp("models")
    fp32 = toy_graphs.onnx_model(folder / "fp32")
    whole = fp32.path / "model.onnx"
    quantize(whole, folder / "int8.onnx", DynamicSettings())
    import onnx

    int8 = toy_graphs.onnx_model(folder / "int8", onnx.load(folder / "int8.onnx"))
    return {"fp32": fp32, "int8": int8.model_copy(update={"precision": "int8"}).commit()}


@pytest.fixture(scope="module")
def made(models, tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    (folder / "into").mkdir()
    said = []
    work = Work(path=folder, progress=lambda done, total, text: said.append((done, total, text)))
    artifact = Count(tokens=40)(Inputs(models=models), folder / "into", work)
    return artifact, CountsReport.read(folder / "into" / "report.json"), said


def test_every_model_is_in_the_report(made, models):
    artifact, report, _ = made
    assert isinstance(artifact, Report)
    assert artifact.content == "counts"
    assert [arm.name for arm in report.models] == ["fp32", "int8"]
    for arm in report.models:
        assert arm.digest == models[arm.name].digest
        assert arm.precision == arm.name
        assert arm.device == "cpu"
        assert arm.uncounted == ()


def test_a_text_is_cut_to_what_the_models_take_and_that_is_said(made):
    _, report, said = made
    assert report.tokens == 16
    assert [(done, total) for done, total, _ in said] == [(0, 2), (1, 2)]
    assert "counting fp32 on a text of 16 tokens (not 40: a model takes no more)" in said[0][2]


def test_operations_by_hand(made):
    fp32, int8 = made[1].models
    flops = 2 * 16 * WIDTH * 2 * WIDTH * 2 + 2 * WIDTH * 2
    assert (fp32.fp32_flops, fp32.int8_ops) == (flops, 0)
    assert (int8.fp32_flops, int8.int8_ops) == (0, flops)
    assert fp32.flops == int8.flops


def test_bytes_are_those_of_the_disk_and_of_the_process(made, models):
    for arm in made[1].models:
        folder = models[arm.name].path
        on_disk = {
            entry.name: entry.stat().st_size
            for entry in os.scandir(folder)
            if entry.name != "artifact.json"
        }
        assert arm.files == on_disk
        assert arm.bytes == sum(on_disk.values())
        assert 10e6 < arm.peak_memory_bytes < 1e9  # an interpreter with onnxruntime
        assert 0 < arm.weight_bytes < arm.files["model.onnx"]
        assert 0 < arm.peak_activation_bytes < arm.activation_bytes


def test_the_nodes_that_run_are_fewer_than_those_in_the_file(made):
    fp32, int8 = made[1].models
    assert fp32.operators["Add"] == 2
    assert fp32.executed.keys() == {CPU}
    assert "BiasGelu" in fp32.executed[CPU]
    assert "SkipLayerNormalization" in fp32.executed_plain[CPU]
    assert int8.operators["MatMulInteger"] == 3
    assert "MatMulInteger" not in int8.executed[CPU]  # fused with what comes before and after


def test_a_model_without_a_graph_of_texts_is_refused(tmp_path):
    tiny = onnx_model(tmp_path / "tiny", Tiny())
    graph = GraphRecord(file="onnx/model.onnx", inputs=("input_ids",), outputs=("logits",))
    for changes, said in (
        ({"graphs": {"encoder": graph, "decoder": graph}}, r"\['decoder', 'encoder'\]"),
        ({"task": "image-classification"}, "'image-classification'"),
    ):
        other = tiny.model_copy(update=changes)
        with pytest.raises(StageError, match=f"odd is for .*{said}.*count knows"):
            Count().requires(Inputs(models={"odd": other}))
    with pytest.raises(StageError, match="at least one"):
        Count().requires(Inputs(models={}))


def test_the_stage_is_cached_and_known():
    assert stage_class("count") is Count
    assert STAGES["count"] == "edgepipe.stages.count:Count"
    assert Count.cached
    assert not Count.measures
    assert "onnxruntime" in Count.tools
    assert Count.depends == {"cpu", "device"}
