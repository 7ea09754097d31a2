import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from edgepipe.artifacts import Report
from edgepipe.errors import StageError
from edgepipe.measure.records import ValidationReport
from edgepipe.stage import Work
from edgepipe.stages.validate import Inputs, Validate
from tests.runtime.tiny_onnx import Tiny, token_ids
from tests.stages.measured_models import LABELS, MAX_LENGTH, checkpoint, dataset, onnx_model, rows


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {
        "teacher": checkpoint(folder / "teacher"),
        "fp32": onnx_model(folder / "fp32", Tiny(seed=1)),
        "other": onnx_model(folder / "other", Tiny(seed=2)),
        "data": dataset(folder / "data"),
    }


def validate(models, tmp_path, reference="teacher", candidates=("fp32",), **settings):
    (tmp_path / "into").mkdir()
    inputs = Inputs(
        reference=models[reference],
        candidates={name: models[name] for name in candidates},
        data=models["data"],
    )
    made = Validate(**settings)(inputs, tmp_path / "into", Work(path=tmp_path))
    return made, ValidationReport.read(made.path / "report.json")


def answers_of_transformers(checkpoint, texts):
    tokenizer = AutoTokenizer.from_pretrained(checkpoint.path)
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint.path)
    encoded = tokenizer(texts, truncation=True, max_length=MAX_LENGTH, padding=True,
                        return_tensors="pt")  # fmt: skip
    with torch.no_grad():
        logits = model(encoded["input_ids"], encoded["attention_mask"]).logits
    return logits.argmax(-1).numpy()


def test_figures_are_those_of_the_models_answers(models, tmp_path):
    made, report = validate(models, tmp_path, candidates=("fp32", "other"))
    texts, truth = rows(models["data"], "test")
    teacher = answers_of_transformers(models["teacher"], texts)
    assert len(set(teacher)) > 1
    assert isinstance(made, Report)
    assert made.content == "validation"
    assert made.digest
    assert report.reference.accuracy == pytest.approx((teacher == truth).mean())
    assert [arm.name for arm in report.candidates] == ["fp32", "other"]
    for number, (arm, found) in enumerate(zip(report.candidates, report.comparisons, strict=True)):
        tiny = Tiny(seed=number + 1)
        answers = np.array([tiny.logits(text).argmax() for text in texts])
        assert arm.accuracy == pytest.approx((answers == truth).mean())
        assert found.candidate == arm.name
        assert found.drop == pytest.approx(report.reference.accuracy - arm.accuracy)
        assert found.reference_only == ((teacher == truth) & (answers != truth)).sum()
        assert found.candidate_only == ((teacher != truth) & (answers == truth)).sum()
        assert found.agreement == pytest.approx((teacher == answers).mean())
        assert [f.row - 1 for f in found.flips] == np.flatnonzero(teacher != answers).tolist()
        assert [f.text for f in found.flips] == [texts[f.row - 1] for f in found.flips]


def test_the_report_says_what_was_measured(models, tmp_path):
    _, report = validate(models, tmp_path, resamples=200)
    texts, _ = rows(models["data"], "test")
    cut = sum(len(token_ids(text, 99)) > MAX_LENGTH for text in texts)
    assert cut > 0
    assert (report.split, report.examples, report.resamples) == ("test", 40, 200)
    assert report.data == models["data"].digest
    assert report.labels == LABELS
    assert report.reference.digest == models["teacher"].digest
    assert report.reference.truncated == report.candidates[0].truncated == cut
    shipped = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert set(report.reference.files) == shipped
    assert report.reference.bytes == sum((models["teacher"].path / f).stat().st_size
                                         for f in shipped)  # fmt: skip


def test_the_split_is_a_choice(models, tmp_path):
    _, report = validate(models, tmp_path, split="validation")
    texts, truth = rows(models["data"], "validation")
    teacher = answers_of_transformers(models["teacher"], texts)
    assert report.split == "validation"
    assert report.reference.correct == (teacher == truth).sum()


def test_an_onnx_model_may_be_the_reference(models, tmp_path):
    _, report = validate(models, tmp_path, reference="fp32", candidates=("fp32", "teacher"))
    same, teacher = report.comparisons
    assert (same.flipped, same.agreement) == (0, 1)
    assert teacher.candidate == "teacher"


def test_chunks_change_nothing(models, tmp_path, monkeypatch):
    _, whole = validate(models, tmp_path)
    monkeypatch.setattr("edgepipe.stages.validate._CHUNK", 7)
    (tmp_path / "again").mkdir()
    _, parts = validate(models, tmp_path / "again")
    assert parts == whole


def test_an_answer_does_not_depend_on_its_batch_mates(models, tmp_path, monkeypatch):
    """In this model every answer would, were its texts not run with others of their length."""
    from edgepipe.measure import accuracy

    tiny = Tiny(seed=1, mates=True)
    asked = []
    real = accuracy.answers

    def spy(predict, texts, **given):
        asked.append((texts, predict(texts)))
        return real(predict, texts, **given)

    monkeypatch.setattr(accuracy, "answers", spy)
    mates = onnx_model(tmp_path / "mates", tiny)
    validate({**models, "mates": mates}, tmp_path, candidates=("mates",))
    texts, logits = asked[-1]
    expected = np.array([tiny.logits(text) for text in texts])
    assert logits == pytest.approx(expected, abs=1e-4)


def test_other_labels_are_refused_and_named(models, tmp_path):
    swapped = onnx_model(tmp_path / "m", Tiny(labels=("positive", "negative", "neutral")))
    with pytest.raises(StageError, match=r"^odd answers with the labels positive, negative, neut"):
        validate({**models, "odd": swapped}, tmp_path, candidates=("fp32", "odd"))


def test_a_reference_with_other_labels_is_refused(models, tmp_path):
    odd = checkpoint(tmp_path / "m", labels=("no", "yes"))
    with pytest.raises(StageError, match=r"^the reference answers with the labels no, yes, but"):
        validate({**models, "odd": odd}, tmp_path, reference="odd")


def test_logits_that_are_not_finite_name_the_arm(models, tmp_path):
    tiny = Tiny(seed=1)
    tiny.head[0, 0] = np.nan
    broken = onnx_model(tmp_path / "m", tiny)
    with pytest.raises(StageError, match=r"^broken answers .* not finite"):
        validate({**models, "broken": broken}, tmp_path, candidates=("broken",))


def test_an_absent_split_is_refused(models, tmp_path):
    with pytest.raises(StageError, match="no 'train' split"):
        validate(models, tmp_path, split="train")


def test_an_empty_split_is_refused(models, tmp_path):
    empty = dataset(tmp_path / "empty", count=0)
    with pytest.raises(StageError, match="the test split of the dataset is empty"):
        validate({**models, "data": empty}, tmp_path)


def test_no_candidates_are_refused(models, tmp_path):
    with pytest.raises(StageError, match="no candidates"):
        validate(models, tmp_path, candidates=())
