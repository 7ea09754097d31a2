import json

import numpy as np
import onnx
import pytest

from edgepipe.artifacts import OnnxModel
from edgepipe.disk import sha256
from edgepipe.errors import StageError, UsageError
from edgepipe.graph import store
from edgepipe.graph.quantize_dynamic import DynamicSettings, quantize
from edgepipe.runtime import load
from edgepipe.sources import Source
from edgepipe.stage import Work
from edgepipe.stages.onnx import ImportOnnx, Inputs
from tests.graph.toy_graphs import LABELS, encoder, saved, texts, write_tokenizer

CONFIG = {
    "model_type": "toy",
    "pad_token_id": 0,
    "id2label": {"1": LABELS[1], "0": LABELS[0]},
}


@pytest.fixture
def hub(tmp_path):
    """A folder as models of the Hub have it: the graph one below tokenizer and configuration."""
    folder = tmp_path / "hub"
    (folder / "onnx").mkdir(parents=True)
    saved(encoder(), folder / "onnx/model.onnx")
    write_tokenizer(folder)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return folder


def imported(tmp_path, model, **settings):
    (tmp_path / "into").mkdir()
    stage = ImportOnnx(model=Source(str(model)), max_length=16, **settings)
    return stage(Inputs(), tmp_path / "into", Work(path=tmp_path / "work"))


@pytest.mark.parametrize("inner", ["", "onnx", "onnx/model.onnx"])
def test_a_model_of_the_hub_is_taken_as_it_is(hub, tmp_path, inner):
    made = imported(tmp_path, hub / inner)
    assert OnnxModel.read(made.path) == made
    assert (made.labels, made.model_type, made.opset) == (LABELS, "toy", 20)
    assert (made.precision, made.max_length) == ("fp32", 16)
    source = hub / "onnx/model.onnx"
    assert (made.path / "model.onnx").read_bytes() == source.read_bytes()
    assert made.provenance.sha256 == sha256(source)
    assert made.provenance.source == str(hub / inner)
    assert {"tokenizer.json", "config.json"} < {path.name for path in made.path.iterdir()}


def test_the_runtime_answers_as_onnxruntime_does(hub, tmp_path):
    import onnxruntime as ort

    made = imported(tmp_path, hub)
    session = ort.InferenceSession(hub / "onnx/model.onnx")
    with load(made.path) as classifier:
        found = classifier.logits(["good film"])
        ids = np.array([[1, 5, 7, 2]])
    expected = session.run(None, {"input_ids": ids, "attention_mask": ids * 0 + 1})[0]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_int8_is_recognised(hub, tmp_path):
    quantize(hub / "onnx/model.onnx", hub / "onnx/int8.onnx", DynamicSettings())
    made = imported(tmp_path, hub / "onnx/int8.onnx")
    assert made.precision == "int8"
    assert made.graphs["model"].file == "model.onnx"


def test_external_data_of_any_name_comes_along(hub, tmp_path):
    source = hub / "onnx/model.onnx"
    model = onnx.load(source)
    source.unlink()
    onnx.save(model, source, save_as_external_data=True, location="odd.bin", size_threshold=0)
    made = imported(tmp_path, hub)
    (hub / "onnx/odd.bin").unlink()
    assert not store.is_external(store.read(made.path / "model.onnx"))
    with load(made.path) as classifier:
        assert classifier.logits(texts(3)).shape == (3, 2)


def test_missing_external_data_is_refused(hub, tmp_path):
    source = hub / "onnx/model.onnx"
    model = onnx.load(source)
    source.unlink()
    onnx.save(model, source, save_as_external_data=True, location="odd.bin", size_threshold=0)
    (hub / "onnx/odd.bin").unlink()
    with pytest.raises(StageError, match=r"model\.onnx"):
        imported(tmp_path, hub)


def test_labels_and_tokenizer_can_be_given(hub, tmp_path):
    (hub / "config.json").unlink()
    (hub / "words").mkdir()
    (hub / "tokenizer.json").rename(hub / "words/tokenizer.json")
    settings = {"labels": ("no", "yes"), "tokenizer": Source(str(hub / "words"))}
    made = imported(tmp_path, hub, **settings)
    assert (made.labels, made.model_type) == (("no", "yes"), "")


def cut(hub):
    path = hub / "onnx/model.onnx"
    path.write_bytes(path.read_bytes()[:-300])


def no_tokenizer(hub):
    (hub / "tokenizer.json").unlink()


def bad_tokenizer(hub):
    (hub / "tokenizer.json").write_text("{}")


def no_config(hub):
    (hub / "config.json").unlink()


def bad_config(hub):
    (hub / "config.json").write_text("{")


def third_label(hub):
    labels = {"0": "a", "1": "b", "2": "c"}
    (hub / "config.json").write_text(json.dumps({**CONFIG, "id2label": labels}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut, r"model\.onnx is not a readable ONNX file"),
        (no_tokenizer, r"no tokenizer\.json in .* and .*name its folder in 'tokenizer'"),
        (bad_tokenizer, r"tokenizer\.json"),
        (no_config, "give them in 'labels'"),
        (bad_config, r"config\.json cannot be read"),
        (third_label, "gives 2 logits, and there are 3 labels"),
    ],
)
def test_what_is_damaged_is_refused(hub, tmp_path, damage, message):
    damage(hub)
    with pytest.raises(StageError, match=message):
        imported(tmp_path, hub)


def test_an_absent_model_is_a_mistake_in_the_call(tmp_path):
    with pytest.raises(UsageError, match="there is no such file or folder"):
        imported(tmp_path, tmp_path / "absent")
