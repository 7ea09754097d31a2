import json
import tracemalloc

import numpy as np
import pytest

from edgepipe.artifacts import Dataset, OnnxModel, Provenance, SplitRecord, Texts
from edgepipe.errors import DataError, StageError
from edgepipe.measure import answers
from edgepipe.measure.answers import Arm, Questions, ask
from edgepipe.measure.logits import differences
from tests.runtime.tiny_onnx import WORDS, token_ids, tokenizer

LABELS = 3


def arm(folder, predict, labels=LABELS):
    folder.mkdir(exist_ok=True)
    tokenizer().save(str(folder / "tokenizer.json"))
    model = OnnxModel(
        path=folder, task="text-classification", labels=tuple(map(str, range(labels))),
        max_length=16, graphs={}, provenance=Provenance(source="test"),
    )  # fmt: skip
    return Arm(name="int8", artifact=model, device="cpu", predict=predict)


def questions(folder, texts, more=None, labels=LABELS):
    folder.mkdir(exist_ok=True)
    with (folder / "test.jsonl").open("w") as file:
        file.writelines(json.dumps({"text": text, "label": 0}) + "\n" for text in texts)
    names = tuple(map(str, range(labels)))
    record = SplitRecord(rows=len(texts), label_counts=())
    data = Dataset(path=folder, labels=names, splits={"test": record})
    if more is None:
        return Questions(data=data, split="test")
    unlabelled = Texts(path=folder, rows=len(more))
    unlabelled.file.write_text("".join(json.dumps({"text": text}) + "\n" for text in more))
    return Questions(data=data, split="test", unlabelled=unlabelled)


def by_words(texts):
    """Logits that are counts of three words."""
    return np.array(
        [[t.split().count(w) for w in ("good", "bad", "ok")] for t in texts], np.float32
    )


def test_every_text_gets_its_answer(tmp_path, monkeypatch):
    monkeypatch.setattr(answers, "CHUNK", 2)
    texts, more = ["bad bad", "good film", "ok ok ok", "film", "bad ok ok"], ["bad", "ok", "good"]
    seen, steps = [], []

    def predict(asked):
        seen.append(list(asked))
        return by_words(asked)

    found = ask(
        arm(tmp_path / "m", predict), questions(tmp_path / "d", texts, more),
        tmp_path / "x.npy", lambda *step: steps.append(step),
    )  # fmt: skip
    assert found.indices.tolist() == [1, 0, 2, 0, 2]
    assert found.unlabelled.tolist() == [1, 2, 0]
    assert found.lengths.tolist() == [len(token_ids(text, 99)) for text in texts]
    assert found.confidence[0] == pytest.approx(np.e**2 / (np.e**2 + 2))
    assert found.confidence[3] == pytest.approx(1 / 3)
    assert np.array_equal(np.load(tmp_path / "x.npy"), by_words(texts))
    assert seen == [texts[:2], texts[2:4], texts[4:], more[:2], more[2:]]
    assert steps == [(0, 8, "int8"), (2, 8, "int8"), (4, 8, "int8"), (5, 8, "int8"), (7, 8, "int8")]


def test_without_unlabelled_texts_there_are_no_such_answers(tmp_path):
    asked = questions(tmp_path / "d", ["good"])
    found = ask(arm(tmp_path / "m", by_words), asked, tmp_path / "x.npy", lambda *_: None)
    assert found.unlabelled.size == 0


@pytest.mark.parametrize("where", ["split", "unlabelled"])
def test_a_broken_answer_leaves_no_logits(tmp_path, where):
    def predict(texts):
        return np.where(np.array([["film" in text] for text in texts]), np.nan, by_words(texts))

    texts, more = (["good", "film"], ["ok"]) if where == "split" else (["good"], ["ok", "film"])
    asked = questions(tmp_path / "d", texts, more)
    with pytest.raises(StageError, match=r"^int8 answers 1 of 2 texts .*'film'"):
        ask(arm(tmp_path / "m", predict), asked, tmp_path / "x.npy", lambda *_: None)
    assert (tmp_path / "x.npy").exists() == (where == "unlabelled")


@pytest.mark.parametrize("recorded", [1, 3])
def test_a_split_of_another_length_is_refused(tmp_path, recorded):
    asked = questions(tmp_path / "d", ["good", "bad"])
    record = SplitRecord(rows=recorded, label_counts=())
    data = asked.data.model_copy(update={"splits": {"test": record}})
    with pytest.raises(DataError, match=f"has 2 texts where its record says {recorded}"):
        ask(arm(tmp_path / "m", by_words), Questions(data=data, split="test"),
            tmp_path / "x.npy", lambda *_: None)  # fmt: skip


def test_memory_grows_neither_with_texts_nor_with_labels(tmp_path, monkeypatch):
    """1,500 texts of 3 kB each and 1,000 labels: 4.5 MB of texts, 6 MB of logits a model."""
    for module in ("answers", "logits"):
        monkeypatch.setattr(f"edgepipe.measure.{module}.CHUNK", 32)
    text = " ".join([*WORDS[4:]] * 90)
    asked = questions(tmp_path / "d", [text] * 1500, labels=1000)

    def predict(texts):
        return np.zeros((len(texts), 1000), np.float32)

    model = arm(tmp_path / "m", predict, labels=1000)
    ask(model, questions(tmp_path / "warm", ["good"], labels=1000), tmp_path / "w.npy",
        lambda *_: None)  # fmt: skip
    tracemalloc.start()
    try:
        for name in ("a.npy", "b.npy"):
            ask(model, asked, tmp_path / name, lambda *_: None)
        divergence, _ = differences(tmp_path / "a.npy", tmp_path / "b.npy")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(divergence) == 1500
    assert peak < 3_000_000
