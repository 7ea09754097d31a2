"""Bound buffers on the CPU, where IO binding works as on a GPU; no test here runs on a GPU."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepipe.runtime.cuda import BoundRunner, bucket
from edgepipe.runtime.manifest import SessionSettings
from edgepipe.runtime.session import SessionPlan, open_session
from tests.runtime.tiny_onnx import Tiny, model, node, token_ids, value

TEXTS = ("good film", "a very bad plot", "the film is ok", "bad")
SHORTAGE = "Failed to allocate memory for requested buffer of size 939524096"


class Wrapped:
    """A session on the CPU that says it captures CUDA graphs, writes down its runs, and may fail.

    The provider for the CPU does nothing for the graph ids that it is handed.
    """

    def __init__(self, session: Any, *failures: str, capture: bool = False) -> None:
        self._session = session
        self._failures = list(failures)
        self._capture = capture
        self.ids: list[str] = []
        self.released: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def get_providers(self) -> list[str]:
        cuda = ["CUDAExecutionProvider"] if self._capture else []
        return [*cuda, "CPUExecutionProvider"]

    def get_provider_options(self) -> dict[str, dict[str, str]]:
        return {"CUDAExecutionProvider": {"enable_cuda_graph": str(int(self._capture))}}

    def run_with_iobinding(self, binding: Any, options: Any) -> None:
        self.ids.append(options.get_run_config_entry("gpu_graph_id"))
        if self._failures:
            raise RuntimeError(self._failures.pop(0))
        self._session.run_with_iobinding(binding, options)

    def release_captured_graph(self, graph_id: int) -> None:
        self.released.append(graph_id)


def opened(path: Path) -> Any:
    return open_session(SessionPlan(path, SessionSettings(), "cpu", threads=1))


@pytest.fixture(scope="module")
def session(bundle: Path) -> Any:
    return opened(bundle / "onnx" / "model.onnx")


def bound(session: Any, max_length: int = 16) -> BoundRunner:
    return BoundRunner(session, "logits", max_length, labels=3, device="cpu")


def feed_of(*texts: str, masked: bool = True) -> dict[str, np.ndarray[Any, Any]]:
    """What the network hands over: rows filled up to the longest."""
    rows = [token_ids(text) for text in texts]
    shape = (len(rows), max(map(len, rows)))
    ids, mask, types = (np.zeros(shape, np.int64) for _ in range(3))
    for n, row in enumerate(rows):
        ids[n, : len(row)] = row
        mask[n, : len(row)] = 1
        types[n, 1 : len(row) - 1] = 1
    named = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
    return named if masked else {name: named[name] for name in named if name != "attention_mask"}


@pytest.mark.parametrize(
    ("rows", "tokens", "max_length", "expected"),
    [
        (1, 1, 512, (1, 8)),
        (1, 8, 512, (1, 8)),
        (3, 9, 512, (4, 16)),
        (4, 16, 512, (4, 16)),
        (5, 300, 384, (8, 384)),  # no position for 512
        (2, 5, 6, (2, 6)),
        (1, 20, 16, (1, 20)),  # longer than promised: the model decides
    ],
)
def test_buckets(rows: int, tokens: int, max_length: int, expected: tuple[int, int]) -> None:
    assert bucket(rows, tokens, max_length) == expected


def test_answers_are_those_of_numpy(session: Any, tiny: Tiny) -> None:
    runner = bound(session)
    for texts in (TEXTS[:3], TEXTS[:1], TEXTS, TEXTS[1:3], TEXTS[:3]):
        found = runner.run(feed_of(*texts))
        assert found == pytest.approx(np.array([tiny.logits(t) for t in texts]), abs=1e-5)
        assert found.dtype == np.float32
    assert runner.explain() == {
        "cuda_graphs": "off: the session runs on the CPU",
        "buckets": [[1, 8], [2, 8], [4, 8]],
    }


def test_an_answer_keeps_after_the_next_run(session: Any) -> None:
    runner = bound(session)
    first = runner.run(feed_of("good film"))
    kept = first.copy()
    runner.run(feed_of("bad"))
    assert (first == kept).all()


def test_buffers_are_made_once_a_bucket(session: Any) -> None:
    runner = bound(session)
    for _ in range(3):
        runner.run(feed_of(*TEXTS))
        runner.run(feed_of("good"))
    first = dict(runner._buffers)
    runner.run(feed_of(*TEXTS[:3]))
    assert runner._buffers == first


def test_without_a_mask_only_the_batch_is_filled_up(tmp_path: Path) -> None:
    tiny = Tiny(masked=False)
    path = tmp_path / "model.onnx"
    path.write_bytes(tiny.onnx())
    runner = bound(Wrapped(opened(path), capture=True))
    texts = ("a very good plot", "the film is bad", "good good good ok")
    found = runner.run(feed_of(*texts, masked=False))
    assert found == pytest.approx(np.array([tiny.logits(t) for t in texts]), abs=1e-5)
    assert runner.explain() == {
        "cuda_graphs": "off: the graph takes no mask, so that its shapes cannot be frozen",
        "buckets": [[4, 6]],
    }


def test_a_half_precision_output_is_cast(tmp_path: Path) -> None:
    content = model(
        [node("Cast", "input_ids", "logits", to=10)],
        [],
        [value("input_ids", 7, "batch", "sequence")],
        value("logits", 10, "batch", "sequence"),
    )
    (tmp_path / "half.onnx").write_bytes(content)
    runner = BoundRunner(opened(tmp_path / "half.onnx"), "logits", 16, labels=2, device="cpu")
    found = runner.run({"input_ids": np.array([[3, 2049]], np.int64)})
    assert found.dtype == np.float32
    assert found.tolist() == [[3.0, 2048.0]]  # half precision has 11 bits


def test_threads_take_turns(session: Any, tiny: Tiny) -> None:
    runner = bound(session)
    expected = {text: tiny.logits(text) for text in TEXTS}
    wrong: list[str] = []

    def ask(offset: int) -> None:
        for n in range(50):
            text = TEXTS[(n + offset) % len(TEXTS)]
            if not np.allclose(runner.run(feed_of(text))[0], expected[text], atol=1e-5):
                wrong.append(text)

    threads = [threading.Thread(target=ask, args=(offset,)) for offset in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_after_a_shortage_the_next_call_works(session: Any, tiny: Tiny) -> None:
    runner = bound(Wrapped(session, SHORTAGE))
    with pytest.raises(RuntimeError, match="Failed to allocate"):
        runner.run(feed_of("good film"))
    assert runner.explain()["buckets"] == []
    assert runner.run(feed_of("good film"))[0] == pytest.approx(tiny.logits("good film"), abs=1e-5)


def test_the_first_error_is_the_one_that_is_told(session: Any, tiny: Tiny) -> None:
    """When the device is lost, giving its buffers back fails too."""

    class Lost(Wrapped):
        def release_captured_graph(self, graph_id: int) -> None:
            raise RuntimeError("CUDA failure 999: cannot release")

    runner = bound(Lost(session, "CUDA failure 700: illegal address", capture=True))
    with pytest.raises(RuntimeError, match="illegal address") as caught:
        runner.run(feed_of("bad"))
    assert "cannot release" in str(caught.value.__cause__)
    assert runner.explain()["buckets"] == []
    assert runner.run(feed_of("bad"))[0] == pytest.approx(tiny.logits("bad"), abs=1e-5)


# ---- CUDA graphs: ids, and what happens when they fail; what they do needs a GPU ---------------


def test_every_bucket_has_a_graph_of_its_own(session: Any) -> None:
    wrapped = Wrapped(session, capture=True)
    runner = bound(wrapped)
    for texts in (TEXTS, TEXTS[:1], TEXTS, TEXTS[:1]):
        runner.run(feed_of(*texts))
    assert wrapped.ids == ["1", "2", "1", "2"]
    assert runner.explain()["cuda_graphs"] == "on"
    runner.close()
    assert wrapped.released == [1, 2]


def test_new_buffers_never_meet_an_old_graph(session: Any) -> None:
    wrapped = Wrapped(session, capture=True)
    runner = bound(wrapped)
    runner.run(feed_of("good"))
    wrapped._failures.append(SHORTAGE)
    with pytest.raises(RuntimeError, match="Failed to allocate"):
        runner.run(feed_of("good"))
    runner.run(feed_of("good"))
    assert wrapped.ids == ["1", "1", "2"]
    assert wrapped.released == [1]


def test_a_capture_that_fails_is_given_up_and_told(session: Any, tiny: Tiny) -> None:
    failure = "CUDA failure 900: operation not permitted when stream is capturing"
    wrapped = Wrapped(session, failure, capture=True)
    runner = bound(wrapped)
    for _ in range(2):
        assert runner.run(feed_of("bad"))[0] == pytest.approx(tiny.logits("bad"), abs=1e-5)
    assert wrapped.ids == ["1", "-1", "-1"]
    assert runner.explain()["cuda_graphs"] == f"off: a run with them failed: {failure}"


def test_nodes_elsewhere_are_the_reason_why_not(session: Any) -> None:
    class OnCuda(Wrapped):
        def get_providers(self) -> list[str]:
            return ["CUDAExecutionProvider", "CPUExecutionProvider"]

    told = str(bound(OnCuda(session)).explain()["cuda_graphs"])
    assert told.startswith("off: not on CUDA: Add, Cast, Div, Gather")
