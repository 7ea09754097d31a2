"""Nine families through the exporter: torch's answers, no build machine, int8 that runs."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from edgepipe.convert import exporter, parity
from edgepipe.convert.feeds import feeds
from edgepipe.graph import store
from edgepipe.graph.quantize_dynamic import DynamicSettings, quantize
from tests.convert.families import FAMILIES, MAX_LENGTH, build, token_rows

SEGMENTS = ("bert", "electra", "albert")


@pytest.fixture(params=FAMILIES, scope="module")
def exported(request, tmp_path_factory, bert):
    """Family, model and graph; each family is exported once."""
    if request.param == "bert":
        return (request.param, *bert)
    model = build(request.param)
    path = tmp_path_factory.mktemp(request.param) / "model.onnx"
    store.write(exporter.export(model), path)
    return request.param, model, path


def left_padded(model, seed=3):
    """Two rows, the second shorter, filled up on the left."""
    pad = model.config.pad_token_id or 0
    ids = np.random.default_rng(seed).integers(5, 60, (2, 11))
    mask = np.ones_like(ids)
    ids[1, :4], mask[1, :4] = pad, 0
    return {"input_ids": ids, "attention_mask": mask}


def by_torch(model, given):
    with torch.inference_mode():
        return model(**{n: torch.from_numpy(v) for n, v in given.items()}).logits.numpy()


def by_onnx(path, given):
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = {value.name for value in session.get_inputs()}
    zeros = {"token_type_ids": np.zeros_like(given["input_ids"])}
    fed = {name: value for name, value in {**given, **zeros}.items() if name in names}
    return session.run(["logits"], fed)[0]


def test_a_family_answers_as_torch_does(exported):
    _, model, path = exported
    given = left_padded(model)
    expected = by_torch(model, given)
    np.testing.assert_allclose(by_onnx(path, given), expected, atol=1e-4)
    unmasked = by_torch(model, {**given, "attention_mask": np.ones_like(given["input_ids"])})
    assert np.abs(unmasked - expected).max() > 0.01  # so a lost mask would have shown


def test_parity_is_proven(exported):
    _, model, path = exported
    names, pad = exporter.input_names(model), exporter.pad_token_id(model)
    batches = feeds(token_rows(), names, pad=pad, max_length=MAX_LENGTH)
    proof = parity.prove(path, model, batches)
    assert proof.checks == 2 * (len(batches) + sum(feed.padded for feed in batches)) == 24
    assert proof.worst < 1e-4
    assert proof.mask_effect > 0.01


def test_a_graph_is_valid_and_names_its_axes(exported):
    family, _, path = exported
    onnx.checker.check_model(str(path), full_check=True)
    graph = onnx.load(path).graph
    names = ["input_ids", "attention_mask", *(["token_type_ids"] if family in SEGMENTS else [])]
    assert [value.name for value in graph.input] == names
    for value in graph.input:
        shape = value.type.tensor_type.shape
        assert [dim.dim_param for dim in shape.dim] == ["batch", "sequence"]
    (output,) = graph.output
    assert output.name == "logits"
    first, second = output.type.tensor_type.shape.dim
    assert (first.dim_param, second.dim_value) == ("batch", 2)
    texts = (dim.dim_param for value in graph.value_info for dim in shape_of(value))
    assert not [text for text in texts if text.isdigit()]


def shape_of(value):
    return value.type.tensor_type.shape.dim


def test_nothing_of_the_build_machine_is_left(exported):
    _, _, path = exported
    content = path.read_bytes()
    for trace in (b"site-packages", b"transformers/", b".py", str(Path(__file__).parent).encode()):
        assert trace not in content
    model = onnx.load(path)
    assert not model.metadata_props
    assert not [node for node in model.graph.node if node.metadata_props or node.doc_string]


def test_int8_runs_and_stays_near(exported, tmp_path):
    _, model, path = exported
    report = quantize(path, tmp_path / "int8.onnx", DynamicSettings())
    assert report.quantized["MatMulInteger"] >= 8
    assert report.bytes_after < report.bytes_before
    given = left_padded(model)
    expected = by_torch(model, given)
    error = np.abs(by_onnx(tmp_path / "int8.onnx", given) - expected).max()
    assert error < 0.25 * np.abs(expected).max()
