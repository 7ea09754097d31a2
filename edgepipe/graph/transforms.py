"""Named ways to change a float32 graph, or the session it runs in, without changing its answers.

Which of them pays depends on processor, precision and onnxruntime release: stage ``optimize``
times them. Each counts what it matched and refuses with a reason where it matches nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import onnx_ir as ir

from edgepipe.artifacts import SessionSettings
from edgepipe.errors import StageError
from edgepipe.graph import store
from edgepipe.graph.quiet import silenced

SKIP_LAYER_NORM = "SkipLayerNormFusion"
"""onnxruntime's name of a fusion whose result takes nine times as long on CPUs (release 1.31)."""
_OWN = "com.microsoft"
Changes = dict[str, tuple[int, int]]


@dataclass(frozen=True, kw_only=True)
class Rewritten:
    """A graph that answers as before, and how it should be run."""

    graph: ir.Model
    matched: int
    """Places that were changed; 0 for ``none`` alone."""
    session: SessionSettings = field(default_factory=SessionSettings)


@dataclass(frozen=True)
class Refused:
    """Nothing was changed."""

    reason: str


Transform = Callable[[Path], Rewritten | Refused]


def unchanged(source: Path) -> Rewritten:
    """The graph as it is: what a candidate has to beat."""
    return Rewritten(graph=store.read(source), matched=0)


def sum_before_layer_norm(source: Path) -> Rewritten | Refused:
    """``Sum`` stands in place of each residual ``Add`` that feeds a LayerNormalization.

    Both add two tensors alike. onnxruntime fuses Add with LayerNormalization into
    SkipLayerNormalization, which is slow on CPUs, and leaves ``Sum`` alone: so every plain session
    gains. An ``Add`` of a constant stays, for it is a bias that products do fuse with.
    """
    graph = store.read(source)
    residuals = _residuals(graph)
    if not residuals:
        return Refused("no LayerNormalization is fed by an Add of two computed tensors")
    for node in residuals:
        node.op_type = "Sum"
    return Rewritten(graph=graph, matched=len(residuals))


def no_skip_layer_norm(source: Path) -> Rewritten | Refused:
    """The graph is unchanged, and its session does without ``SkipLayerNormFusion``."""
    graph = store.read(source)
    residuals = _residuals(graph)
    if not residuals:
        return Refused("no LayerNormalization is fed by an Add of two computed tensors")
    session = SessionSettings(disabled_optimizers=(SKIP_LAYER_NORM,))
    return Rewritten(graph=graph, matched=len(residuals), session=session)


def ort_optimizer(source: Path) -> Rewritten | Refused:
    """Fused by ``onnxruntime.transformers.optimizer``, its own patterns alone (``opt_level=0``).

    Higher levels save what a session made of the graph on this machine, layouts included.
    """
    from onnxruntime.transformers.optimizer import optimize_model

    store.read(source)  # says what is wrong with the file, should something be
    with silenced():
        try:
            made = optimize_model(str(source), model_type="bert", opt_level=0)
            graph = ir.from_proto(made.model)
            graph.opset_imports.setdefault(_OWN, 1)  # which it forgets
        except Exception as error:  # its pattern code fails in as many ways as there are graphs
            raise StageError(f"onnxruntime's optimizer fails on {source}: {error!r}") from error
    return fused(graph)


def fused(graph: ir.Model) -> Rewritten | Refused:
    """``graph`` with the count of onnxruntime's own operators that fusions have put into it."""
    own = sum(node.domain == _OWN for node in graph.graph.all_nodes())
    return Rewritten(graph=graph, matched=own) if own else Refused("no pattern matched")


def changes(source: Path, graph: ir.Model) -> Changes:
    """Operators whose count differs: name to count before and after."""
    before, after = store.op_counts(store.read(source)), store.op_counts(graph)
    names = sorted(before.keys() | after.keys())
    counts = {name: (before.get(name, 0), after.get(name, 0)) for name in names}
    return {name: pair for name, pair in counts.items() if pair[0] != pair[1]}


def _residuals(graph: ir.Model) -> list[ir.Node]:
    """The ``Add`` nodes of two computed tensors that feed a LayerNormalization, each once."""
    norms = (node for node in graph.graph.all_nodes() if node.op_type == "LayerNormalization")
    adds = (norm.inputs[0].producer() for norm in norms if norm.inputs[0] is not None)
    found = (add for add in adds if add is not None and add.op_type == "Add")
    return list(dict.fromkeys(add for add in found if all(map(_computed, add.inputs))))


def _computed(value: ir.Value | None) -> bool:
    return value is not None and value.const_value is None


TRANSFORMS: dict[str, Transform] = {
    "none": unchanged,
    "sum": sum_before_layer_norm,
    "no-skip-layer-norm": no_skip_layer_norm,
    "ort-optimizer": ort_optimizer,
}
