import json

import numpy as np
import pytest
import scipy
import torch
from sklearn import metrics

from edgepipe.artifacts import Checkpoint, Dataset, OnnxModel, Provenance, SplitRecord, Texts
from edgepipe.errors import DataError, StageError
from edgepipe.measure import accuracy
from edgepipe.measure.accuracy import Common
from edgepipe.measure.answers import Answered
from edgepipe.measure.attribution import Explained
from edgepipe.measure.lengths import token_counter
from edgepipe.measure.records import SliceBy, packed, unpacked
from edgepipe.measure.texts import Example, chunks, column, drawn, examples, sample, unlabelled
from tests.runtime.tiny_onnx import tokenizer

LABELS = ("no", "maybe", "yes")


def ints(*values):
    return np.array(values, np.int64)


def answered(tmp_path, *indices, name="int8", labels=LABELS, logits=None, **changes):
    """Logits are 2 for the answer and 0 for the others, unless they are given."""
    model = OnnxModel(
        path=tmp_path, digest="d", task="text-classification", labels=labels, max_length=8,
        precision="int8", graphs={}, provenance=Provenance(source="test"),
    )  # fmt: skip
    made = 2 * np.eye(len(labels), dtype=np.float32)[ints(*indices)] if logits is None else logits
    file = tmp_path.parent / f"{tmp_path.name} {name}.npy"
    np.save(file, made)
    found = {
        "name": name, "artifact": model, "device": "cpu", "logits": file,
        "indices": ints(*indices), "confidence": scipy.special.softmax(made, axis=1).max(axis=1),
        "lengths": np.arange(len(indices)), "unlabelled": ints(),
    }  # fmt: skip
    return Answered(**{**found, **changes})


def common(truth, **changes):
    return Common(truth=truth, resamples=199, **changes)


def test_figures_equal_scikit_learns(tmp_path):
    random = np.random.default_rng(0)
    truth = random.integers(0, 3, 200)
    guess = np.where(random.random(200) < 0.7, truth, random.integers(0, 3, 200))
    (tmp_path / "model.onnx").write_bytes(b"12345")
    (tmp_path / "artifact.json").write_bytes(b"not shipped")
    found = accuracy.figures(answered(tmp_path, *guess), truth)
    assert found.accuracy == pytest.approx(metrics.accuracy_score(truth, guess))
    assert found.correct == (truth == guess).sum()
    assert found.macro_f1 == pytest.approx(metrics.f1_score(truth, guess, average="macro"))
    assert np.array_equal(found.confusion, metrics.confusion_matrix(truth, guess))
    assert [c.label for c in found.classes] == list(LABELS)
    assert [c.f1 for c in found.classes] == pytest.approx(
        metrics.f1_score(truth, guess, average=None)
    )
    assert [c.precision for c in found.classes] == pytest.approx(
        metrics.precision_score(truth, guess, average=None)
    )
    assert [c.recall for c in found.classes] == pytest.approx(
        metrics.recall_score(truth, guess, average=None)
    )
    assert [c.support for c in found.classes] == np.bincount(truth).tolist()
    # Texts have 0, 1, 2, … tokens and the model reads 8 of them.
    assert (found.precision, found.device, found.truncated) == ("int8", "cpu", 200 - 9)
    assert (found.files, found.bytes) == ({"model.onnx": 5}, 5)
    assert unpacked(found.answers, 200).tolist() == guess.tolist()
    assert found.unlabelled_answers == ""


def test_a_class_that_the_split_lacks_counts_nowhere(tmp_path):
    found = accuracy.figures(answered(tmp_path, 0, 0, 2, 0), ints(0, 0, 2, 2))
    # By hand: "no" has precision 2/3 and recall 1, "yes" precision 1 and recall 1/2.
    assert [c.f1 for c in found.classes] == pytest.approx([0.8, 0, 2 / 3])
    assert found.macro_f1 == pytest.approx((0.8 + 2 / 3) / 2)
    assert found.classes[1].support == 0
    assert found.confusion == ((2, 0, 0), (0, 0, 0), (1, 0, 1))
    # Every answer has the probability e² / (e² + 2) = 0.787, and 3 of 4 are right.
    assert found.calibration.ece == pytest.approx(np.e**2 / (np.e**2 + 2) - 0.75)
    assert [b.count for b in found.calibration.bins if b.count] == [4]


