"""``edgepipe.json`` as the runtime reads it, with the standard library alone.

``edgepipe.bundle.manifest`` writes the file; a contract test holds the two together.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Literal

from edgepipe.errors import BundleError, UsageError
from edgepipe.runtime.records import MismatchError, decode

ProblemType = Literal["single_label_classification", "multi_label_classification", "regression"]
MANIFEST = "edgepipe.json"
SCHEMA = 1
AUTO = "auto"
"""Asks for any variant, so that none may be called so."""
_LONGEST = 1 << 20
"""Tokens: what a mistaken or hostile figure may make this machine set aside stays small."""
_IDS = 1 << 31
_AGAIN = "make or copy the bundle again"
SETTINGS = frozenset(
    {
        "session.intra_op.allow_spinning",
        "session.inter_op.allow_spinning",
        "session.force_spinning_stop",
        "session.dynamic_block_base",
        "session.set_denormal_as_zero",
        "session.disable_prepacking",
        "session.qdqisint8allowed",
        "session.disable_quant_qdq",
        "session.enable_quant_qdq_cleanup",
        "session.disable_double_qdq_remover",
        "session.x64quantprecision",
        "session.qdq_matmulnbits_accuracy_level",
        "optimization.enable_gelu_approximation",
        "optimization.enable_cast_chain_elimination",
        "optimization.disable_specified_optimizers",
        "mlas.enable_gemm_fastmath_arm64_bfloat16",
    }
)
"""Session settings that tune. Others of onnxruntime name files, folders and libraries to open."""


@dataclass(frozen=True)
class SessionSettings:
    """onnxruntime session settings that belong to a graph."""

    disabled_optimizers: tuple[str, ...] = ()
    graph_optimization_level: Literal["disable", "basic", "extended", "all"] = "all"
    config_entries: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Graph:
    """One ONNX file, relative to the bundle, and the names of its inputs and outputs."""

    file: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    session: SessionSettings = SessionSettings()


@dataclass(frozen=True)
class Variant:
    """One precision of the model, and where it may run."""

    name: str
    precision: str
    graphs: dict[str, Graph]
    devices: tuple[str, ...] = ("cpu", "cuda")
    cpu_features: tuple[str, ...] = ()
    batch_invariant: bool = True
    """False when an answer depends on its batch mates (dynamic int8 takes ranges per batch)."""
    tolerance: float | None = None
    """How far logits may lie from ``golden.jsonl``, text by text, at exact length and batch 1."""


@dataclass(frozen=True)
class FileRecord:
    """Size and SHA-256 of one file."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a bundle says about itself. ``variants`` stand in order of preference."""

    name: str
    task: str
    labels: tuple[str, ...]
    max_length: int
    pad_token_id: int
    variants: tuple[Variant, ...]
    files: dict[str, FileRecord]
    tokenizer: str = "tokenizer.json"
    problem_type: ProblemType = "single_label_classification"


def read(folder: Path) -> Manifest:
    """The manifest of the bundle at ``folder``; its files are not looked at.

    Raises UsageError when there is no such folder, and BundleError when it is no bundle, is
    damaged, of an unknown schema, or names a file outside of itself.
    """
    if not folder.exists():
        raise UsageError(f"there is no bundle at {folder}")
    if not folder.is_dir():
        raise BundleError(
            f"{folder} is a file; a bundle is a folder with {MANIFEST} in it: if this is a packed "
            "one, use edgepipe unpack"
        )
    manifest = _decode(folder / MANIFEST, _load(folder / MANIFEST))
    for name in _named(manifest):
        if not _stays_inside(name):
            raise BundleError(
                f"{folder}: {MANIFEST} names {name!r}, outside the bundle; do not trust it"
            )
    return manifest


