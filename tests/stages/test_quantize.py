import json

import numpy as np
import onnx
import pytest
from pydantic import ValidationError

from edgepipe import runtime
from edgepipe.artifacts import OnnxModel, SessionSettings
from edgepipe.errors import StageError
from edgepipe.runtime import load
from edgepipe.stage import Work
from edgepipe.stages import quantize as stage
from edgepipe.stages.quantize import Inputs, Quantize
from tests.graph.toy_graphs import dataset, graph_ops, onnx_model, texts


@pytest.fixture
def inputs(tmp_path):
    return Inputs(model=onnx_model(tmp_path / "model"), data=dataset(tmp_path / "data"))


def quantized(inputs, tmp_path, name="into", **settings):
    (tmp_path / name).mkdir()
    return Quantize(**settings)(inputs, tmp_path / name, Work(path=tmp_path / "work"))


def tables(made):
    """Whether embedding tables are quantized."""
    return "table_quantized" in {
        i.name for i in onnx.load(made.path / "model.onnx").graph.initializer
    }


def test_the_model_is_int8_and_everything_else_stays(inputs, tmp_path):
    made = quantized(inputs, tmp_path)
    assert OnnxModel.read(made.path) == made
    assert made.precision == "int8"
    assert "MatMulInteger" in graph_ops(onnx.load(made.path / "model.onnx"))
    for name in ("golden.jsonl", "tokenizer.json"):
        assert (made.path / name).read_bytes() == (inputs.model.path / name).read_bytes()
    assert made.graphs == inputs.model.graphs
    report = made.notes["quantization"]
    assert report["quantized"] == {"MatMulInteger": 3, "Gather": 1}
    assert report["bytes_after"] == (made.path / "model.onnx").stat().st_size
    assert made.notes["source"] == {"made": "by hand"}
    (variant,) = json.loads((made.path / "edgepipe.json").read_text())["variants"]
    assert (variant["precision"], variant["batch_invariant"]) == ("int8", False)


def test_the_runtime_answers_nearly_as_before(inputs, tmp_path):
    made = quantized(inputs, tmp_path)
    with load(made.path) as int8, load(inputs.model.path) as float_:
        before, after = (c.logits(texts(20), exact=True) for c in (float_, int8))
    assert 0 < np.abs(before - after).max() < 0.1


def test_session_settings_are_kept(inputs, tmp_path):
    session = SessionSettings(disabled_optimizers=("SkipLayerNormFusion",))
    graph = inputs.model.graphs["model"].model_copy(update={"session": session})
    model = inputs.model.model_copy(update={"graphs": {"model": graph}})
    made = quantized(Inputs(model=model, data=inputs.data), tmp_path)
    assert made.graphs["model"].session == session


def test_the_same_model_gives_the_same_digest(inputs, tmp_path):
    assert quantized(inputs, tmp_path, "one").digest == quantized(inputs, tmp_path, "two").digest


@pytest.mark.parametrize("embeddings", [True, False])
def test_embeddings_are_as_asked(inputs, tmp_path, embeddings):
    made = quantized(inputs, tmp_path, embeddings=embeddings)
    assert tables(made) == embeddings
    assert "embeddings" not in made.notes


def test_without_data_embeddings_are_quantized_and_the_report_says_so(inputs, tmp_path):
    made = quantized(Inputs(model=inputs.model), tmp_path)
    assert tables(made)
    assert made.notes["embeddings"]["why"] == "no validation texts to judge by"


def test_harmless_embeddings_are_quantized_by_measured_effect(inputs, tmp_path):
    made = quantized(inputs, tmp_path, texts=30)
    assert tables(made)
    assert made.notes["embeddings"]["texts"] == 30
    assert made.notes["embeddings"]["flips_with"] <= 0.1
    assert not list((tmp_path / "work").iterdir())


def test_harmful_embeddings_stay_in_float(tmp_path):
    model = harmful(tmp_path)
    inputs = Inputs(model=model, data=dataset(tmp_path / "data"))
    made = quantized(inputs, tmp_path)
    assert not tables(made)
    figures = made.notes["embeddings"]
    assert figures["flips_with"] > figures["flips_without"] + 0.1
    assert not figures["quantized"]


def harmful(tmp_path):
    """One row of the table is so large that a single scale rounds the others to nothing."""
    from tests.graph.toy_graphs import encoder

    proto = encoder()
    table = next(i for i in proto.graph.initializer if i.name == "table")
    array = onnx.numpy_helper.to_array(table).copy()
    array[0] = 500.0  # [PAD], which no text holds
    table.CopyFrom(onnx.numpy_helper.from_array(array, "table"))
    return onnx_model(tmp_path / "model", proto)


@pytest.mark.parametrize(
    ("with_", "without", "expected"),
    [
        ([0] * 1000, [0] * 1000, True),
        ([1] * 50 + [0] * 950, [0] * 950 + [1] * 50, True),  # as many flips, on other texts
        ([1] * 2 + [0] * 998, [0] * 1000, True),  # 0.2 %, within the limit
        ([1] * 50 + [0] * 950, [0] * 1000, False),
        ([1] * 3 + [0] * 997, [0] * 1000, True),  # above the limit, not beyond chance
        ([0] * 1000, [1] * 50 + [0] * 950, True),  # closer to float with tables than without
    ],
)
def test_the_verdict_is_about_the_distance_to_float(with_, without, expected):
    found, figures = stage._verdict(np.array(with_, bool), np.array(without, bool), 0.002)
    assert found is expected
    assert figures["excess"] == pytest.approx((sum(with_) - sum(without)) / 1000)


@pytest.mark.parametrize(
    ("features", "top"), [({"avx2"}, 64), ({"avx2", "avx512_vnni"}, 127), ({"asimd"}, 127)]
)
def test_auto_keeps_to_seven_bits_where_products_saturate(
    inputs, tmp_path, monkeypatch, features, top
):
    monkeypatch.setattr(runtime, "cpu_features", lambda: frozenset(features))
    made = quantized(inputs, tmp_path, embeddings=False)
    weight = next(
        i
        for i in onnx.load(made.path / "model.onnx").graph.initializer
        if i.name == "first_quantized"
    )
    assert np.abs(onnx.numpy_helper.to_array(weight).astype(int)).max() == top
    assert made.notes["quantization"]["settings"]["reduce_range"] == (top == 64)


def test_per_tensor_is_one_scale(inputs, tmp_path):
    made = quantized(inputs, tmp_path, per_channel=False)
    scales = {
        i.name: list(i.dims)
        for i in onnx.load(made.path / "model.onnx").graph.initializer
        if i.name.endswith("_scale")
    }
    assert scales["first_scale"] == []


def test_a_model_of_another_precision_is_refused(inputs, tmp_path):
    made = quantized(inputs, tmp_path)
    with pytest.raises(StageError, match="the model is int8 already"):
        quantized(Inputs(model=made), tmp_path, "again")


def test_several_graphs_are_refused(inputs):
    graph = inputs.model.graphs["model"]
    model = inputs.model.model_copy(update={"graphs": {"encoder": graph, "decoder": graph}})
    with pytest.raises(StageError, match=r"got \['decoder', 'encoder'\]"):
        Quantize().requires(Inputs(model=model))


def test_an_unknown_method_is_refused():
    with pytest.raises(ValidationError):
        Quantize(method="magic")
