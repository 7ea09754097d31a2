from __future__ import annotations

import concurrent.futures
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgepipe.errors import BundleError, DeviceError, UsageError
from edgepipe.runtime import TextClassifier, batching, load, usable_cores
from tests.runtime.tiny_onnx import Tiny, variant, write_bundle

MODEL = "onnx/model.onnx"
TEXTS = [
    "the film is good",
    "bad",
    "",
    "a very very bad plot",
    "ok ok ok",
    "the plot",
    "très ☃ \U0001f600 film",
    "very " * 30,
]
MANY = TEXTS * 20
"""Enough for several batches of each length."""


@pytest.fixture(scope="module")
def classifier(bundle: Path) -> Iterator[TextClassifier]:
    with load(bundle, threads=1) as loaded:
        yield loaded


def softmax(logits: np.ndarray) -> np.ndarray:
    return np.exp(logits) / np.exp(logits).sum()


def close(expected: object) -> object:
    return pytest.approx(expected, rel=1e-5, abs=1e-5)


# ---- numbers, against numpy --------------------------------------------------------------------


@pytest.mark.parametrize("text", TEXTS)
def test_one_text(classifier: TextClassifier, tiny: Tiny, text: str) -> None:
    scores = softmax(tiny.logits(text))
    (answer,) = classifier(text)
    assert answer == {"label": tiny.labels[scores.argmax()], "score": close(float(scores.max()))}


@pytest.mark.parametrize("exact", [False, True])
def test_logits_of_many_texts_in_order(classifier: TextClassifier, tiny: Tiny, exact) -> None:
    found = classifier.logits(MANY, exact=exact)
    assert found.dtype == np.float32
    assert found == close(np.array([tiny.logits(text) for text in MANY]))


def test_a_list_of_texts(classifier: TextClassifier) -> None:
    assert classifier(MANY) == [
        {"label": one["label"], "score": close(one["score"])}
        for text in MANY
        for one in classifier(text)
    ]


def test_top_k_gives_a_list_for_every_text(classifier: TextClassifier, tiny: Tiny) -> None:
    scores = softmax(tiny.logits("bad"))
    order = np.argsort(-scores)
    expected = [{"label": tiny.labels[n], "score": close(float(scores[n]))} for n in order]
    assert classifier("bad", top_k=None) == expected
    assert classifier(["bad"], top_k=None) == [expected]
    assert classifier("bad", top_k=2) == expected[:2]
    assert classifier(["bad"], top_k=1) == [expected[:1]]


def test_nothing_gives_nothing(classifier: TextClassifier) -> None:
    assert classifier([]) == []
    assert classifier.logits([]).shape == (0, 3)


def test_a_single_label(tmp_path: Path) -> None:
    tiny = Tiny(labels=("spam",))
    with load(write_bundle(tmp_path / "b", tiny)) as classifier:
        expected = 1 / (1 + np.exp(-tiny.logits("bad")[0]))
        assert classifier("bad") == [{"label": "spam", "score": close(float(expected))}]


# ---- batch mates -------------------------------------------------------------------------------


def mated(folder: Path, tiny: Tiny, *, invariant: bool) -> TextClassifier:
    only = variant("only", MODEL, tiny, batch_invariant=invariant)
    return load(write_bundle(folder / "b", tiny, [only]), threads=1)


def test_exact_answers_do_not_depend_on_batch_mates(tmp_path: Path) -> None:
    tiny = Tiny(mates=True)
    alone = np.array([tiny.logits(text) for text in MANY])
    classifier = mated(tmp_path, tiny, invariant=False)
    assert classifier.logits(MANY, exact=True) == close(alone)
    assert np.abs(classifier.logits(MANY) - alone).max() > 1  # the graph does mix batch mates


def batch_shapes(classifier: TextClassifier, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int]]:
    shapes, run = [], classifier._network.run
    monkeypatch.setattr(
        classifier._network,
        "run",
        lambda ids, mask, types: shapes.append(ids.shape) or run(ids, mask, types),
    )
    return shapes


