"""ONNX files under another name, with other metadata, their weights beside them as before."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgepipe import disk
from edgepipe.bundle import metadata, tensors
from edgepipe.errors import BundleError


def save_as(source: Path, target: Path, properties: Mapping[str, str] | None = None) -> None:
    """``target`` is the graph of ``source``; external weights lie beside it as ``TARGET_data``.

    ``properties`` replace the metadata of ``edgepipe.bundle.metadata``. The graph is copied byte
    for byte unless something inside it has to change; external weights are never read into memory.
    Equal graphs give equal bytes.
    """
    data, renamed = (path.with_name(path.name + "_data") for path in (source, target))
    if data.exists():
        disk.copy_file(data, renamed)
    elif properties is None:
        disk.copy_file(source, target)
        return
    model = read_graph(source)
    if data.exists():
        _rename(model, source, data.name, renamed.name)
    if properties is not None:
        metadata.stamp(model, properties)
    disk.write_bytes(target, _bytes(model, source))


def read_graph(source: Path) -> Any:
    """The ModelProto at ``source``, external weights left where they are; else a BundleError."""
    import onnx

    try:
        return onnx.load(source, load_external_data=False)
    except Exception as error:  # protobuf raises its own
        raise BundleError(f"{source} is not a readable ONNX file: {error}") from error


def _bytes(model: Any, source: Path) -> bytes:
    try:
        made: bytes = model.SerializeToString(deterministic=True)
    except Exception as error:  # protobuf raises its own
        raise BundleError(f"{source} is too large for one file: {error}") from error
    return made


def _rename(model: Any, source: Path, old: str, new: str) -> None:
    from onnx.external_data_helper import uses_external_data

    for _, tensor in tensors.of(model):
        if not uses_external_data(tensor):
            continue
        for entry in tensor.external_data:
            if entry.key == "location":
                if entry.value != old:
                    raise BundleError(f"{source}: {tensor.name} lies in {entry.value}, not {old}")
                entry.value = new