def test_a_class_that_is_answered_but_never_right_pulls_macro_f1_down(tmp_path):
    found = accuracy.figures(answered(tmp_path, 0, 1, 2), ints(0, 0, 2))
    assert found.macro_f1 == pytest.approx((2 / 3 + 0 + 1) / 3)


def test_one_class_alone_is_no_crash(tmp_path):
    found = accuracy.figures(answered(tmp_path, 0, 0), ints(0, 0))
    assert (found.accuracy, found.macro_f1) == (1, 1)


def test_a_comparison_counts_who_is_right_alone(tmp_path):
    truth = ints(0, 0, 0, 1, 1, 2)
    reference = answered(tmp_path, 0, 0, 0, 1, 0, 0, name="teacher")
    candidate = answered(tmp_path, 0, 1, 2, 1, 1, 1)
    rows = [Example(f"text {n}", int(label)) for n, label in enumerate(truth)]
    found = accuracy.compare(candidate, reference, common(truth), rows)
    assert (found.reference_only, found.candidate_only, found.examples) == (2, 1, 6)
    assert found.drop == pytest.approx(4 / 6 - 3 / 6)
    assert found.agreement == pytest.approx(2 / 6)
    assert found.mcnemar_p == 1
    assert found.flipped == 4
    assert [flip.row for flip in found.flips] == [2, 3, 5, 6]
    last = found.flips[-1]
    assert (last.text, last.label, last.reference, last.candidate) == (
        "text 5", "yes", "no", "maybe",
    )  # fmt: skip
    f1 = [metrics.f1_score(truth, a.indices, average="macro") for a in (reference, candidate)]
    assert found.macro_f1_drop.value == pytest.approx(f1[0] - f1[1])
    assert (found.slices, found.explanation, found.unlabelled) == ({}, None, None)


def test_flips_say_how_sure_each_model_was(tmp_path):
    old = np.array([[3, 0, 0], [0, 1, 0]], np.float32)
    new = np.array([[0, 5, 0], [0, 9, 0]], np.float32)
    reference = answered(tmp_path, 0, 1, name="teacher", logits=old)
    candidate = answered(tmp_path, 1, 1, logits=new)
    rows = [Example("one", 0), Example("two", 1)]
    (flip,) = accuracy.compare(candidate, reference, common(ints(0, 1)), rows).flips
    assert flip.reference_confidence == pytest.approx(np.e**3 / (np.e**3 + 2))
    assert flip.candidate_confidence == pytest.approx(np.e**5 / (np.e**5 + 2))


def test_what_two_models_say_is_compared_number_by_number(tmp_path):
    random = np.random.default_rng(0)
    truth = random.integers(0, 3, 300)
    logits = [random.normal(size=(300, 3)).astype(np.float32) * 3 for _ in range(2)]
    old, new = (
        answered(tmp_path, *some.argmax(axis=1), name=str(n), logits=some)
        for n, some in enumerate(logits)
    )
    rows = [Example("", int(label)) for label in truth]
    found = accuracy.compare(new, old, common(truth), rows)
    asked, given = (torch.log_softmax(torch.from_numpy(some).double(), -1) for some in logits)
    expected = torch.nn.functional.kl_div(given, asked, reduction="batchmean", log_target=True)
    assert found.divergence.value == pytest.approx(float(expected), rel=1e-9)
    bounds = found.divergence.bounds(0.95)
    assert bounds.low < found.divergence.value < bounds.high
    assert found.max_logit_difference == pytest.approx(np.abs(logits[0] - logits[1]).max())
    increase = accuracy.figures(new, truth).calibration.ece
    increase -= accuracy.figures(old, truth).calibration.ece
    assert found.calibration_increase.value == pytest.approx(increase)
    assert found.detectable == pytest.approx(
        (1.6449 + 1.2816) * np.sqrt(found.reference_only + found.candidate_only) / 300, rel=1e-3
    )


