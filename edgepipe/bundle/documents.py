"""The files of a bundle that are no graphs: each has a place there, and is plain text or JSON."""

from __future__ import annotations

import itertools
import json
import re
import stat
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from edgepipe.bundle.manifest import MANIFEST, Manifest
from edgepipe.errors import BundleError
from edgepipe.runtime.tokenize import TextTokenizer
from edgepipe.runtime.verify import name_problem

MAX_BYTES = 64 << 20
"""Of a document: twice the largest tokenizer.json of the known models."""
MAX_DEPTH = 64
"""Of JSON."""
DOCUMENTS = frozenset({".json", ".jsonl", ".md", ".txt", ".pbtxt"})
PLAIN_NAMES = frozenset({"LICENSE", "LICENCE", "NOTICE", ".gitattributes"})
WEIGHTS = re.compile(
    r".+\.(onnx[._]data(_\d+)?|data|weights?|bias|\d+)"
    r"|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    re.ASCII,
)
"""What a file of weights is called, with no folder.

``model.onnx_data`` (optimum, and edgepipe; ``_1`` and so on where transformers.js splits them),
``model.onnx.data`` (torch, onnx_ir), ``model.data``; with a file for each tensor the tensor's name,
``encoder.layer.0.attention.self.query.weight``; a UUID when onnx was given no name. Any other name
might mean something to a program that opens the file by it.
"""
_CODE = ("auto_map", "custom_pipelines", "trust_remote_code")
_GRAPH = ".onnx"


def graph_files(made: Manifest) -> list[str]:
    """Every ONNX file that the manifest lists or gives to a variant."""
    used = (graph.file for variant in made.variants for graph in variant.graphs.values())
    return sorted({*used, *(name for name in made.files if _suffix(name) == _GRAPH)})


def place_problems(folder: Path, made: Manifest) -> Iterator[str]:
    """Files that are not there as the manifest lists them: nothing may be opened while there are.

    Contents are not compared. Sizes are, for the sums of tensors count on them.
    """
    for name in sorted({*graph_files(made), made.tokenizer, *made.files}):
        problem = name_problem(name) or _place_problem(folder, name, made)
        if problem:
            yield f"{name!r:.200} {problem}"


def _place_problem(folder: Path, name: str, made: Manifest) -> str | None:
    if name not in made.files:
        return "is not listed by the manifest"
    above = list(PurePosixPath(name).parents)[:-1]
    try:
        if any((folder / parent).is_symlink() for parent in above):
            return "is reached by a link"
        found = (folder / name).lstat()
    except OSError:
        return "is missing"
    if not stat.S_ISREG(found.st_mode):
        return "is a link or no plain file"
    if found.st_size != made.files[name].bytes:
        return f"has {found.st_size} bytes instead of {made.files[name].bytes}"
    return None


def data_beside(graph: str, made: Manifest) -> dict[str, int]:
    """Files of the manifest that may hold weights of ``graph``, without its folder, and bytes."""
    folder = PurePosixPath(graph).parent
    paths = ((PurePosixPath(name), record.bytes) for name, record in made.files.items())
    beside = ((path.name, size) for path, size in paths if path.parent == folder)
    return {name: size for name, size in beside if WEIGHTS.fullmatch(name)}


def is_graph_or_weights(name: str) -> bool:
    """Whether a file of that name may be opened as the one or the other."""
    return _suffix(name) == _GRAPH or bool(WEIGHTS.fullmatch(PurePosixPath(name).name))


def file_problems(folder: Path, name: str, data: Collection[str]) -> Iterator[str]:
    """What is wrong with one file that is no graph; ``data`` are those that graphs refer to."""
    if name in data:
        return
    if _suffix(name) not in DOCUMENTS and PurePosixPath(name).name not in PLAIN_NAMES:
        yield "is neither a document nor a file that a graph refers to: it does not belong here"
        return
    size = (folder / name).stat().st_size
    if size > MAX_BYTES:
        yield f"has {size} bytes; a document has {MAX_BYTES} at most"
    elif _suffix(name) == ".json":
        yield from _json_problems(folder / name)


def setting_problems(made: Manifest) -> Iterator[str]:
    """What is wrong with the variants' own words on how they are to be run."""
    for variant in made.variants:
        for graph in variant.graphs.values():
            if _suffix(graph.file) != _GRAPH:
                yield f"variant {variant.name!r:.120}: {graph.file!r:.120} is not called *.onnx"


def tokenizer_problems(folder: Path, made: Manifest) -> Iterator[str]:
    """What the tokenizers library has to say; call it when the file is known to be plain JSON."""
    try:
        TextTokenizer(folder / made.tokenizer, made.max_length)
    except BundleError as error:
        yield str(error)


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _json_problems(path: Path) -> Iterator[str]:
    try:
        content = json.loads(
            path.read_text(encoding="utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_refused_constant,
        )
        deep = _depth(content) > MAX_DEPTH
    except RecursionError:
        deep, content = True, None
    except ValueError as error:  # JSON, UTF-8, or one of the two hooks
        yield f"is not plain JSON: {str(error)!s:.300}"
        return
    if deep:
        yield f"is nested more than {MAX_DEPTH} deep"
    elif isinstance(content, dict) and path.name != MANIFEST:
        yield from (f"names code to load: {key!r}" for key in _CODE if key in content)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = sorted(key for key, _ in pairs)
        twice = next(a for a, b in itertools.pairwise(keys) if a == b)
        raise ValueError(f"the key {twice!r:.80} stands twice in one object")
    return found


def _refused_constant(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def _depth(content: object) -> int:
    inner: Iterable[object] = ()
    if isinstance(content, dict):
        inner = content.values()
    elif isinstance(content, list):
        inner = content
    else:
        return 0
    return 1 + max(map(_depth, inner), default=0)
