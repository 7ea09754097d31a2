"""A foreign bundle looked at without running it: is there anything in it that should not be?

Call ``examine`` in a child process under limits (``edgepipe.bundle.sandbox``): the parsers it uses
are written in C++ and Rust, and a hostile file may bring them down. What is looked at:

* every file has a place in a bundle: a document, a graph, or values that one graph refers to;
* operators and size of every graph (``edgepipe.bundle.graphs``), and where each of its tensors
  lies (``edgepipe.bundle.tensors``);
* JSON is plain: limited in size and depth, without duplicate keys or names of code to load;
* the tokenizer can be built, and session settings tune, and do not open files.

Hashes are not compared here; ``edgepipe.runtime.verify`` does that.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import BaseModel, ConfigDict

from edgepipe.bundle import documents, graphs, manifest, tensors
from edgepipe.bundle.graphs import GraphSummary
from edgepipe.bundle.manifest import MANIFEST, Manifest
from edgepipe.errors import BundleError
from edgepipe.runtime.verify import SIGNATURE, read_manifest

MAX_BYTES = 2**31 - 1
"""Of one ONNX file: what protobuf can read."""
SHOWN = 12
"""Problems told of one file."""


class Examined(BaseModel):
    """What a bundle is in which nothing was found to be wrong."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    manifest: Manifest
    graphs: dict[str, GraphSummary]
    """By file."""
    bytes: int
    signed: bool


def examine(folder: Path) -> Examined:
    """Nothing in the bundle at ``folder`` is known to be dangerous, and this is what it is.

    Raises BundleError with a line for each problem, up to a dozen for a file.
    """
    read_manifest(folder)
    made = manifest.read(folder)
    found = _told(MANIFEST, documents.place_problems(folder, made))
    if found:
        raise BundleError("\n".join(found))
    summaries: dict[str, GraphSummary] = {}
    owners: dict[str, str] = {}
    for name in documents.graph_files(made):
        seen = _Graph(folder, name, documents.data_beside(name, made))
        found += _told(name, itertools.chain(seen.problems(), seen.shared(owners)))
        summaries |= seen.summary
    found += _others(folder, made, owners)
    if not found:
        found += _told(made.tokenizer, documents.tokenizer_problems(folder, made))
    if found:
        raise BundleError("\n".join(found))
    total = sum(record.bytes for record in made.files.values())
    signed = (folder / SIGNATURE).is_file()
    return Examined(manifest=made, graphs=summaries, bytes=total, signed=signed)


def _others(folder: Path, made: Manifest, data: Iterable[str]) -> Iterator[str]:
    names = {MANIFEST, *made.files} - set(documents.graph_files(made))
    for name in sorted(names):
        yield from _told(name, documents.file_problems(folder, name, set(data)))
    yield from _told(MANIFEST, documents.setting_problems(made))


def _told(name: str, problems: Iterable[str]) -> list[str]:
    """The first problems of a file, each with the file's name; later ones are not looked for."""
    lines = [f"{name}: {problem}" for problem in itertools.islice(problems, SHOWN + 1)]
    return [*lines[:SHOWN], f"{name}: and more"] if len(lines) > SHOWN else lines


class _Graph:
    """One ONNX file. ``summary`` is filled by ``problems`` when there were none."""

    def __init__(self, folder: Path, name: str, beside: dict[str, int]) -> None:
        self.path, self.name, self.beside = folder / name, name, beside
        self.claims: tensors.Claims = {}
        self.summary: dict[str, GraphSummary] = {}

    def problems(self) -> Iterator[str]:
        """A line for each, found while they are asked for."""
        size = self.path.stat().st_size
        if size > MAX_BYTES:
            yield f"has {size} bytes; an ONNX file has {MAX_BYTES} at most, weights beside it"
            return
        model, why = _parsed(self.path)
        if model is None:
            yield f"is not a readable ONNX file: {why}"
            return
        sound = True
        for problem in itertools.chain(graphs.problems(model), self._tensor_problems(model)):
            sound = False
            yield problem
        if sound:
            self.summary[self.name] = graphs.summary(model)

    def _tensor_problems(self, model: Any) -> Iterator[str]:
        for number, (place, tensor) in enumerate(tensors.of(model), start=1):
            if number > graphs.MAX_TENSORS:
                yield f"holds more than {graphs.MAX_TENSORS} tensors"
                return
            yield from tensors.problems(tensor, place, self.beside, self.claims)
        yield from tensors.layout_problems(self.claims, self.beside)

    def shared(self, owners: dict[str, str]) -> Iterator[str]:
        """Data files of this graph that belong to an earlier one; the rest are its own from now."""
        for data in sorted(self.claims):
            file = str(PurePosixPath(self.name).parent / data)
            owner = owners.setdefault(file, self.name)
            if owner != self.name:
                yield f"takes values from {file!r:.200}, which belongs to {owner!r:.200}"


def _parsed(path: Path) -> tuple[Any, str]:
    """The ModelProto, its external data not loaded; or None and the reason."""
    import onnx

    try:
        return onnx.load(path, format="protobuf", load_external_data=False), ""
    except MemoryError:
        raise
    except Exception as error:  # protobuf raises its own
        reason = " ".join(str(error).split())
        if not reason:
            raise BundleError(f"{path} cannot be read: {error!r}") from error
        return None, f"{reason:.300}"
