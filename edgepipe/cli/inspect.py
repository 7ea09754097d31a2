"""``edgepipe inspect BUNDLE``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgepipe.cli.console import json_option, say
from edgepipe.cli.foreign import emit_escaped, limit_options, opened, shown

if TYPE_CHECKING:
    from edgepipe.bundle.examine import Examined
    from edgepipe.bundle.graphs import GraphSummary
    from edgepipe.bundle.manifest import Manifest, Variant

_OPERATORS = 8


@click.command("inspect")
@click.argument("bundle", type=click.Path(path_type=Path))
@limit_options
@json_option
def command(
    bundle: Path,
    memory: int | None,
    timeout: int,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Show what BUNDLE is, a folder or a zip that nobody has to trust.

    Nothing of it is run, and it is read in a child process under limits; what must not be in a
    bundle refuses it, exit 3. Its files are not compared with its manifest: verify does that.
    """
    from edgepipe.bundle import sandbox

    if sandbox.WARNING:
        say(sandbox.WARNING)
    with opened(bundle) as folder:
        found = sandbox.examine(folder, sandbox.Limits(memory, timeout))
    if as_json:
        emit_escaped(found.model_dump(mode="json", by_alias=True))
        return
    shown(("", ""), _about(found), words=True)
    shown(_VARIANT_COLUMNS, map(_variant_row, found.manifest.variants), words=True)
    shown(_GRAPH_COLUMNS, (_graph_row(*item, found.manifest) for item in found.graphs.items()))
    for name, graph in found.graphs.items():
        shown(("", ""), _inside(name, graph), words=True)


def _about(found: Examined) -> Iterator[tuple[str, str]]:
    made = found.manifest
    source = made.provenance
    yield "name", made.name
    yield "task", f"{made.task}, {made.problem_type.replace('_', ' ')}"
    yield "labels", ", ".join(made.labels)
    yield "maximum length", f"{made.max_length} tokens"
    yield "files", f"{len(made.files)}, {found.bytes} bytes in all"
    yield "source", source.source
    yield "licence", source.licence or "not stated"
    yield "source sha256", source.sha256 or "not stated"
    yield "data sha256", made.data or "not stated"
    yield "made with", _pairs(made.tools, " ") or "not stated"
    yield "signature", "present, not checked: see verify --key" if found.signed else "none"


_VARIANT_COLUMNS = ("variant", "precision", "for", "CPU features", "accuracy", "tolerance", "batch")


def _variant_row(variant: Variant) -> tuple[str, ...]:
    measured = variant.accuracy
    accuracy = "not measured"
    if measured is not None:
        accuracy = f"{measured.accuracy:.4f} [{measured.low:.4f}, {measured.high:.4f}]"
    return (
        variant.name,
        variant.precision,
        ", ".join(variant.devices),
        ", ".join(variant.cpu_features) or "any",
        accuracy,
        "none" if variant.tolerance is None else f"{variant.tolerance:.3g}",
        "any" if variant.batch_invariant else "answers depend on it",
    )


_GRAPH_COLUMNS = ("file", "used by", "bytes", "parameters", "nodes", "functions", "opsets")


def _graph_row(file: str, graph: GraphSummary, made: Manifest) -> tuple[str, ...]:
    users = (v.name for v in made.variants if file in {g.file for g in v.graphs.values()})
    return (
        file,
        ", ".join(users) or "no variant",
        str(made.files[file].bytes),
        str(graph.parameters),
        str(graph.nodes),
        str(graph.functions),
        _pairs(graph.opsets, " "),
    )


def _inside(name: str, graph: GraphSummary) -> Iterator[tuple[str, str]]:
    most = dict(list(graph.operators.items())[:_OPERATORS])
    rest = len(graph.operators) - len(most)
    yield "graph", name
    yield "operators", _pairs(most, " ") + (f", and {rest} more kinds" if rest else "")
    yield "inputs", _pairs(graph.inputs, " ")
    yield "outputs", _pairs(graph.outputs, " ")
    yield "written by", graph.producer or "not stated"


def _pairs(items: Mapping[str, object], between: str) -> str:
    return ", ".join(f"{name}{between}{value}" for name, value in items.items())
