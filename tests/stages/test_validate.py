import hashlib
import json

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from edgepipe.artifacts import Dataset, Report, SplitRecord, Texts
from edgepipe.errors import DataError, StageError
from edgepipe.measure.records import ValidationReport
from edgepipe.stage import Work
from edgepipe.stages.validate import Inputs, Validate
from tests.runtime.tiny_onnx import WORDS, Tiny, token_ids
from tests.stages.measured_models import (
    LABELS,
    MAX_LENGTH,
    checkpoint,
    dataset,
    onnx_model,
    rows,
    texts,
)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {
        "teacher": checkpoint(folder / "teacher"),
        "fp32": onnx_model(folder / "fp32", Tiny(seed=1)),
        "other": onnx_model(folder / "other", Tiny(seed=2)),
        "data": dataset(folder / "data"),
    }


def validate(  # noqa: PLR0913 - what a test changes
    models, tmp_path, reference="teacher", candidates=("fp32",), *, unlabelled=None, seed=0,
    **settings,
):  # fmt: skip
    (tmp_path / "into").mkdir()
    inputs = Inputs(
        reference=models[reference],
        candidates={name: models[name] for name in candidates},
        data=models["data"],
        unlabelled=unlabelled,
    )
    stage = Validate(**{"resamples": 199, "explain": 0, **settings})
    made = stage(inputs, tmp_path / "into", Work(path=tmp_path / "work", seed=seed))
    return made, ValidationReport.read(made.path / "report.json")


def logits_of_transformers(checkpoint, texts):
    tokenizer = AutoTokenizer.from_pretrained(checkpoint.path)
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint.path)
    encoded = tokenizer(texts, truncation=True, max_length=MAX_LENGTH, padding=True,
                        return_tensors="pt")  # fmt: skip
    with torch.no_grad():
        return model(encoded["input_ids"], encoded["attention_mask"]).logits


def answers_of_transformers(checkpoint, texts):
    return logits_of_transformers(checkpoint, texts).argmax(-1).numpy()


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
    file = models["data"].path / "test.jsonl"
    assert report.split_sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert (report.unlabelled, report.unlabelled_sha256) == (0, "")
    assert report.comparisons[0].unlabelled is None
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
    monkeypatch.setattr("edgepipe.measure.answers.CHUNK", 7)
    monkeypatch.setattr("edgepipe.measure.logits.CHUNK", 5)
    (tmp_path / "again").mkdir()
    _, parts = validate(models, tmp_path / "again")
    assert parts.reference.answers == whole.reference.answers
    assert parts.candidates[0].answers == whole.candidates[0].answers
    assert parts.candidates[0].truncated == whole.candidates[0].truncated
    (some,), (all_at_once,) = parts.comparisons, whole.comparisons
    assert [flip.row for flip in some.flips] == [flip.row for flip in all_at_once.flips]
    assert some.slices == all_at_once.slices
    # torch adds in another order when other texts share the batch.
    assert some.divergence.value == pytest.approx(all_at_once.divergence.value, rel=1e-5)


def test_an_answer_does_not_depend_on_its_batch_mates(models, tmp_path, monkeypatch):
    """In this model every answer would, were its texts not run with others of their length."""
    from edgepipe.measure import answers

    tiny = Tiny(seed=1, mates=True)
    asked = []
    real = answers.answer

    def spy(predict, texts, **given):
        asked.append((texts, predict(texts)))
        return real(predict, texts, **given)

    monkeypatch.setattr(answers, "answer", spy)
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


