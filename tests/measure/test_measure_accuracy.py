import json

import numpy as np
import pytest
from sklearn import metrics

from edgepipe.artifacts import Checkpoint, Dataset, OnnxModel, Provenance, SplitRecord
from edgepipe.errors import DataError, StageError
from edgepipe.measure import accuracy
from edgepipe.measure.accuracy import Answered, Bootstrap
from edgepipe.measure.texts import Example, chunks, examples, sample
from tests.runtime.tiny_onnx import tokenizer

LABELS = ("no", "maybe", "yes")


def ints(*values):
    return np.array(values, np.int64)


def answered(tmp_path, *indices, name="int8", labels=LABELS):
    model = OnnxModel(
        path=tmp_path, digest="d", task="text-classification", labels=labels, max_length=8,
        precision="int8", graphs={}, provenance=Provenance(source="test"),
    )  # fmt: skip
    return Answered(name=name, artifact=model, device="cpu", indices=ints(*indices), truncated=3)


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
    assert (found.precision, found.device, found.truncated) == ("int8", "cpu", 3)
    assert (found.files, found.bytes) == ({"model.onnx": 5}, 5)


def test_a_class_that_the_split_lacks_counts_nowhere(tmp_path):
    found = accuracy.figures(answered(tmp_path, 0, 0, 2, 0), ints(0, 0, 2, 2))
    # By hand: "no" has precision 2/3 and recall 1, "yes" precision 1 and recall 1/2.
    assert [c.f1 for c in found.classes] == pytest.approx([0.8, 0, 2 / 3])
    assert found.macro_f1 == pytest.approx((0.8 + 2 / 3) / 2)
    assert found.classes[1].support == 0
    assert found.confusion == ((2, 0, 0), (0, 0, 0), (1, 0, 1))


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
    found = accuracy.compare(candidate, reference, truth, rows, Bootstrap(999, 0))
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


def test_flips_are_shown_up_to_a_limit_and_read_no_further(tmp_path):
    truth = np.zeros(500, np.int64)
    reference = answered(tmp_path, *truth, name="teacher")
    candidate = answered(tmp_path, *np.tile([0, 1], 250))
    read = []

    def rows():
        for number in range(500):
            read.append(number)
            yield Example(str(number), 0)

    found = accuracy.compare(candidate, reference, truth, rows(), Bootstrap(99, 0))
    assert found.flipped == 250
    assert [int(flip.text) for flip in found.flips] == list(range(1, 100, 2))
    assert len(read) == 100


def test_equal_answers_flip_nothing(tmp_path):
    same = answered(tmp_path, 0, 1)
    found = accuracy.compare(same, same, ints(0, 0), iter([]), Bootstrap(99, 0))
    assert (found.flipped, found.flips, found.drop, found.agreement) == (0, (), 0, 1)
    assert found.bootstrap.low == found.bootstrap.high == 0
    assert found.score.low < 0 < found.score.high


def test_answers_are_the_largest_logits():
    logits = np.array([[0.1, 0.9, 0.0], [2.0, -1.0, 1.9]], np.float32)
    found = accuracy.answers(lambda _: logits, ["a", "b"], labels=3, name="m")
    assert found.tolist() == [1, 0]
    assert found.dtype == np.int64


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_logits_that_are_no_numbers_are_refused(bad):
    logits = np.array([[0.1, 0.9], [bad, 0.0]], np.float32)
    with pytest.raises(StageError, match=r"^int8 answers 1 of 2 texts .*'second'"):
        accuracy.answers(lambda _: logits, ["first", "second"], labels=2, name="int8")


def test_logits_of_another_shape_are_refused():
    with pytest.raises(StageError, match=r"int8 answered 1 texts .*\(1, 2\), not \(1, 3\)"):
        accuracy.answers(lambda _: np.zeros((1, 2), np.float32), ["a"], labels=3, name="int8")


def test_truncated_texts_are_counted_whatever_the_file_says(tmp_path):
    tokenizer().save(str(tmp_path / "tokenizer.json"))  # cuts at 5 and fills up to 40
    texts = ["good film", "good film very", "good film very bad plot"]
    # By hand: [CLS] and [SEP] beside the words give 4, 5 and 7 tokens.
    for limit, expected in ((4, 2), (5, 1), (7, 0)):
        assert accuracy.truncated(tmp_path / "tokenizer.json", texts, limit) == expected


def test_a_damaged_tokenizer_is_one_clear_error(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(StageError, match=r"tokenizer\.json is no readable tokenizer"):
        accuracy.truncated(tmp_path / "tokenizer.json", ["a"], 4)


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
