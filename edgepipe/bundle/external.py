"""ONNX files with their weights beside them, under another name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

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

    try:
        model = onnx.load(source, load_external_data=False)
    except Exception as error:  # protobuf raises its own
        raise BundleError(f"{source} is not a readable ONNX file: {error}") from error
    for tensor in _tensors(model):
        if not uses_external_data(tensor):
            continue
        for entry in tensor.external_data:
            if entry.key == "location":
                if entry.value != old:
                    raise BundleError(f"{source}: {tensor.name} lies in {entry.value}, not {old}")
                entry.value = new
    made: bytes = model.SerializeToString(deterministic=True)
    return made


def _tensors(message: Any) -> Iterator[Any]:
    """Every TensorProto in a model: weights, constants, subgraphs and functions included."""
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for inner in value if isinstance(value, Sequence) else (value,):
            if inner.DESCRIPTOR.name == "TensorProto":
                yield inner
            else:
                yield from _tensors(inner)
