from __future__ import annotations

import concurrent.futures
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgepipe.errors import BundleError, DeviceError, UsageError
from edgepipe.runtime import TextClassifier, batching, load, usable_cores
from edgepipe.runtime.classifier import WINDOW
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
        ({"workers": 0}, "workers is 0"),
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
    placed = explained.pop("nodes")
    assert isinstance(placed, dict)
    assert {provider: counts["MatMul"] for provider, counts in placed.items()} == {
        "CPUExecutionProvider": 1
    }
    assert explained == {
        "bundle": "tiny",
        "variant": "fp32",
        "precision": "fp32",
        "batch_invariant": True,
        "variants": {"fp32": {"exact": True}},
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
        "problem_type": "single_label_classification",
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


# ---- workers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [2, 5])
@pytest.mark.parametrize("exact", [False, True])
def test_workers_keep_the_order(bundle: Path, tiny: Tiny, workers: int, exact) -> None:
    with load(bundle, threads=1, workers=workers) as classifier:
        found = classifier.logits(MANY, exact=exact)
        assert found == close(np.array([tiny.logits(text) for text in MANY]))
        streamed = [answer["label"] for answer in classifier.stream(iter(MANY), window=40)]
        assert streamed == [tiny.labels[row.argmax()] for row in found]


def test_batches_of_workers_run_at_the_same_time(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each waits in the model for the other two; one after the other would never get there."""
    classifier = load(bundle, threads=1, workers=3)
    meeting, run = threading.Barrier(3), classifier._network.run

    def meet(*inputs: object) -> object:
        meeting.wait(timeout=60)
        return run(*inputs)

    monkeypatch.setattr(classifier._network, "run", meet)
    monkeypatch.setattr(classifier, "_plan", lambda lengths, exact: [[0], [1], [2]])
    assert len(classifier(["good", "bad", "ok"])) == 3
    classifier.close()


def test_few_texts_are_shared_out_among_the_workers(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = load(bundle, threads=1, workers=2)
    shapes = batch_shapes(classifier, monkeypatch)
    classifier.logits(["very good"] * 64)  # 256 tokens: one batch for one worker
    assert shapes == [(32, 4), (32, 4)]


def test_an_error_in_the_model_leaves_nothing_running(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = load(bundle, threads=1, workers=2)
    run, running = classifier._network.run, []

    def fail(ids: np.ndarray, *others: np.ndarray) -> object:
        running.append(1)
        try:
            if ids.shape[1] == 16:
                raise BundleError("cannot digest it")
            return run(ids, *others)
        finally:
            running.pop()

    monkeypatch.setattr(classifier._network, "run", fail)
    with pytest.raises(BundleError, match="cannot digest it"):
        classifier(MANY)
    assert not running
    monkeypatch.undo()
    assert len(classifier(MANY)) == len(MANY)
    classifier.close()


def test_a_bad_text_is_named_by_its_index_with_workers(bundle: Path) -> None:
    texts = ["ok"] * 1500 + ["\ud800"] + ["ok"] * 1500
    with load(bundle, threads=1, workers=2) as classifier:
        with pytest.raises(UsageError, match=r"^text 1500 holds a lone surrogate"):
            classifier(texts)
        with pytest.raises(UsageError, match=r"^text 1500 holds a lone surrogate"):
            list(classifier.stream(iter(texts)))


def test_what_is_no_text_is_told_before_anything_runs(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = load(bundle, threads=1)
    monkeypatch.setattr(classifier._network, "run", None)
    with pytest.raises(UsageError, match=r"^text 4000 is of type NoneType, not str"):
        classifier(["ok"] * 4000 + [None])


@pytest.mark.parametrize(
    ("arguments", "threads", "workers"),
    [
        ({}, 6, 1),
        ({"workers": 2}, 3, 2),
        ({"workers": None}, 1, 6),
        ({"threads": 2, "workers": None}, 2, 3),
        ({"threads": 4, "workers": None}, 4, 1),
        ({"threads": 9}, 9, 1),
    ],
)
def test_threads_and_workers(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, arguments: dict, threads: int, workers: int
) -> None:
    monkeypatch.setattr("edgepipe.runtime.usable_cores", lambda: 6)
    explained = load(bundle, **arguments).explain()
    assert (explained["threads"], explained["workers"]) == (threads, workers)


# ---- large inputs ------------------------------------------------------------------------------


def test_of_a_hundred_thousand_texts_one_window_is_held(
    bundle: Path, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier, held = load(bundle, threads=1), []
    infer = classifier.infer
    monkeypatch.setattr(
        classifier, "infer", lambda rows, exact: held.append(len(rows)) or infer(rows, exact=exact)
    )
    texts = ["the film is good", "bad plot"] * 50_000
    found = classifier.logits(texts)
    assert sum(held) == len(texts)
    assert max(held) == WINDOW
    assert np.ptp(found[::2], axis=0) == close(np.zeros(3))
    assert np.ptp(found[1::2], axis=0) == close(np.zeros(3))
    assert found[-2:] == close(np.array([tiny.logits(text) for text in texts[-2:]]))


def test_a_megabyte_of_text_is_truncated(classifier: TextClassifier, tiny: Tiny) -> None:
    text = "the film is very bad " * 50_000
    assert classifier.logits([text])[0] == close(tiny.logits(text))


@pytest.mark.parametrize("call", ["__call__", "stream"])
def test_exact_answers_of_every_call(tmp_path: Path, call: str) -> None:
    tiny = Tiny(mates=True)
    classifier = mated(tmp_path, tiny, invariant=False)
    found = list(getattr(classifier, call)(MANY, exact=True))
    scores = [softmax(tiny.logits(text)) for text in MANY]
    assert [one["label"] for one in found] == [tiny.labels[row.argmax()] for row in scores]
    assert [one["score"] for one in found] == close([row.max() for row in scores])


# ---- what load verifies ------------------------------------------------------------------------


def damage(path: Path) -> None:
    """Another byte of the same size."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", [MODEL, "tokenizer.json"])
def test_a_changed_file_is_refused_before_it_is_opened(
    tmp_path: Path, tiny: Tiny, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    folder = write_bundle(tmp_path / "b", tiny)
    damage(folder / name)
    monkeypatch.setattr("edgepipe.runtime.network.open_session", None)
    with pytest.raises(BundleError, match=name):
        load(folder)


def test_who_does_not_want_hashes_gets_none(tmp_path: Path, tiny: Tiny) -> None:
    folder = write_bundle(tmp_path / "b", tiny)
    manifest = json.loads((folder / "edgepipe.json").read_text())
    manifest["files"][MODEL]["sha256"] = "0" * 64
    (folder / "edgepipe.json").write_text(json.dumps(manifest))
    assert load(folder, verify=False)("good")
    with pytest.raises(BundleError, match=MODEL):
        load(folder)


def test_the_other_variant_may_be_absent(tmp_path: Path, tiny: Tiny) -> None:
    (tmp_path / "b/onnx").mkdir(parents=True)
    (tmp_path / "b/onnx/model_q4.onnx").write_bytes(b"another")
    variants = [variant("fp32", MODEL, tiny), variant("q4", "onnx/model_q4.onnx", tiny)]
    folder = write_bundle(tmp_path / "b", tiny, variants)
    (folder / "onnx/model_q4.onnx").unlink()
    assert load(folder)("good")
    with pytest.raises(BundleError, match=r"onnx/model_q4.onnx is missing"):
        load(folder, variant="q4")
    with pytest.raises(BundleError, match=r"onnx/model_q4.onnx"):
        load(folder, check=True)


def test_a_packed_bundle_is_to_be_unpacked(tmp_path: Path) -> None:
    (tmp_path / "bundle.zip").write_bytes(b"PK\x03\x04")
    with pytest.raises(BundleError, match=r"is a file; .*edgepipe unpack"):
        load(tmp_path / "bundle.zip")
