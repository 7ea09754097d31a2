"""OnnxModel folders made from others: everything is copied but the graphs."""

from __future__ import annotations

from pathlib import Path

from edgepipe import disk
from edgepipe.artifacts import RECORD, OnnxModel
from edgepipe.bundle.manifest import MANIFEST
from edgepipe.graph import store


def copy_beside(model: OnnxModel, into: Path) -> None:
    """``into`` holds the files of ``model`` but for its graphs and the records that name them."""
    records = {RECORD, MANIFEST}
    graphs = {
        file.relative_to(model.path).as_posix()
        for record in model.graphs.values()
        for file in store.files(model.path / record.file)
    }
    disk.make_folder(into)
    for name in disk.files_under(model.path):
        if name.as_posix() not in graphs | records:
            disk.copy_file(model.path / name, into / name)


def copy_graphs(model: OnnxModel, into: Path) -> None:
    """``into`` holds the graphs of ``model`` too, external data included."""
    for record in model.graphs.values():
        store.copy(model.path / record.file, into / record.file)
