"""A bundle as a model repository of NVIDIA's Triton Inference Server.

Layout and ``config.pbtxt``: github.com/triton-inference-server/server, docs/user_guide/
model_repository.md and model_configuration.md; session options: the README of
triton-inference-server/onnxruntime_backend.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgepipe import disk
from edgepipe.bundle.external import read_graph, save_as
from edgepipe.errors import BundleError, UsageError
from edgepipe.runtime.manifest import MANIFEST, Graph, Manifest, Variant
from edgepipe.runtime.verify import verify

MAX_BATCH = 32
_DELAY = 1000
"""Microseconds that a text waits for others of its length."""
_GRAPH = "model"
_TYPES = {1: "TYPE_FP32", 6: "TYPE_INT32", 7: "TYPE_INT64", 10: "TYPE_FP16"}
"""By the numbers of ``onnx.TensorProto.DataType``."""
_LEVELS = {"basic": -1, "extended": 1, "disable": 2}
"""onnxruntime_backend's own numbers; ``all`` is its default, and has none."""
_KINDS: dict[tuple[str, ...], str] = {("cpu",): "KIND_CPU", ("cuda",): "KIND_GPU"}
_README = """\
# {name}, for Triton

The variant {variant} of a bundle made by edgepipe; SHA-256 of its `edgepipe.json`:
`{digest}`.

Triton gets token ids, not text: encode with `tokenizer.json`, without padding, cut at
{max_length} tokens, special ones included. Send `{ids}` as int64 [texts, tokens]{others}. Texts of
one request have one length; the padding token is {pad}, at mask 0. `labels.txt` names the outputs
in the order of `{output}`, which are logits ({problem}).

{notes}
"""


@dataclass(frozen=True)
class Exported:
    """What was written."""

    repository: Path
    model: str
    variant: str


def export(bundle: Path, into: Path, variant: str | None = None) -> Exported:
    """``into`` is a model repository with one model, from a verified bundle; whole, or not there.

    ``variant`` is a name; None takes the first one, which the bundle prefers. Raises UsageError
    when there is no such bundle or variant, or when ``into`` exists or lies inside the
    bundle; BundleError when the bundle is changed, or its graph is not one that Triton can be told
    about.
    """
    with disk.translated("write", into):
        if into.resolve().is_relative_to(bundle.resolve()):
            raise UsageError(f"{into} is inside the bundle; name a folder elsewhere")
        if into.exists():
            raise UsageError(f"{into} exists; remove it, or name another folder")
    manifest = verify(bundle)
    chosen = _chosen(manifest, variant)
    name = _safe(manifest.name)
    with disk.scratch(into.parent, prefix=".triton-") as scratch:
        _write(bundle, manifest, chosen, disk.make_folder(scratch / "repository") / name)
        if not disk.publish(scratch / "repository", into):
            raise UsageError(f"{into} exists now; another process made it meanwhile")
    return Exported(into, name, chosen.name)


def _chosen(manifest: Manifest, name: str | None) -> Variant:
    for variant in manifest.variants:
        if name in (None, variant.name):
            if _GRAPH not in variant.graphs:
                raise BundleError(f"the variant {variant.name!r} has no graph {_GRAPH!r}")
            return variant
    names = ", ".join(variant.name for variant in manifest.variants)
    raise UsageError(f"the bundle {manifest.name!r} has no variant {name!r}, but {names}")