def test_figures_beyond_the_answers_are_those_of_the_logits(models, tmp_path):
    """Divergence and probabilities against torch, over transformers' and numpy's own logits."""
    _, report = validate(models, tmp_path)
    lines, truth = rows(models["data"], "test")
    old = logits_of_transformers(models["teacher"], lines).double()
    new = torch.from_numpy(np.array([Tiny(seed=1).logits(text) for text in lines])).double()
    (found,) = report.comparisons
    asked, given = old.log_softmax(-1), new.log_softmax(-1)
    expected = torch.nn.functional.kl_div(given, asked, reduction="batchmean", log_target=True)
    assert found.divergence.value == pytest.approx(float(expected), rel=1e-4)
    assert found.max_logit_difference == pytest.approx(float((old - new).abs().max()), rel=1e-4)
    for flip in found.flips:
        row = flip.row - 1
        assert flip.reference_confidence == pytest.approx(float(asked[row].exp().max()), rel=1e-4)
        assert flip.candidate_confidence == pytest.approx(float(given[row].exp().max()), rel=1e-4)
    arm = report.reference
    assert report.labels_of_texts().tolist() == truth.tolist()
    assert report.answers_of(arm.name).tolist() == old.argmax(-1).tolist()
    confidence = asked.exp().max(-1).values.numpy()
    place = np.ceil(confidence * 15) - 1
    gaps = [abs((confidence - (old.argmax(-1).numpy() == truth))[place == n].sum())
            for n in range(15)]  # fmt: skip
    assert arm.calibration.ece == pytest.approx(sum(gaps) / 40, rel=1e-4)


def test_slices_are_cut_by_the_references_tokens(models, tmp_path):
    _, report = validate(models, tmp_path)
    lines, truth = rows(models["data"], "test")
    assert [cut.by for cut in report.slices] == ["length", "label"]
    cut = report.comparisons[0].slices["length"]
    assert len(cut) == 4
    old = answers_of_transformers(models["teacher"], lines) == truth
    lengths = np.array([len(token_ids(text, 99)) for text in lines])
    for part in cut:
        low, high = map(int, part.name.removesuffix(" tokens").split(" to "))
        mine = (low <= lengths) & (lengths <= high)
        assert part.examples == mine.sum()
        assert part.reference_accuracy == pytest.approx(old[mine].mean())
    assert {s.name: s.examples for s in report.comparisons[0].slices["label"]} == {
        label: (truth == n).sum() for n, label in enumerate(LABELS)
    }


def with_sources(folder):
    """The usual test split, whose rows come from two sources in turn."""
    folder.mkdir()
    plain = dataset(folder / "plain")
    lines = (plain.path / "test.jsonl").read_text().splitlines()
    kept = [{**json.loads(line), "columns": {"source": "ab"[n % 2]}}
            for n, line in enumerate(lines)]  # fmt: skip
    (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in kept))
    record = SplitRecord(rows=40, label_counts=plain.splits["test"].label_counts)
    made = Dataset(path=folder, labels=LABELS, columns=("source",), splits={"test": record})
    return made.commit()


def test_a_kept_column_makes_slices(models, tmp_path):
    data = with_sources(tmp_path / "data")
    _, report = validate({**models, "data": data}, tmp_path, "fp32", slices=("source",))
    _, plain = validate(models, disk_folder(tmp_path / "plain"), "fp32")
    (cut,) = report.slices
    assert (cut.by, cut.names) == ("source", ("a", "b"))
    assert [part.examples for part in report.comparisons[0].slices["source"]] == [20, 20]
    assert report.reference == plain.reference


def disk_folder(path):
    path.mkdir()
    return path


def test_a_column_that_the_data_does_not_keep_is_refused(models, tmp_path):
    data = with_sources(tmp_path / "data")
    with pytest.raises(StageError, match=r"no column 'sauce' .*length, label, source.*'source'\?"):
        validate({**models, "data": data}, tmp_path, slices=("sauce",))
    with pytest.raises(StageError, match="no column 'source'"):
        validate(models, disk_folder(tmp_path / "plain"), slices=("source",))


def test_slices_are_named_once():
    with pytest.raises(ValidationError, match="names slices twice"):
        Validate(slices=("label", "label"))


def without_labels(folder, lines):
    folder.mkdir()
    made = Texts(path=folder, rows=len(lines))
    made.file.write_text("".join(json.dumps({"text": text}) + "\n" for text in lines))
    return made.commit()


