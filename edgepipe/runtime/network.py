"""A graph of an encoder with one head: token ids in, logits out, before and after a fork."""

from __future__ import annotations

import ctypes
import os
import weakref
from typing import Any, Protocol

import numpy as np

from edgepipe.errors import BundleError, DeviceError, UsageError
from edgepipe.runtime.batching import IDS, MASK, TYPES, Ids, Logits
from edgepipe.runtime.manifest import Graph, Manifest
from edgepipe.runtime.session import SessionPlan, open_session, placement, translated_run

__all__ = ["Logits", "Network"]


class _Runner(Protocol):
    """Runs a session with inputs by name."""

    def run(self, feed: dict[str, Ids]) -> Logits: ...
    def explain(self) -> dict[str, object]: ...
    def close(self) -> None: ...


class Network:
    """An open session whose input names are resolved once. Safe to share between threads."""

    def __init__(self, plan: SessionPlan, graph: Graph, manifest: Manifest) -> None:
        """Open the session; BundleError when the file is not the graph that was promised."""
        self.plan = plan
        self._manifest = manifest
        self._session: Any = open_session(plan)
        self._closed = False
        self._labels = len(manifest.labels)
        names = _input_names(self._session, plan, graph)
        self.masks = MASK in names
        """False: the graph cannot tell padding from text, so a batch must hold one length."""
        self._types = TYPES in names
        self._output = _output_name(self._session, plan, graph, self._labels)
        self._runner: _Runner | None = self._bind()
        _OPEN.add(self)

    def run(self, ids: Ids, mask: Ids, types: Ids) -> Logits:
        """Logits as float32 [batch, labels] for int64 inputs [batch, sequence].

        Raises DeviceError when memory runs out, BundleError when the model cannot digest the input
        or gives anything but one row for each of its own; the next call works.
        """
        feed = {IDS: ids}
        if self.masks:
            feed[MASK] = mask
        if self._types:
            feed[TYPES] = types
        runner = self._runner or self._reopen()
        try:
            logits = runner.run(feed)
        except Exception:
            if self._closed:
                raise _closed() from None
            with translated_run(self.plan):
                raise
        if logits.shape != (len(ids), self._labels):  # numpy would give one row to every text
            raise BundleError(
                f"{self.plan.path} gives logits {list(logits.shape)} for {len(ids)} texts, not "
                f"[{len(ids)}, {self._labels} labels]; make the bundle anew"
            )
        return logits

    def explain(self) -> dict[str, object]:
        """The execution provider by the session's own word, and the nodes that it placed where."""
        runner = self._runner or self._reopen()
        session = self._session
        if session is None:  # closed by another thread just now
            raise _closed()
        return {
            "provider": str(session.get_providers()[0]),
            "nodes": placement(session),
            **runner.explain(),
        }

    def close(self) -> None:
        """The session is given up; threads that are in it still get their answer."""
        self._closed = True  # first, so that no other thread opens it again
        runner, self._runner = self._runner, None
        self._session = None
        if runner is not None:
            runner.close()

    def _bind(self) -> _Runner:
        if self.plan.device == "cpu":
            return _OnCpu(self._session, self._output)
        from edgepipe.runtime.cuda import BoundRunner

        return BoundRunner(
            self._session,
            self._output,
            self._manifest.max_length,
            labels=self._labels,
            pad_token_id=self._manifest.pad_token_id,
            device=self.plan.device,
        )

    def _reopen(self) -> _Runner:
        """The session again, in a process that was forked from the one that opened it.

        Two threads may do this at once; the later session stays, and nothing else is lost.
        """
        if self._closed:
            raise _closed()
        if self.plan.device == "cuda":
            raise DeviceError("CUDA does not survive a fork: load the bundle in the child process")
        self._session = open_session(self.plan)
        self._runner = runner = self._bind()
        return runner

    def abandon(self) -> None:
        """Forget the session of the parent process without ever destroying it.

        Its threads did not come along, and its destructor would wait for them forever.
        """
        if self._runner is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._runner))
            self._session = self._runner = None


class _OnCpu:
    """A session that takes and gives arrays as they are."""

    def __init__(self, session: Any, output: str) -> None:
        self._session = session
        self._outputs = [output]

    def run(self, feed: dict[str, Ids]) -> Logits:
        return np.asarray(self._session.run(self._outputs, feed)[0], np.float32)

    def explain(self) -> dict[str, object]:
        return {}

    def close(self) -> None:
        """Nothing but the session holds memory."""


def _closed() -> UsageError:
    return UsageError("this classifier is closed; load the bundle again")


_OPEN: weakref.WeakSet[Network] = weakref.WeakSet()
"""What a forked child has to abandon. For the module, since a callback at a fork can never be taken
back: one for each network would stay for as long as the process does."""


def _abandon_all() -> None:
    for network in list(_OPEN):
        network.abandon()


if hasattr(os, "register_at_fork"):  # Windows cannot fork
    os.register_at_fork(after_in_child=_abandon_all)


def _input_names(session: Any, plan: SessionPlan, graph: Graph) -> set[str]:
    found = {value.name: value.type for value in session.get_inputs()}
    if set(found) != set(graph.inputs):
        promised = f"wants {sorted(found)}, and the manifest promises {sorted(graph.inputs)}"
        raise BundleError(f"{plan.path} {promised}; make the bundle anew")
    foreign = found.keys() - {IDS, MASK, TYPES}
    if foreign or IDS not in found:
        raise BundleError(f"{plan.path} wants {sorted(found)}: this runtime cannot feed that")
    if set(found.values()) != {"tensor(int64)"}:
        raise BundleError(f"{plan.path} wants {found}: this runtime feeds int64 alone")
    return set(found)


def _output_name(session: Any, plan: SessionPlan, graph: Graph, labels: int) -> str:
    found = {value.name: value.shape for value in session.get_outputs()}
    name = "logits" if "logits" in graph.outputs else next(iter(graph.outputs), "")
    if name not in found:
        raise BundleError(f"{plan.path} gives {sorted(found)}, and not the output {name!r}")
    shape = found[name]
    if len(shape) != 2 or (isinstance(shape[1], int) and shape[1] != labels):  # noqa: PLR2004
        raise BundleError(f"{plan.path} gives {name} {shape}, not [batch, {labels} labels]")
    return name