@pytest.mark.parametrize(("invariant", "most"), [(True, 20), (False, 1)])
def test_exact_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, invariant, most) -> None:
    classifier = mated(tmp_path, Tiny(), invariant=invariant)
    shapes = batch_shapes(classifier, monkeypatch)
    classifier.logits(["bad", "the plot"] * 20, exact=True)
    assert set(shapes) == {(most, 3), (most, 4)}


def test_without_a_mask_nothing_is_padded(tmp_path: Path) -> None:
    tiny = Tiny(masked=False)
    with load(write_bundle(tmp_path / "b", tiny)) as classifier:
        expected = np.array([tiny.logits(text) for text in MANY])
        assert classifier.logits(MANY) == close(expected)


def test_batches_stay_under_the_budget(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = load(bundle, threads=1)
    shapes = batch_shapes(classifier, monkeypatch)
    classifier.logits(MANY)
    assert all(rows * columns <= batching.BUDGET for rows, columns in shapes)
    assert sum(rows for rows, _ in shapes) == len(MANY)
    assert len(shapes) < len(MANY) / 8


def test_padding_is_the_token_that_the_manifest_names(
    tmp_path: Path, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = load(write_bundle(tmp_path / "b", tiny, pad_token_id=9), threads=1)
    seen = []
    monkeypatch.setattr(
        classifier._network,
        "run",
        lambda *inputs: seen.extend(inputs) or np.zeros((2, 3), np.float32),
    )
    classifier.logits(["bad", "the plot"])
    assert [array.tolist() for array in seen] == [
        [[1, 5, 2, 9], [1, 7, 10, 2]],
        [[1, 1, 1, 0], [1, 1, 1, 1]],
        [[0, 1, 0, 0], [0, 1, 1, 0]],
    ]


# ---- streams -----------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [1, 3, 1000])
def test_a_stream_gives_what_a_list_gives(classifier: TextClassifier, window: int) -> None:
    expected = [{"label": a["label"], "score": close(a["score"])} for a in classifier(TEXTS)]
    assert list(classifier.stream(iter(TEXTS), window=window)) == expected


def test_a_stream_reads_no_further_than_its_window(classifier: TextClassifier) -> None:
    taken: list[int] = []

    def endless() -> Iterator[str]:
        while True:
            taken.append(1)
            yield "film"

    stream = classifier.stream(endless(), window=4)
    assert not taken
    for _ in range(5):
        next(stream)
    assert len(taken) == 8


def test_a_stream_counts_from_its_beginning(classifier: TextClassifier) -> None:
    stream = classifier.stream(["a", "b", "c", None], window=2)
    next(stream)
    next(stream)
    with pytest.raises(UsageError, match="text 3 is of type NoneType"):
        next(stream)


def test_a_window_of_nothing(classifier: TextClassifier) -> None:
    with pytest.raises(UsageError, match="window is 0"):
        next(classifier.stream(["a"], window=0))


# ---- wrong calls -------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [None, b"film", 3, {"text": "a"}, iter(["a"]), {"a"}])
def test_what_is_no_list_of_texts(classifier: TextClassifier, bad: object) -> None:
    with pytest.raises(UsageError, match=f"texts is of type {type(bad).__name__}, not a list"):
        classifier(bad)


def test_logits_wants_a_list(classifier: TextClassifier) -> None:
    with pytest.raises(UsageError, match="texts is of type str, not a list"):
        classifier.logits("film")


@pytest.mark.parametrize("bad", [None, b"film", ["film"], "\ud800"])
def test_a_bad_text_is_named_by_its_index(classifier: TextClassifier, bad: object) -> None:
    with pytest.raises(UsageError, match=r"^text 2 "):
        classifier(["a", "b", bad])


def test_a_lone_surrogate_as_the_only_text(classifier: TextClassifier) -> None:
    with pytest.raises(UsageError, match=r"^text 0 holds a lone surrogate"):
        classifier("\ud800")


@pytest.mark.parametrize("top_k", [0, -1, "2", 1.5])
def test_a_wrong_top_k(classifier: TextClassifier, top_k: object) -> None:
    with pytest.raises(UsageError, match=f"top_k is {top_k!r}"):
        classifier("film", top_k=top_k)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"threads": 0}, "threads is 0"),
        ({"device": "gpu"}, "device is 'gpu', not cpu, cuda or auto"),
        ({"variant": "int4"}, "no variant 'int4': fp32"),
    ],
)
def test_wrong_arguments_of_load(bundle: Path, argument: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load(bundle, **argument)


# ---- loading -----------------------------------------------------------------------------------


def test_another_task_is_refused(tmp_path: Path, tiny: Tiny) -> None:
    folder = write_bundle(tmp_path / "b", tiny, task="token-classification")
    with pytest.raises(BundleError, match="is for 'token-classification'"):
        load(folder)


def test_a_variant_without_the_graph_is_refused(tmp_path: Path, tiny: Tiny) -> None:
    wrong = variant("v", MODEL, tiny)
    wrong["graphs"]["encoder"] = wrong["graphs"].pop("model")
    folder = write_bundle(tmp_path / "b", tiny, [wrong])
    with pytest.raises(BundleError, match="'v' has no graph 'model'"):
        load(folder)


def test_auto_takes_the_first_variant_that_fits(tmp_path: Path, tiny: Tiny) -> None:
    variants = [
        variant("future", MODEL, tiny, cpu_features=["no_such_feature"]),
        variant("gpu", MODEL, tiny, devices=["cuda"]),
        variant("here", MODEL, tiny),
        variant("later", MODEL, tiny),
    ]
    folder = write_bundle(tmp_path / "b", tiny, variants)
    assert load(folder).explain()["variant"] == "here"
    assert load(folder, variant="later").explain()["variant"] == "later"
    with pytest.raises(DeviceError, match="'future' needs no_such_feature"):
        load(folder, variant="future")


def test_device_auto_takes_the_cpu_where_nothing_is_for_cuda(tmp_path: Path, tiny: Tiny) -> None:
    folder = write_bundle(tmp_path / "b", tiny, [variant("v", MODEL, tiny, devices=["cpu"])])
    assert load(folder, device="auto").explain()["device"] == "cpu"


def test_explain(bundle: Path) -> None:
    explained = load(str(bundle), threads=2).explain()
    assert explained == {
        "bundle": "tiny",
        "variant": "fp32",
        "precision": "fp32",
        "batch_invariant": True,
        "device": "cpu",
        "provider": "CPUExecutionProvider",
        "threads": 2,
        "workers": 1,
        "session": {
            "graph_optimization_level": "all",
            "disabled_optimizers": [],
            "inter_op_num_threads": 1,
            "config_entries": {"session.intra_op.allow_spinning": "0"},
        },
        "max_length": 16,
        "labels": ["negative", "positive", "neutral"],
    }
    assert json.loads(json.dumps(explained)) == explained
    assert load(bundle, plain=True).explain()["session"] == {}


def test_threads_default_to_the_usable_cores(bundle: Path) -> None:
    assert load(bundle).explain()["threads"] == usable_cores()


# ---- sharing and ending ------------------------------------------------------------------------


def test_many_threads_share_one_classifier(classifier: TextClassifier, tiny: Tiny) -> None:
    expected = {text: tiny.logits(text) for text in TEXTS}

    def ask(number: int) -> bool:
        text = TEXTS[number % len(TEXTS)]
        single = classifier.logits([text])[0]
        batch = classifier.logits([text, "bad", text])
        return all(np.allclose(row, expected[text], atol=1e-5) for row in (single, *batch[::2]))

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(400)))


def test_a_closed_classifier_refuses(tmp_path: Path, bundle: Path) -> None:
    folder = shutil.copytree(bundle, tmp_path / "b")
    with load(folder) as classifier:
        classifier("film")
    for call in (classifier, classifier.logits):
        with pytest.raises(UsageError, match="is closed"):
            call(["film"])