def needed(folder: Path, manifest: Manifest, variant: Variant) -> list[str]:
    """The files that loading ``variant`` may open; each is there, in full size.

    They are the tokenizer, its graphs, and whatever else lies beside these for external weights;
    not what belongs to another variant, so that an application may ship the one it uses. Raises
    BundleError that names the file missing, cut short, unlisted or linked.
    """
    own = {graph.file for graph in variant.graphs.values()}
    others = {g.file for v in manifest.variants for g in v.graphs.values()} - own
    parents = {PurePosixPath(file).parent for file in own}
    beside = {
        name
        for name in manifest.files
        if not name.startswith(tuple(others))
        and not parents.isdisjoint(PurePosixPath(name).parents)
        and (folder / name).exists()  # else onnxruntime itself misses it, if it is of any use
    }
    names = sorted({manifest.tokenizer, *own, *beside})
    for name in names:
        _check_file(folder, name, manifest.files)
    return names


def _load(path: Path) -> dict[str, Any]:
    if path.exists() and not path.is_file():  # a pipe would never end
        raise BundleError(f"{path} is no file; {_AGAIN}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        message = f"{path.parent} is not a bundle: it has no {MANIFEST}"
        raise BundleError(f"{message}; a run of edgepipe writes one beside the model") from error
    except (OSError, ValueError, RecursionError) as error:  # no JSON, no UTF-8, nested too deeply
        raise BundleError(f"{path} is damaged: {error}; {_AGAIN}") from error
    if not isinstance(content, dict):
        raise BundleError(f"{path} is damaged: it holds no object; {_AGAIN}")
    return content


def _decode(path: Path, content: dict[str, Any]) -> Manifest:
    if content.get("schema") != SCHEMA:
        found = f"{path} is of schema {content.get('schema')!r}, and this edgepipe reads {SCHEMA}"
        raise BundleError(f"{found}: install the version of edgepipe that made it, or make it anew")
    try:
        manifest = decode(Manifest, content)
    except MismatchError as error:
        raise BundleError(f"{path} is damaged: {error}; {_AGAIN}") from error
    graphs = [graph for variant in manifest.variants for graph in variant.graphs.values()]
    foreign = sorted(
        {f"{k!r:.120}" for g in graphs for k in g.session.config_entries.keys() - SETTINGS}
    )
    names = [variant.name for variant in manifest.variants]
    longest, padding = manifest.max_length, manifest.pad_token_id
    for wrong, what in (
        (not manifest.labels, "labels is empty"),
        (not 1 <= longest <= _LONGEST, f"max_length is {longest}, not 1 to {_LONGEST}"),
        (not 0 <= padding < _IDS, f"pad_token_id is {padding}, not 0 to {_IDS - 1}"),
        (not names, "variants is empty"),
        (len(set(names)) < len(names), f"two variants are called alike: {', '.join(names):.120}"),
        (AUTO in names, f"a variant may not be called {AUTO!r}, which asks for any"),
        (bool(foreign), f"a bundle may not set {', '.join(foreign)}"),
    ):
        if wrong:
            raise BundleError(f"{path} is damaged: {what}; {_AGAIN}")
    return manifest


def _named(manifest: Manifest) -> list[str]:
    """Every file that the manifest speaks of."""
    graphs = [graph.file for variant in manifest.variants for graph in variant.graphs.values()]
    return sorted({manifest.tokenizer, *graphs, *manifest.files})


def _check_file(folder: Path, name: str, files: dict[str, FileRecord]) -> None:
    path = folder / name
    for part in (path, *path.parents):
        if part == folder:
            break
        if part.is_symlink():
            raise BundleError(f"{folder}: {name} is reached by a link; copy the files themselves")
    if not path.is_file():
        raise BundleError(f"{folder}: {name} is missing; {_AGAIN}")
    if name not in files:
        raise BundleError(f"{folder}: {MANIFEST} does not list {name} among its files; {_AGAIN}")
    if path.stat().st_size != files[name].bytes:
        found = f"{name} has {path.stat().st_size} bytes instead of {files[name].bytes}"
        raise BundleError(f"{folder}: {found}; {_AGAIN}")


def _stays_inside(name: str) -> bool:
    """Whether ``name`` is a relative path with forward slashes that never climbs."""
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    climbs = ".." in posix.parts or posix.is_absolute() or bool(windows.drive)
    return bool(posix.parts) and not climbs and "\\" not in name and "\0" not in name
