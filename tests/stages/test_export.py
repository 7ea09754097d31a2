import json

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from pydantic import ValidationError
from transformers import AutoModelForSequenceClassification

from edgepipe.artifacts import OnnxModel
from edgepipe.errors import StageError
from edgepipe.runtime import load
from edgepipe.stage import Work
from edgepipe.stages.export import Export, Inputs
from tests.convert.families import MAX_LENGTH, checkpoint
from tests.graph.toy_graphs import LABELS, dataset, texts


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A checkpoint and its export, proven on a dataset."""
    folder = tmp_path_factory.mktemp("export")
    source = checkpoint(folder / "checkpoint")
    (folder / "into").mkdir()
    inputs = Inputs(checkpoint=source, data=dataset(folder / "data", count=20))
    told = []
    work = Work(path=folder / "work", progress=lambda *step: told.append(step))
    exported = Export()(inputs, folder / "into", work)
    assert [step[:2] for step in told] == [(0, 2), (1, 2)]
    return source, exported


def test_the_record_says_what_was_made(made):
    source, exported = made
    assert OnnxModel.read(exported.path) == exported
    assert (exported.labels, exported.max_length) == (LABELS, MAX_LENGTH)
    assert (exported.precision, exported.opset, exported.model_type) == ("fp32", 20, "bert")
    assert exported.provenance == source.provenance
    graph = exported.graphs["model"]
    assert graph.inputs == ("input_ids", "attention_mask", "token_type_ids")
    assert graph.outputs == ("logits",)
    proto = onnx.load(exported.path / graph.file)
    assert [o.version for o in proto.opset_import if not o.domain] == [20]
    assert exported.notes["nodes"] == len(proto.graph.node)
    assert exported.notes["parity"]["worst"] < 1e-4


def test_everything_that_a_user_needs_lies_beside_it(made):
    source, exported = made
    assert sorted(path.name for path in exported.path.iterdir()) == [
        "artifact.json", "config.json", "edgepipe.json", "golden.jsonl", "model.onnx",
        "tokenizer.json", "tokenizer_config.json",
    ]  # fmt: skip
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        assert (exported.path / name).read_bytes() == (source.path / name).read_bytes()


def golden(exported):
    return [json.loads(line) for line in (exported.path / "golden.jsonl").read_text().splitlines()]


def test_golden_answers_are_torchs(made):
    source, exported = made
    model = AutoModelForSequenceClassification.from_pretrained(
        source.path, attn_implementation="eager"
    )
    session = ort.InferenceSession(exported.path / "model.onnx")
    rows = golden(exported)
    assert len(rows) == 16
    assert {row["text"] for row in rows} <= set(texts(20))
    for row in rows:
        ids = np.array([row["ids"]])
        with torch.inference_mode():
            expected = model(input_ids=torch.from_numpy(ids)).logits[0].numpy()
        np.testing.assert_allclose(row["logits"], expected, atol=1e-5)
        given = {"input_ids": ids, "attention_mask": ids * 0 + 1, "token_type_ids": ids * 0}
        np.testing.assert_allclose(session.run(None, given)[0][0], expected, atol=1e-4)


def test_the_runtime_loads_the_folder(made):
    _, exported = made
    rows = golden(exported)
    with load(exported.path) as classifier:
        found = classifier.logits([row["text"] for row in rows])
    np.testing.assert_allclose(found, [row["logits"] for row in rows], atol=1e-4)


def test_without_data_built_in_sentences_prove_it(tmp_path):
    source = checkpoint(tmp_path / "checkpoint", "distilbert")
    (tmp_path / "into").mkdir()
    exported = Export(opset=17)(
        Inputs(checkpoint=source), tmp_path / "into", Work(path=tmp_path / "work")
    )
    assert exported.opset == 17
    assert "Gelu" not in exported.notes["operators"]
    assert exported.graphs["model"].inputs == ("input_ids", "attention_mask")
    assert len((exported.path / "golden.jsonl").read_text().splitlines()) == 4


@pytest.mark.parametrize(
    "settings", [{"opset": 16}, {"opset": 24}, {"attention": "flash"}, {"tolerance": 0.0}]
)
def test_settings_are_bounded(settings):
    with pytest.raises(ValidationError):
        Export(**settings)


def test_an_empty_validation_split_is_refused(tmp_path):
    data = dataset(tmp_path / "data", count=1)
    empty = data.splits["validation"].model_copy(update={"rows": 0})
    data = data.model_copy(update={"splits": {"validation": empty}})
    source = checkpoint(tmp_path / "checkpoint")
    with pytest.raises(StageError, match="the validation split is empty"):
        Export().requires(Inputs(checkpoint=source, data=data))


def test_labels_that_the_graph_does_not_have_are_refused(made):
    _, exported = made
    with pytest.raises(StageError, match="gives 2 logits for 3 labels"):
        Export().ensures(exported.model_copy(update={"labels": ("a", "b", "c")}))
