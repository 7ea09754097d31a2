from __future__ import annotations

import gc
import os
import subprocess
import sys
import textwrap
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepipe.errors import BundleError, DeviceError, UsageError
from edgepipe.runtime import cuda
from edgepipe.runtime.manifest import Graph, Manifest, SessionSettings
from edgepipe.runtime.network import Network
from edgepipe.runtime.session import Device, SessionPlan, open_session
from tests.runtime.tiny_onnx import Tiny, model, node, tensor, token_ids, value


def network_of(path: Path, graph: Graph, labels: int = 3, device: Device = "cpu") -> Network:
    names = tuple(map(str, range(labels)))
    manifest = Manifest("tiny", "text-classification", names, 16, 0, (), {})
    return Network(SessionPlan(path, SessionSettings(), device, threads=1), graph, manifest)


def promised(*inputs: str, outputs: tuple[str, ...] = ("logits",)) -> Graph:
    return Graph("model.onnx", inputs, outputs)


def write(folder: Path, content: bytes) -> Path:
    (folder / "model.onnx").write_bytes(content)
    return folder / "model.onnx"


def test_padding_is_masked_out(bundle: Path, tiny: Tiny) -> None:
    network = network_of(bundle / "onnx/model.onnx", promised(*tiny.inputs))
    ids = token_ids("good plot")
    batch = np.array([ids, [*ids[:3], 9]], np.int64)
    mask = np.array([[1, 1, 1, 1], [1, 1, 1, 0]], np.int64)
    found = network.run(batch, mask, np.zeros_like(batch))
    expected = [
        (tiny.words[row] + tiny.types[0]).mean(axis=0) @ tiny.head for row in (ids, ids[:3])
    ]
    assert found == pytest.approx(np.array(expected), abs=1e-5)
    assert found.dtype == np.float32
    assert network.masks
    assert network.explain()["provider"] == "CPUExecutionProvider"


def test_a_graph_without_a_mask(tmp_path: Path) -> None:
    tiny = Tiny(masked=False)
    network = network_of(write(tmp_path, tiny.onnx()), promised(*tiny.inputs))
    assert not network.masks
    ids = np.array([token_ids("bad")], np.int64)
    found = network.run(ids, np.ones_like(ids), np.array([[0, 1, 0]], np.int64))
    assert found[0] == pytest.approx(tiny.logits("bad"), abs=1e-5)


def test_inputs_that_the_manifest_does_not_promise(bundle: Path) -> None:
    with pytest.raises(BundleError, match=r"wants .*token_type_ids.*and the manifest promises"):
        network_of(bundle / "onnx/model.onnx", promised("input_ids", "attention_mask"))


def identity(folder: Path, name: str, kind: int, *dims: str | int) -> Path:
    """A graph that only casts its one input to float."""
    content = model(
        [node("Cast", name, "logits", to=1)],
        [],
        [value(name, kind, "batch", "sequence")],
        value("logits", 1, *dims),
    )
    return write(folder, content)


def test_an_input_that_nobody_can_feed(tmp_path: Path) -> None:
    path = identity(tmp_path, "pixel_values", 7, "batch", 3)
    with pytest.raises(BundleError, match=r"wants \['pixel_values'\]: this runtime cannot feed"):
        network_of(path, promised("pixel_values"))


def test_an_input_of_another_type(tmp_path: Path) -> None:
    path = identity(tmp_path, "input_ids", 6, "batch", 3)
    with pytest.raises(BundleError, match=r"tensor\(int32\).*feeds int64 alone"):
        network_of(path, promised("input_ids"))


def test_a_number_of_labels_that_does_not_fit(bundle: Path, tiny: Tiny) -> None:
    with pytest.raises(BundleError, match=r"logits \['batch', 3\], not \[batch, 2 labels\]"):
        network_of(bundle / "onnx/model.onnx", promised(*tiny.inputs), labels=2)


def test_an_output_that_is_not_there(bundle: Path, tiny: Tiny) -> None:
    with pytest.raises(BundleError, match=r"gives \['logits'\], and not the output 'scores'"):
        network_of(bundle / "onnx/model.onnx", promised(*tiny.inputs, outputs=("scores",)))


def test_after_close_every_call_is_refused(bundle: Path, tiny: Tiny) -> None:
    network = network_of(bundle / "onnx/model.onnx", promised(*tiny.inputs))
    network.close()
    network.close()
    ids = np.ones((1, 3), np.int64)
    with pytest.raises(UsageError, match="is closed"):
        network.run(ids, ids, ids)


def test_what_the_model_cannot_digest(bundle: Path, tiny: Tiny) -> None:
    network = network_of(bundle / "onnx/model.onnx", promised(*tiny.inputs))
    ones = np.ones((1, 3), np.int64)
    with pytest.raises(BundleError, match=r"model.onnx failed on its input: .*out of data bounds"):
        network.run(99 * ones, ones, ones)
    assert network.run(ones, ones, ones).shape == (1, 3)


def rows_of_its_own(folder: Path) -> Path:
    """A graph that gives as many rows as the smallest id says, whatever the number of texts."""
    content = model(
        [
            node("Cast", "input_ids", "floats", to=1),
            node("ReduceMin", "input_ids", "least", keepdims=0),
            node("Unsqueeze", "least zero", "end"),
            node("Slice", "floats zero end zero", "logits"),
        ],
        [tensor("zero", np.array([0]))],
        [value("input_ids", 7, "batch", "sequence")],
        value("logits", 1, "batch", "labels"),
    )
    return write(folder, content)


