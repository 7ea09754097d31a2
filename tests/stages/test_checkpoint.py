import json

import pytest
import torch
from transformers import AutoModelForSequenceClassification, BertForSequenceClassification

from edgepipe import disk
from edgepipe.artifacts import Checkpoint
from edgepipe.errors import StageError, UsageError
from edgepipe.stage import Work
from edgepipe.stages.checkpoint import ImportCheckpoint, Inputs
from tests.training.toy_reviews import config, tokenizer

CARD = "---\nlanguage: en\nlicense: mit\n---\n# A model\nlicense: none\n"


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    torch.manual_seed(0)
    names = {0: "sad", 1: "glad", 2: "mad"}
    BertForSequenceClassification(config(num_labels=3, id2label=names)).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    (folder / "README.md").write_text(CARD)
    (folder / "train.log").write_text("stays behind")
    return folder


def _edit(folder, **changes):
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def _run(folder, into, **settings):
    into.mkdir(parents=True)
    stage = ImportCheckpoint.model_validate_json(json.dumps({"model": str(folder), **settings}))
    return stage(Inputs(), into, Work(path=into.with_name("work")))


def test_a_classifier_is_taken_over(model, tmp_path):
    made = _run(model, tmp_path / "into")
    assert Checkpoint.read(made.path) == made
    assert (made.labels, made.max_length, made.model_type) == (("sad", "glad", "mad"), 30, "bert")
    assert made.provenance.licence == "mit"
    assert made.provenance.sha256 == disk.sha256(model / "model.safetensors")
    assert {file.name for file in made.path.iterdir()} == {
        "artifact.json", "config.json", "model.safetensors", "tokenizer.json",
        "tokenizer_config.json",
    }  # fmt: skip
    ids = torch.tensor([[2, 5, 6, 3]])
    theirs = AutoModelForSequenceClassification.from_pretrained(model)(ids).logits
    ours = AutoModelForSequenceClassification.from_pretrained(made.path)(ids).logits
    assert torch.equal(ours, theirs)


def test_it_is_the_same_every_time(model, tmp_path):
    assert _run(model, tmp_path / "a/into").digest == _run(model, tmp_path / "b/into").digest


def test_a_length_can_be_given(model, tmp_path):
    assert _run(model, tmp_path / "a/into", max_length=16).max_length == 16
    with pytest.raises(StageError, match="at most 30"):
        _run(model, tmp_path / "b/into", max_length=40)


def test_a_model_without_a_card_has_no_licence(model, tmp_path):
    (model / "README.md").unlink()
    assert not _run(model, tmp_path / "into").provenance.licence


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"problem_type": "multi_label_classification"}, "multi_label_classification with 3"),
        ({"problem_type": "regression"}, "regression with 3"),
        ({"id2label": {"0": "how good"}, "label2id": {"how good": 0}}, "regression with 1"),
        ({"id2label": {"0": "a", "1": "b"}, "label2id": {"a": 0, "b": 1}}, "classifier.bias"),
    ],
)
def test_what_is_no_single_label_classifier_is_refused(model, tmp_path, changes, said):
    _edit(model, **changes)
    with pytest.raises(StageError, match=said):
        _run(model, tmp_path / "into")


def test_a_truncated_file_is_refused(model, tmp_path):
    file = model / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(StageError, match=r"model\.safetensors is cut short"):
        _run(model, tmp_path / "into")


def test_a_folder_without_a_tokenizer_is_refused(model, tmp_path):
    (model / "tokenizer.json").unlink()
    with pytest.raises(StageError, match="holds no tokenizer"):
        _run(model, tmp_path / "into")


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match="nowhere"):
        _run(tmp_path / "nowhere", tmp_path / "into")
