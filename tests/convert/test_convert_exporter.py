import logging

import onnx_ir as ir
import pytest

from edgepipe.convert import exporter
from edgepipe.errors import StageError
from edgepipe.graph import store
from tests.convert.families import build, checkpoint


def test_an_export_is_silent_and_the_same_twice(bert, tmp_path, capfd, caplog, recwarn):
    _, path = bert
    store.write(exporter.export(build("bert")), tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == path.read_bytes()
    assert capfd.readouterr() == ("", "")
    assert not [record for record in caplog.records if record.levelno >= logging.INFO]
    assert not recwarn.list


def test_an_opset_that_the_exporter_replaces_is_refused():
    with pytest.raises(StageError, match=r"asked for opset 16, the exporter made .*18"):
        exporter.export(build("distilbert"), opset=16)


@pytest.mark.parametrize("family", ["mpnet", "deberta-v2"])
def test_sdpa_is_refused_where_there_is_none(family, tmp_path):
    folder = checkpoint(tmp_path / "model", family).path
    with pytest.raises(StageError, match=r'has no sdpa attention .* set attention = "eager"'):
        exporter.load(folder, "sdpa")
    assert not exporter.load(folder).training


@pytest.mark.parametrize(
    ("asked", "got"), [("auto", "eager"), ("eager", "eager"), ("sdpa", "sdpa")]
)
def test_attention_is_what_was_asked_for(asked, got, tmp_path):
    model = exporter.load(checkpoint(tmp_path / "model").path, asked)
    assert model.config._attn_implementation == got


def test_a_model_that_cannot_be_traced_is_an_error():
    model = build("bert")
    model.bert.forward = None
    with pytest.raises(StageError, match="BertForSequenceClassification cannot be exported"):
        exporter.export(model)


def graph_of(*shapes, output=("s1", 2), name="logits"):
    """A graph whose inputs have the given shapes, as the exporter would name them."""
    inputs = [
        ir.Value(name=n, shape=ir.Shape(shape), type=ir.TensorType(ir.DataType.INT64))
        for n, shape in zip(("input_ids", "attention_mask"), shapes, strict=False)
    ]
    node = ir.node("Cast", [inputs[0]], attributes={"to": 1})
    inner = node.outputs[0]
    inner.shape = ir.Shape(["s1", "64", "s2 + 1"])
    last = ir.node("Identity", [inner])
    last.outputs[0].name, last.outputs[0].shape = name, ir.Shape(output)
    graph = ir.Graph(inputs, last.outputs, nodes=[node, last], opset_imports={"": 20})
    return ir.Model(graph, ir_version=10)


def test_axes_are_renamed_everywhere():
    model = graph_of(["s1", "s2"], ["s7", "s2"])
    exporter._name_axes(model, ("input_ids", "attention_mask"))
    assert [store.dimensions(v) for v in model.graph.inputs] == [("batch", "sequence")] * 2
    assert store.dimensions(model.graph.node(0).outputs[0]) == ("batch", 64, "sequence + 1")
    assert store.dimensions(model.graph.outputs[0]) == ("batch", 2)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (graph_of(["s1", "7"], ["s1", "s2"]), "the sequence axis of 'input_ids' is frozen to 7"),
        (graph_of(["s1", "s2"], [2, "s2"]), "the batch axis of 'attention_mask' is frozen to 2"),
        (graph_of(["s1", "s1"], ["s1", "s2"]), "tied sequence to batch"),
        (graph_of(["s1", "s2"]), r"takes \('input_ids',\), not"),
        (graph_of(["s1", "s2"], ["s1", "s2"], output=(2, 2)), "not logits by batch"),
        (graph_of(["s1", "s2"], ["s1", "s2"], name="hidden"), "not logits by batch"),
    ],
)
def test_what_the_exporter_got_wrong_is_refused(model, message):
    with pytest.raises(StageError, match=message):
        exporter._name_axes(model, ("input_ids", "attention_mask"))