def test_parts_words_and_unlabelled_texts_come_along(tmp_path):
    truth = ints(0, 0, 1, 1)
    reference = answered(
        tmp_path, 0, 0, 1, 1, name="teacher", unlabelled=ints(0, 1, 2, 2),
        weights=(np.array([3.0, 2.0, 1.0]), np.array([1.0, 0.0])),
    )  # fmt: skip
    candidate = answered(
        tmp_path, 0, 1, 1, 1, unlabelled=ints(0, 1, 2, 0),
        weights=(np.array([9.0, 8.0, 7.0]), np.array([0.0, 5.0])),
    )  # fmt: skip
    cut = SliceBy(by="source", names=("a", "b"), parts=packed([0, 0, 1, 1]))
    explained = (Explained(row=0, words=("x", "y", "z")), Explained(row=2, words=("u", "v")))
    shared = common(truth, slices=(cut,), explained=explained)
    rows = [Example("", int(label)) for label in truth]
    found = accuracy.compare(candidate, reference, shared, rows)
    assert [(s.name, s.examples, s.drop) for s in found.slices["source"]] == [
        ("a", 2, 0.5), ("b", 2, 0.0),
    ]  # fmt: skip
    assert (found.unlabelled.examples, found.unlabelled.alike) == (4, 3)
    assert found.explanation.rank_agreement.value == 0  # 1 and -1
    assert found.explanation.same_top_word == 0.5
    assert unpacked(accuracy.figures(candidate, truth).unlabelled_answers, 4)[3] == 0


def test_flips_are_shown_up_to_a_limit_and_read_no_further(tmp_path):
    truth = np.zeros(500, np.int64)
    reference = answered(tmp_path, *truth, name="teacher")
    candidate = answered(tmp_path, *np.tile([0, 1], 250))
    read = []

    def rows():
        for number in range(500):
            read.append(number)
            yield Example(str(number), 0)

    found = accuracy.compare(candidate, reference, common(truth), rows())
    assert found.flipped == 250
    assert [int(flip.text) for flip in found.flips] == list(range(1, 100, 2))
    assert len(read) == 100


def test_equal_answers_flip_nothing(tmp_path):
    same = answered(tmp_path, 0, 1)
    found = accuracy.compare(same, same, common(ints(0, 0)), iter([]))
    assert (found.flipped, found.flips, found.drop, found.agreement) == (0, (), 0, 1)
    assert (found.divergence.value, found.calibration_increase.value) == (0, 0)
    assert found.max_logit_difference == 0
    assert found.score.low < 0 < found.score.high


def test_tokens_are_counted_whatever_the_file_says(tmp_path):
    tokenizer().save(str(tmp_path / "tokenizer.json"))  # cuts at 5 and fills up to 40
    texts = ["good film", "good film very", "good film very bad plot"]
    # By hand: [CLS] and [SEP] beside the words.
    assert token_counter(tmp_path / "tokenizer.json")(texts).tolist() == [4, 5, 7]


