"""Runs with buffers that stay on the device: IO binding, one set of buffers a frozen shape.

Written after onnxruntime 1.31's documentation and source and tested on the CPU, where IO binding
works in the same way. **No GPU has run it yet**; CUDA graphs in particular are untested.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgepipe.errors import BundleError
from edgepipe.runtime.batching import IDS, MASK, Ids, Logits
from edgepipe.runtime.session import (
    PROVIDERS,
    Device,
    captures,
    onnxruntime,
    out_of_memory,
    placement,
)

_SHORTEST = 8
"""Tokens of the smallest bucket: below it a GPU is busy with starting kernels anyway."""
_NO_GRAPH = -1
"""The graph id of a run that neither captures a CUDA graph nor replays one."""
_DTYPES: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
}


def bucket(rows: int, tokens: int, max_length: int) -> tuple[int, int]:
    """The frozen shape (batch, sequence) for so many rows and tokens: the next powers of two.

    A sequence is not filled up beyond ``max_length``, for which a model may have no positions.
    """
    wanted = max(_SHORTEST, _power(tokens))
    return _power(rows), max(tokens, min(wanted, max_length))


def _power(value: int) -> int:
    """The smallest power of two that is not below ``value``."""
    return 1 << (value - 1).bit_length()


class BoundRunner:
    """A session whose inputs and outputs are bound to buffers on its device, a set for each shape.

    May be called by several threads; they take turns. All runs happen on one thread of its own,
    since onnxruntime keeps the CUDA graphs that it captured with the thread that captured them
    (``PerThreadContext`` of its CUDA provider): every other thread would capture all of them again.
    """

    def __init__(  # noqa: PLR0913 (what a graph is, and where)
        self,
        session: Any,
        output: str,
        max_length: int,
        *,
        labels: int,
        pad_token_id: int = 0,
        device: Device = "cuda",
    ) -> None:
        """``output`` is [batch, ``labels``] in float32 or float16; ``device``: of the buffers."""
        self._session = session
        self._output = _output(session, output, labels, device)
        self._max_length = max_length
        self._filling = {IDS: pad_token_id}
        self._masks = MASK in {value.name for value in session.get_inputs()}
        self._why_not = _why_no_graphs(session, masks=self._masks)
        self._buffers: dict[tuple[int, int], _Buffers] = {}
        self._graph_ids = itertools.count(1)
        self._thread = ThreadPoolExecutor(1, "edgepipe-bound")

    def run(self, feed: Mapping[str, Ids]) -> Logits:
        """Logits, float32 [batch, labels], for int64 inputs [batch, sequence].

        Batches are filled up to their bucket, sequences only where the graph takes a mask that
        hides the filling. After an error of onnxruntime, which is passed on as it is, all buffers
        are given back, and the next call makes new ones.
        """
        return self._thread.submit(self._run, feed).result()

    def explain(self) -> dict[str, object]:
        """CUDA graphs, on or why not, and the shapes that have buffers; plain JSON values."""
        return {
            "cuda_graphs": f"off: {self._why_not}" if self._why_not else "on",
            "buckets": [list(shape) for shape in sorted(self._buffers)],
        }

    def close(self) -> None:
        """Every buffer is given back, after the runs that are under way."""
        self._thread.submit(self._drop).result()
        self._thread.shutdown()

    def _run(self, feed: Mapping[str, Ids]) -> Logits:
        try:
            return self._bound(feed)
        except Exception as error:
            try:
                self._drop()
            except Exception as second:  # which follows from the first, and says less
                raise error from second
            if self._why_not or out_of_memory(error):
                raise
            self._why_not = f"a run with them failed: {error}"
        return self._bound(feed)

    def _bound(self, feed: Mapping[str, Ids]) -> Logits:
        rows, tokens = feed[IDS].shape
        shape = bucket(rows, tokens, self._max_length)
        if not self._masks:
            shape = shape[0], tokens
        if shape not in self._buffers:
            self._buffers[shape] = self._bind(shape, tuple(feed))
        return self._buffers[shape].run(feed, self._filling)

    def _bind(self, shape: tuple[int, int], inputs: Sequence[str]) -> _Buffers:
        # No id twice: a graph replays on the addresses that it was captured with
        graph_id = _NO_GRAPH if self._why_not else next(self._graph_ids)
        return _Buffers(self._session, inputs, self._output, shape, graph_id)

    def _drop(self) -> None:
        given_up = list(self._buffers.values())
        self._buffers.clear()
        for buffers in given_up:
            buffers.release()


@dataclass(frozen=True)
class _Output:
    """What the buffers of an output are made from."""

    name: str
    dtype: type[np.generic]
    labels: int
    device: Device


class _Buffers:
    """The bound buffers of one shape, and the memory of this machine that they are filled from."""

    def __init__(
        self,
        session: Any,
        inputs: Sequence[str],
        output: _Output,
        shape: tuple[int, int],
        graph_id: int,
    ) -> None:
        ort = onnxruntime()

        def empty(dims: tuple[int, int], dtype: type[np.generic]) -> Any:
            # Not from the session's own arena, whose free memory captured graphs write to
            return ort.OrtValue.ortvalue_from_shape_and_type(dims, dtype, output.device, 0)

        self._session = session
        self._graph_id = graph_id
        self._host = {name: np.empty(shape, np.int64) for name in inputs}
        self._bound = {name: empty(shape, np.int64) for name in inputs}
        self._logits = empty((shape[0], output.labels), output.dtype)
        self._binding = session.io_binding()
        for name, value in self._bound.items():
            self._binding.bind_ortvalue_input(name, value)
        self._binding.bind_ortvalue_output(output.name, self._logits)
        self._options = ort.RunOptions()
        self._options.add_run_config_entry("gpu_graph_id", str(graph_id))

    def run(self, feed: Mapping[str, Ids], filling: Mapping[str, int]) -> Logits:
        """The rows of the answer that belong to ``feed``, in memory of their own."""
        rows, tokens = next(iter(feed.values())).shape
        for name, values in feed.items():
            host = self._host[name]
            host.fill(filling.get(name, 0))
            host[:rows, :tokens] = values
            if name == MASK:
                host[rows:, 0] = 1  # a row without a single token would divide by zero
            self._bound[name].update_inplace(host)
        self._session.run_with_iobinding(self._binding, self._options)
        return np.array(self._logits.numpy()[:rows], np.float32)

    def release(self) -> None:
        """The CUDA graph captured with these buffers, if any, is forgotten."""
        if self._graph_id != _NO_GRAPH:
            self._session.release_captured_graph(self._graph_id)


def _output(session: Any, name: str, labels: int, device: Device) -> _Output:
    kind = next(value.type for value in session.get_outputs() if value.name == name)
    if kind not in _DTYPES:
        raise BundleError(f"the output {name} is a {kind}; this runtime reads float and float16")
    return _Output(name, _DTYPES[kind], labels, device)


def _why_no_graphs(session: Any, *, masks: bool) -> str:
    """Why ``session`` runs without CUDA graphs; empty when it runs with them."""
    if PROVIDERS["cuda"] not in session.get_providers():
        return "the session runs on the CPU"
    if not masks:
        return "the graph takes no mask, so that its shapes cannot be frozen"
    if captures(session):
        return ""
    placed = placement(session)
    elsewhere = [
        op for provider in placed if provider != PROVIDERS["cuda"] for op in placed[provider]
    ]
    return f"not on CUDA: {', '.join(elsewhere)}" if elsewhere else "onnxruntime refused them"