def _safe(name: str) -> str:
    """A folder's name that is one on every system, and in a URL of Triton."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", name).strip("._-") or "model"


def _write(bundle: Path, manifest: Manifest, variant: Variant, folder: Path) -> None:
    graph = variant.graphs[_GRAPH]
    model = read_graph(bundle / graph.file).graph
    types = {
        value.name: value.type.tensor_type.elem_type for value in (*model.input, *model.output)
    }
    save_as(bundle / graph.file, folder / "1" / "model.onnx")
    disk.copy_file(bundle / manifest.tokenizer, folder / "tokenizer.json")
    labels = (" ".join(label.split()) for label in manifest.labels)
    disk.write_text(folder / "labels.txt", "".join(f"{label}\n" for label in labels))
    config = _config(folder.name, variant, types, len(manifest.labels))
    disk.write_text(folder / "config.pbtxt", config)
    digest = disk.sha256(bundle / MANIFEST)
    disk.write_text(folder / "README.md", _readme(folder.name, manifest, variant, digest))


def _config(name: str, variant: Variant, types: Mapping[str, int], labels: int) -> str:
    """``config.pbtxt``: the text form of Triton's protobuf message ModelConfig.

    The dynamic batcher joins requests of equal length alone, so nothing is padded; a variant whose
    answers depend on batch mates does without.
    """
    graph = variant.graphs[_GRAPH]
    batching = f"dynamic_batching {{ max_queue_delay_microseconds: {_DELAY} }}"
    kind = _KINDS.get(variant.devices)
    level = _LEVELS.get(graph.session.graph_optimization_level)
    blocks = [
        f"name: {_quoted(name)}",
        'backend: "onnxruntime"',
        f"max_batch_size: {MAX_BATCH}",
        *(_tensor("input", value, types, -1) for value in graph.inputs),
        *(_tensor("output", value, types, labels) for value in _outputs(graph)),
        *([f"instance_group [ {{ kind: {kind} count: 1 }} ]"] if kind else []),
        *([batching] if variant.batch_invariant else []),
        *([f"optimization {{ graph {{ level: {level} }} }}"] if level else []),
        _parameter("intra_op_thread_count", "1"),
        _parameter("inter_op_thread_count", "1"),
    ]
    return "\n".join(blocks) + "\n"


def _tensor(port: str, name: str, types: Mapping[str, int], size: int) -> str:
    if types.get(name) not in _TYPES:
        raise BundleError(f"the graph has no {port} {name!r} of a type that Triton is told of here")
    labels = ' label_filename: "labels.txt"' if port == "output" else ""
    dims = f"dims: [ {size} ]{labels}"
    return f"{port} [ {{ name: {_quoted(name)} data_type: {_TYPES[types[name]]} {dims} }} ]"


def _outputs(graph: Graph) -> tuple[str, ...]:
    """The logits alone, as the runtime takes them; whatever else a graph gives is left aside."""
    return ("logits",) if "logits" in graph.outputs else graph.outputs[:1]


def _parameter(key: str, value: str) -> str:
    return f"parameters {{ key: {_quoted(key)} value {{ string_value: {_quoted(value)} }} }}"


def _quoted(text: str) -> str:
    """A string of protobuf's text format: octal escapes for what is not plain ASCII."""
    plain = set(range(0x20, 0x7F)) - set(b'"\\')
    return '"' + "".join(chr(b) if b in plain else f"\\{b:03o}" for b in text.encode()) + '"'


def _readme(name: str, manifest: Manifest, variant: Variant, digest: str) -> str:
    graph = variant.graphs[_GRAPH]
    others = [f"`{value}`" for value in graph.inputs if value != "input_ids"]
    return _README.format(
        name=name,
        variant=variant.name,
        digest=digest,
        max_length=manifest.max_length,
        ids="input_ids",
        others=f", and {' and '.join(others)} in the same shape" if others else "",
        pad=manifest.pad_token_id,
        output=", ".join(_outputs(graph)),
        problem=manifest.problem_type.replace("_", " "),
        notes="\n".join(f"* {note}" for note in _notes(variant)),
    )


def _notes(variant: Variant) -> Iterable[str]:
    session = variant.graphs[_GRAPH].session
    yield "One thread a request; raise `intra_op_thread_count` or `count` in `config.pbtxt`."
    if not variant.batch_invariant:
        yield (
            "Answers of this variant depend a little on the other texts of a batch, so the dynamic "
            "batcher is off; send texts one by one to get the bundle's golden answers."
        )
    if session.disabled_optimizers:
        off = ", ".join(session.disabled_optimizers)
        yield f"edgepipe runs it without {off}, which Triton cannot be told: it may be slower here."
    if session.config_entries:
        entries = ", ".join(f"{key}={value}" for key, value in session.config_entries.items())
        yield f"edgepipe runs it with {entries}, which Triton cannot be told."
