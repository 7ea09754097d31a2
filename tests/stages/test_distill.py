import json

import pytest
import torch
from transformers import AutoModelForSequenceClassification, BertForSequenceClassification

from edgepipe.artifacts import Checkpoint, Provenance
from edgepipe.errors import StageError
from edgepipe.stage import Work
from edgepipe.stages.distill import Distill, Inputs
from edgepipe.training import device
from edgepipe.training.load import label
from edgepipe.training.predict import logits
from edgepipe.training.save import save_checkpoint
from tests.training.toy_reviews import LABELS, Interrupted, config, dataset, tokenizer

QUICK = {"layers": 1, "epochs": 2, "batch_size": 16, "learning_rate": 3e-3}


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
    return dataset(tmp_path_factory.mktemp("reviews") / "data", train=48, validation=24)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher")
    torch.manual_seed(3)
    model = BertForSequenceClassification(label(config(num_hidden_layers=3), LABELS))
    save_checkpoint(model, tokenizer(), folder, 12)
    return Checkpoint(
        path=folder, task="text-classification", labels=LABELS, max_length=12,
        model_type="bert", parameters=model.num_parameters(),
        provenance=Provenance(source="somewhere", licence="mit"),
    ).commit()  # fmt: skip


def _stage(**settings):
    return Distill.model_validate_json(json.dumps({**QUICK, **settings}))


def _run(stage, teacher, data, folder, **work):
    into = folder / "into"
    into.mkdir(parents=True, exist_ok=True)
    return stage(Inputs(teacher=teacher, data=data), into, Work(path=folder / "work", **work))


def test_a_teacher_gets_a_student(tmp_path, teacher, data):
    made = _run(_stage(), teacher, data, tmp_path)
    assert Checkpoint.read(made.path) == made
    assert (made.labels, made.max_length) == (LABELS, teacher.max_length)
    assert made.provenance == teacher.provenance
    student = AutoModelForSequenceClassification.from_pretrained(made.path)
    assert student.config.num_hidden_layers == 1
    assert made.parameters == student.num_parameters() < teacher.parameters
    texts = [json.loads(line) for line in data.file("validation").read_text().splitlines()]
    answers = logits(made.path, [row["text"] for row in texts], max_length=12).argmax(1)
    right = sum(int(a) == row["label"] for a, row in zip(answers, texts, strict=True))
    assert made.notes["validation_accuracy"] == pytest.approx(right / len(texts))


def test_equal_steps_give_equal_bytes_and_a_kill_changes_nothing(tmp_path, teacher, data):
    stage = _stage(hidden_weight=1.0, attention_weight=1.0)
    first = _run(stage, teacher, data, tmp_path / "a")

    def kill(done, total, message):
        if done == 4:
            raise Interrupted

    with pytest.raises(Interrupted):
        _run(stage, teacher, data, tmp_path / "b", progress=kill)
    assert any((tmp_path / "b" / "work").iterdir())
    second = _run(stage, teacher, data, tmp_path / "b")
    other = _run(_stage(), teacher, data, tmp_path / "c")
    assert first.digest == second.digest != other.digest


def test_layers_and_widths_can_be_chosen(tmp_path, teacher, data):
    stage = _stage(layers=2, from_layers=[0, 2], hidden_size=8, intermediate_size=16)
    made = _run(stage, teacher, data, tmp_path)
    sizes = AutoModelForSequenceClassification.from_pretrained(made.path).config
    assert (sizes.num_hidden_layers, sizes.hidden_size, sizes.intermediate_size) == (2, 8, 16)
    assert sizes.num_attention_heads == 1


def test_a_student_with_more_layers_is_refused(tmp_path, teacher, data):
    with pytest.raises(StageError, match="layers = 4: the teacher has only 3"):
        _run(_stage(layers=4), teacher, data, tmp_path)


def test_other_labels_are_refused(tmp_path, teacher, data):
    swapped = data.model_copy(update={"labels": LABELS[::-1]})
    with pytest.raises(StageError, match="answers bad, good, and the data is labelled good, bad"):
        _run(_stage(), teacher, swapped, tmp_path)


def test_no_weight_on_any_answer_is_refused(tmp_path, teacher, data):
    with pytest.raises(StageError, match="both 0"):
        _run(_stage(logit_weight=0, label_weight=0), teacher, data, tmp_path)
