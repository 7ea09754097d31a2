"""ONNX files with their weights beside them, under another name."""

from __future__ import annotations

from pathlib import Path

from edgepipe import disk
from edgepipe.errors import BundleError


def save_as(source: Path, target: Path) -> None:
    """``target`` is the graph of ``source``; external weights lie beside it as ``TARGET_data``.

    The graph is copied byte for byte unless external data has to be renamed inside it.
    """
    data = source.with_name(source.name + "_data")
    if not data.exists():
        disk.copy_file(source, target)
        return
    disk.copy_file(data, target.with_name(target.name + "_data"))
    disk.write_bytes(target, _renamed(source, data.name, target.name + "_data"))


def _renamed(source: Path, old: str, new: str) -> bytes:
    import onnx
    from onnx.external_data_helper import uses_external_data

    model = onnx.load(source, load_external_data=False)
    for tensor in model.graph.initializer:
        if not uses_external_data(tensor):
            continue
        for entry in tensor.external_data:
            if entry.key == "location":
                if entry.value != old:
                    raise BundleError(f"{source}: {tensor.name} lies in {entry.value}, not {old}")
                entry.value = new
    made: bytes = model.SerializeToString(deterministic=True)
    return made