def test_a_damaged_tokenizer_is_one_clear_error(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(StageError, match=r"tokenizer\.json is no readable tokenizer"):
        token_counter(tmp_path / "tokenizer.json")


# ---- texts of a split ---------------------------------------------------------------------------


def dataset(folder, rows) -> Dataset:
    (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    record = SplitRecord(rows=len(rows), label_counts=())
    return Dataset(path=folder, labels=LABELS, splits={"test": record})


def rows(count):
    return [{"text": f"text {n}", "label": n % 3} for n in range(count)]


def test_examples_are_read_in_order(tmp_path):
    found = list(examples(dataset(tmp_path, rows(4)), "test"))
    assert found == [("text 0", 0), ("text 1", 1), ("text 2", 2), ("text 3", 0)]


def test_an_absent_split_is_refused(tmp_path):
    with pytest.raises(StageError, match="no 'train' split"):
        next(examples(dataset(tmp_path, rows(1)), "train"))


@pytest.mark.parametrize(
    "line",
    ["{", "7", '{"text": "a"}', '{"text": 1, "label": 0}', '{"text": "a", "label": true}',
     '{"text": "a", "label": 3}', '{"text": "a", "label": -1}'],
)  # fmt: skip
def test_a_damaged_line_is_named(tmp_path, line):
    data = dataset(tmp_path, rows(1))
    with (tmp_path / "test.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(DataError, match=r"test\.jsonl:2"):
        list(examples(data, "test"))


def test_chunks_hold_every_row_once():
    assert list(chunks(iter("abcde"), 2)) == [["a", "b"], ["c", "d"], ["e"]]
    assert list(chunks(iter(""), 2)) == []


def test_a_sample_is_seeded_and_without_repetition(tmp_path):
    data = dataset(tmp_path, rows(50))
    drawn = sample(data, "test", 20, seed=1)
    assert len(set(drawn)) == 20
    assert drawn == sample(data, "test", 20, seed=1)
    assert drawn != sample(data, "test", 20, seed=2)
    assert drawn[:5] == sample(data, "test", 5, seed=1)
    assert drawn != sorted(drawn, key=lambda text: int(text.split()[1]))


def test_drawn_texts_know_their_rows(tmp_path):
    data = dataset(tmp_path, rows(50))
    found = drawn(data, "test", 20, seed=1)
    assert [text for _, text in found] == sample(data, "test", 20, seed=1)
    assert all(text == f"text {row}" for row, text in found)


def test_a_kept_column_is_read_in_order(tmp_path):
    kept = [{**row, "columns": {"source": str(n % 2)}} for n, row in enumerate(rows(3))]
    data = dataset(tmp_path, kept)
    assert list(column(data, "test", "source")) == ["0", "1", "0"]
    assert [e.label for e in examples(data, "test")] == [0, 1, 2]
    with pytest.raises(DataError, match=r"test\.jsonl:1 is damaged: no column 'sauce'"):
        list(column(data, "test", "sauce"))


@pytest.mark.parametrize("line", ['{"text": "a", "label": 0}', '{"text": "a", "columns": 3}'])
def test_a_line_without_the_column_is_named(tmp_path, line):
    data = dataset(tmp_path, [])
    (tmp_path / "test.jsonl").write_text(line)
    with pytest.raises(DataError, match=r"test\.jsonl:1"):
        list(column(data, "test", "source"))


def test_unlabelled_texts_are_read_in_order(tmp_path):
    texts = Texts(path=tmp_path, rows=2)
    texts.file.write_text('{"text": "b"}\n{"text": "a\u2028"}\n')
    assert list(unlabelled(texts)) == ["b", "a\u2028"]
    texts.file.write_text('{"text": "b"}\n{"text": 7}\n')
    with pytest.raises(DataError, match=r"texts\.jsonl:2 is damaged"):
        list(unlabelled(texts))


def test_a_sample_of_more_than_there_is_is_everything(tmp_path):
    data = dataset(tmp_path, rows(5))
    assert sorted(sample(data, "test", 9, seed=0)) == [f"text {n}" for n in range(5)]


def test_models_run_where_their_precision_can(tmp_path):
    from edgepipe.measure.models import device_of, precision_of

    model = answered(tmp_path, 0).artifact
    assert device_of(model, "cuda") == "cpu"
    assert device_of(model.model_copy(update={"precision": "fp32"}), "cuda") == "cuda"
    checkpoint = Checkpoint(
        path=tmp_path, task="text-classification", labels=LABELS, max_length=8,
        model_type="bert", parameters=1, provenance=Provenance(source="test"),
    )  # fmt: skip
    assert device_of(checkpoint, "cuda") == "cuda"
    assert precision_of(model) == "int8"
    assert precision_of(checkpoint) == "fp32"
