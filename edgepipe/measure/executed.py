"""The nodes that really run: after all of onnxruntime's optimizers, by who runs them.

What onnxruntime records of its assignment (``session.record_ep_graph_assignment_info``, told by the
runtime's ``explain``) is written down when nodes are handed out to providers. That is after the
basic optimizers alone: fused products, fused attention, SkipLayerNormalization and layouts come
later and are not in it. A profile of one run names every node that ran, and agrees with the graph
that onnxruntime saves when told to.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from edgepipe import disk
from edgepipe.errors import StageError
from edgepipe.measure.models import Device
from edgepipe.measure.subject import Feed, Subject
from edgepipe.measure.trace import Event, recorded
from edgepipe.runtime.session import (
    PROVIDERS,
    SessionPlan,
    onnxruntime,
    open_session,
    translated_run,
)

Executed = dict[str, dict[str, int]]
"""Nodes by operator, by execution provider."""
_CAPTURE = "enable_cuda_graph"


def executed(subject: Subject, tokens: int, *, device: Device, plain: bool = False) -> Executed:
    """The nodes that one text of ``tokens`` tokens runs in a session of the runtime's own.

    ``plain``: in one with onnxruntime's default options instead. Nodes of a loop count once, those
    of a branch not taken not at all. Raises DeviceError when the device cannot be used, BundleError
    when the model cannot be loaded or run.
    """
    plan = SessionPlan(subject.file, subject.graph.session, device, 1, plain)
    found: dict[str, Counter[str]] = {}
    for provider, _, operator in sorted({_key(e) for e in _profile(plan, subject.feed(tokens))}):
        found.setdefault(provider, Counter())[operator] += 1
    return {provider: dict(sorted(counts.items())) for provider, counts in found.items()}


def _key(event: Event) -> tuple[str, str, str]:
    return event.provider, f"{event.index} {event.name}", event.operator


def _profile(plan: SessionPlan, feed: Feed) -> tuple[Event, ...]:
    """The nodes of one run in a second session, made with the options of the runtime's first."""
    with disk.translated("create a temporary folder in", Path(tempfile.gettempdir())):
        scratch = tempfile.TemporaryDirectory(prefix="edgepipe-executed-")
    with scratch:
        session = _again(plan, Path(scratch.name) / "run")
        with translated_run(plan):
            session.run(None, dict(feed))
        runs = recorded(session)
    if not runs or not runs[0]:
        raise StageError(f"onnxruntime tells of no node of {plan.path} that it ran")
    return runs[0]


def _again(plan: SessionPlan, prefix: Path) -> Any:
    first = open_session(plan)
    options = first.get_session_options()
    options.enable_profiling = True
    options.profile_file_prefix = str(prefix)
    provider = PROVIDERS[plan.device]
    asked = first.get_provider_options()[provider]
    if _CAPTURE in asked:  # replays need inputs that stay in place; the nodes are the same without
        asked |= {_CAPTURE: "0"}
    with translated_run(plan):
        return onnxruntime().InferenceSession(
            str(plan.path),
            options,
            providers=[(provider, asked)],
            disabled_optimizers=[] if plan.plain else list(plan.settings.disabled_optimizers),
            enable_fallback=0,
        )