def test_agreement_on_unlabelled_texts(models, tmp_path):
    lines = texts(30, seed=7)
    more = without_labels(tmp_path / "more", lines)
    _, report = validate(models, tmp_path, candidates=("fp32", "other"), unlabelled=more)
    teacher = answers_of_transformers(models["teacher"], lines)
    assert report.unlabelled == 30
    assert report.unlabelled_sha256 == hashlib.sha256(more.file.read_bytes()).hexdigest()
    for seed, found in enumerate(report.comparisons, start=1):
        answers = np.array([Tiny(seed=seed).logits(text).argmax() for text in lines])
        assert found.unlabelled.alike == (answers == teacher).sum()
        assert found.unlabelled.agreement == pytest.approx((answers == teacher).mean())
    assert report.examples == 40


def test_unlabelled_texts_that_break_a_model_name_it(models, tmp_path):
    """The row of [UNK] is NaN, and only the unlabelled text has such a word."""
    tiny = Tiny(seed=1)
    tiny.words[WORDS.index("[UNK]")] = np.nan
    broken = onnx_model(tmp_path / "m", tiny)
    more = without_labels(tmp_path / "more", ["good film", "unheard"])
    with pytest.raises(StageError, match=r"^broken answers 1 of 2 .* not finite.*'unheard'"):
        validate({**models, "broken": broken}, tmp_path, candidates=("broken",), unlabelled=more)


def test_words_are_weighed_for_the_references_answer(models, tmp_path):
    """By numpy alone: the logit of the reference's answer, less what it is without each word."""
    _, report = validate(models, tmp_path, "fp32", ("fp32", "other"), explain=40)
    same, other = (found.explanation for found in report.comparisons)
    lines, _ = rows(models["data"], "test")
    assert same.texts == other.texts <= sum(len(text.split()) > 1 for text in lines)
    assert same.rank_agreement.value == pytest.approx(1)
    assert same.same_top_word == 1
    assert other.rank_agreement.value < 0.9
    assert len(other.examples) == 5
    for shown in other.examples:
        answer = Tiny(seed=1).logits(shown.text).argmax()
        for seed, found in ((1, shown.reference), (2, shown.candidate)):
            tiny = Tiny(seed=seed)
            without = [" ".join(shown.words[:n] + shown.words[n + 1 :])
                       for n in range(len(shown.words))]  # fmt: skip
            lost = [tiny.logits(shown.text)[answer] - tiny.logits(w)[answer] for w in without]
            assert found == pytest.approx(lost, abs=1e-4)


def test_explanations_are_drawn_by_the_seed_and_may_be_left_out(models, tmp_path):
    reports = [
        validate(models, disk_folder(tmp_path / name), "fp32", ("other",), explain=5, seed=seed)[1]
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    once, again, other = (report.comparisons[0].explanation for report in reports)
    assert once == again != other
    _, none = validate(models, tmp_path, "fp32", ("other",), explain=0)
    assert none.comparisons[0].explanation is None


def test_logits_leave_nothing_behind(models, tmp_path):
    left = tmp_path / "work" / "logits-of-a-killed-run"
    left.mkdir(parents=True)
    (left / "0.npy").write_bytes(b"half")
    made, _ = validate(models, tmp_path, "fp32", ("other",))
    assert list((tmp_path / "work").iterdir()) == []
    assert {file.name for file in made.path.iterdir()} == {"report.json", "artifact.json"}


def test_a_split_that_is_not_as_recorded_is_refused(models, tmp_path):
    data = dataset(tmp_path / "data")
    file = data.path / "test.jsonl"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(DataError, match="has 39 texts where its record says 40"):
        validate({**models, "data": data}, tmp_path)


def test_no_candidates_are_refused(models, tmp_path):
    with pytest.raises(StageError, match="no candidates"):
        validate(models, tmp_path, candidates=())
