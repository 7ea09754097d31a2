import json
import subprocess
import sys

import pytest
import torch
from pydantic import ValidationError
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from edgepipe import disk
from edgepipe.artifacts import Checkpoint
from edgepipe.errors import StageError
from edgepipe.stage import Work
from edgepipe.stages.train import Inputs, Train
from edgepipe.training import device
from edgepipe.training.predict import logits
from tests.training.toy_reviews import LABELS, Interrupted, base, dataset, rows, write_split

QUICK = {"epochs": 4, "batch_size": 16, "learning_rate": 1e-2}
TABLE = {
    "model_type": "bert",
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "tokenizer": {"vocab_size": 300},
}


@pytest.fixture(autouse=True, scope="module")
def _one_core():
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device, "usable_cores", lambda: 1)
        torch.set_num_threads(1)
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return dataset(tmp_path_factory.mktemp("reviews") / "data")


@pytest.fixture(scope="module")
def body(tmp_path_factory):
    return base(tmp_path_factory.mktemp("base"))


def _stage(**settings):
    return Train.model_validate_json(json.dumps({**QUICK, **settings}))


def _run(stage, data, folder, **work):
    into = folder / "into"
    into.mkdir(parents=True, exist_ok=True)
    return stage(Inputs(data=data), into, Work(path=folder / "work", **work))


def test_a_base_model_becomes_a_classifier(tmp_path, body, data):
    made = _run(_stage(model=str(body), epochs=16), data, tmp_path)
    assert Checkpoint.read(made.path) == made
    assert (made.task, made.labels, made.model_type) == ("text-classification", LABELS, "bert")
    model = AutoModelForSequenceClassification.from_pretrained(made.path)
    assert made.parameters == model.num_parameters()
    assert model.config.id2label == dict(enumerate(LABELS))
    truth = [json.loads(line) for line in data.file("validation").read_text().splitlines()]
    answers = logits(made.path, [row["text"] for row in truth], max_length=made.max_length)
    right = [int(a) == row["label"] for a, row in zip(answers.argmax(1), truth, strict=True)]
    assert made.notes["validation_accuracy"] == pytest.approx(sum(right) / len(right))
    assert made.notes["validation_accuracy"] > 0.7
    assert made.provenance.source == str(body)
    assert made.provenance.sha256 == disk.sha256(body / "model.safetensors")


def test_the_length_fits_the_data(tmp_path, body, data):
    made = _run(_stage(model=str(body), epochs=1), data, tmp_path)
    reader = AutoTokenizer.from_pretrained(body)
    texts = [json.loads(line)["text"] for line in data.file("train").read_text().splitlines()]
    longest = max(len(ids) for ids in reader(texts)["input_ids"])
    assert made.max_length == 16
    assert 8 < longest <= 16
    assert made.notes["truncated_train_texts"] == 0
    assert made.notes["unknown_token_rate"] == 0


def test_a_given_length_is_kept_and_what_it_cuts_is_counted(tmp_path, body, data):
    made = _run(_stage(model=str(body), epochs=1, max_length=8), data, tmp_path)
    lines = data.file("train").read_text().splitlines()
    longer = sum(len(json.loads(line)["text"].split()) > 6 for line in lines)
    assert made.max_length == 8
    assert made.notes["truncated_train_texts"] == longer > 0
    with pytest.raises(StageError, match="max_length = 31: the model takes at most 30"):
        _run(_stage(model=str(body), max_length=31), data, tmp_path / "b")


def test_a_table_becomes_a_model_from_scratch(tmp_path, data):
    made = _run(_stage(model=TABLE, epochs=1), data, tmp_path)
    assert made.provenance.source == "bert from scratch"
    model = AutoModelForSequenceClassification.from_pretrained(made.path)
    assert (model.config.hidden_size, model.config.num_hidden_layers) == (16, 1)
    known = AutoTokenizer.from_pretrained(made.path)
    assert known.tokenize("awful FILM") == ["awful", "film"]


def test_equal_steps_give_equal_bytes_and_a_kill_changes_nothing(tmp_path, data):
    stage = _stage(model=TABLE, epochs=2)
    first = _run(stage, data, tmp_path / "a")

    def kill(done, total, message):
        if done == 8:
            raise Interrupted

    with pytest.raises(Interrupted):
        _run(stage, data, tmp_path / "b", progress=kill)
    assert any((tmp_path / "b" / "work").iterdir())
    second = _run(stage, data, tmp_path / "b")
    other = _run(stage, data, tmp_path / "c", seed=1)
    assert first.digest == second.digest != other.digest


def test_frozen_words_are_the_bases(tmp_path, body, data):
    made = _run(_stage(model=str(body), epochs=1, freeze_embeddings=True), data, tmp_path)
    before = AutoModelForSequenceClassification.from_pretrained(body).bert.embeddings
    after = AutoModelForSequenceClassification.from_pretrained(made.path).bert.embeddings
    assert torch.equal(before.word_embeddings.weight, after.word_embeddings.weight)
    assert not torch.equal(before.position_embeddings.weight, after.position_embeddings.weight)


def test_a_single_class_is_refused(tmp_path, body, data):
    alone = data.model_copy(update={"labels": ("good",)})
    with pytest.raises(StageError, match="needs two labels or more"):
        _run(_stage(model=str(body)), alone, tmp_path)


def test_data_without_a_validation_split_is_refused(tmp_path, body, data):
    train = data.model_copy(update={"splits": {"train": data.splits["train"]}})
    with pytest.raises(StageError, match="no 'validation' split"):
        _run(_stage(model=str(body)), train, tmp_path)


def test_an_empty_class_has_no_weight(tmp_path, body):
    folder = tmp_path / "data"
    data = dataset(folder)
    good = [(text, label) for text, label in rows(40) if label]
    record = write_split(folder / "train.jsonl", good)
    splits = {**data.splits, "train": record}
    lopsided = data.model_copy(update={"splits": splits})
    with pytest.raises(StageError, match="class_weights: label 0 has no row"):
        _run(_stage(model=str(body), class_weights=True), lopsided, tmp_path)


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"model": "m", "epoch": 2}, "epoch"),
        ({"model": "m", "epochs": 0}, "epochs"),
        ({"model": "m", "max_length": "longest"}, "max_length"),
        ({"model": "m", "metric": "f1"}, "metric"),
        ({"model": {**TABLE, "tokenizer": {"kind": "words"}}}, "model"),
        ({"model": {"hidden_size": 3}}, "model"),
        ({}, "model"),
    ],
)
def test_wrong_settings_are_named(settings, place):
    with pytest.raises(ValidationError) as error:
        Train.model_validate_json(json.dumps(settings))
    assert [problem["loc"][0] for problem in error.value.errors()][:1] == [place]


def test_reading_the_stages_loads_nothing_heavy():
    code = (
        "import sys, edgepipe.stages.train, edgepipe.stages.distill, edgepipe.stages.checkpoint;"
        "print({'torch', 'transformers', 'sklearn'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