@pytest.mark.parametrize("device", ["cpu", "bound"])
def test_an_answer_that_is_not_a_row_a_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    """numpy would hand one row to three texts without a word."""
    if device == "bound":
        monkeypatch.setattr(Network, "_bind", bound_on_cpu)
    network = network_of(rows_of_its_own(tmp_path), promised("input_ids"))
    for rows, given in ((2, 1), (4, 1), (4, 2)):
        ids = np.full((rows, 3), given, np.int64)
        with pytest.raises(BundleError, match=r"model.onnx .*(make it|bundle) anew"):
            network.run(ids, ids, ids)
    ones = np.ones((1, 3), np.int64)
    assert network.run(ones, ones, ones).tolist() == [[1, 1, 1]]


def bound_on_cpu(network: Network) -> cuda.BoundRunner:
    return cuda.BoundRunner(network._session, "logits", 16, labels=3, device="cpu")


@pytest.mark.parametrize("columns", [2, 4])
def test_an_answer_that_is_not_a_figure_a_label(tmp_path: Path, columns: int) -> None:
    """Of a graph that does not say beforehand how many there will be."""
    network = network_of(identity(tmp_path, "input_ids", 7, "batch", "n"), promised("input_ids"))
    ids = np.ones((2, columns), np.int64)
    message = rf"logits \[2, {columns}\] for 2 texts, not \[2, 3 labels\]"
    with pytest.raises(BundleError, match=message):
        network.run(ids, ids, ids)


def test_memory_that_has_run_out(bundle: Path, tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    network = network_of(bundle / "onnx/model.onnx", promised(*tiny.inputs))
    ones = np.ones((1, 3), np.int64)

    def full(feed: dict[str, np.ndarray]) -> np.ndarray:
        raise MemoryError("std::bad_alloc")

    with monkeypatch.context() as patch:
        patch.setattr(network._runner, "run", full)
        with pytest.raises(DeviceError, match="ran out of memory on cpu"):
            network.run(ones, ones, ones)
    assert network.run(ones, ones, ones).shape == (1, 3)


def test_closed_while_a_run_is_about_to_begin(
    bundle: Path, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = network_of(bundle / "onnx/model.onnx", promised(*tiny.inputs))
    ones = np.ones((1, 3), np.int64)

    def too_late(feed: dict[str, np.ndarray]) -> np.ndarray:
        network.close()
        raise RuntimeError("cannot schedule new futures after shutdown")

    monkeypatch.setattr(network._runner, "run", too_late)
    with pytest.raises(UsageError, match="is closed"):
        network.run(ones, ones, ones)


def test_for_cuda_inputs_and_outputs_are_bound(
    bundle: Path, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With buffers on the CPU, where there is no GPU."""
    real, made = cuda.BoundRunner, []

    def on_cpu(session: Any, output: str, max_length: int, **settings: Any) -> Any:
        made.append((output, max_length, settings))
        return real(session, output, max_length, **{**settings, "device": "cpu"})

    monkeypatch.setattr(cuda, "BoundRunner", on_cpu)
    monkeypatch.setattr(
        "edgepipe.runtime.network.open_session",
        lambda plan: open_session(replace(plan, device="cpu")),
    )
    network = network_of(bundle / "onnx/model.onnx", promised(*tiny.inputs), device="cuda")
    assert made == [("logits", 16, {"labels": 3, "pad_token_id": 0, "device": "cuda"})]
    ids = np.array([token_ids("bad")], np.int64)
    found = network.run(ids, np.ones_like(ids), np.array([[0, 1, 0]], np.int64))
    assert found[0] == pytest.approx(tiny.logits("bad"), abs=1e-5)
    assert network.explain()["buckets"] == [[1, 8]]
    network.abandon()
    with pytest.raises(DeviceError, match="CUDA does not survive a fork"):
        network.run(ids, ids, ids)
    network.close()


def test_explain_while_another_thread_closes(
    bundle: Path, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = network_of(bundle / "onnx/model.onnx", promised(*tiny.inputs))

    def closes_first(self: Network, name: str) -> Any:
        if name == "_session":
            self.close()
        return object.__getattribute__(self, name)

    with monkeypatch.context() as patch:
        patch.setattr(Network, "__getattribute__", closes_first)
        with pytest.raises(UsageError, match="is closed"):
            network.explain()
    with pytest.raises(UsageError, match="is closed"):
        network.explain()


def test_a_network_leaves_nothing_behind(
    bundle: Path, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Callbacks at a fork cannot be taken back, so that none may be registered for each."""
    registered: list[object] = []

    def record(**hooks: object) -> None:
        registered.append(hooks)

    monkeypatch.setattr(os, "register_at_fork", record, raising=False)
    network = network_of(bundle / "onnx/model.onnx", promised(*tiny.inputs))
    alive = weakref.ref(network)
    del network
    gc.collect()
    assert (alive(), registered) == (None, [])


FORK = """
import os, sys
from edgepipe.runtime import load
classifier = load(sys.argv[1], threads=2)
closed = load(sys.argv[1], threads=2)
closed.close()
before = classifier("the film is good")
session = classifier._network._session
child = os.fork()
if child == 0:
    assert classifier._network._session is None
    assert classifier("the film is good") == before
    assert classifier._network._session is not session
    try:
        closed("the film")
    except Exception as error:
        assert "closed" in str(error), error
    del session, classifier
    sys.exit(7)  # through all destructors
assert classifier._network._session is session
assert classifier("the film is good") == before
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot fork")
def test_a_forked_child_opens_its_own_session_and_ends(bundle: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(FORK), str(bundle)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "7\n", "")
