"""What the tensors of an ONNX file claim, against where their values really lie.

``onnx.checker`` looks at none of the sums here, and readers disagree about what a wrong one means.
Values are counted, never read. The rules for values in another file are those of
https://onnx.ai/onnx/repo-docs/ExternalData.html, where it leaves a choice the stricter one:

* ``location`` is one of the data files that the manifest lists beside the model;
* ``offset`` and ``length`` are decimal and end within the file, and ``length`` is what the shape
  and type need; without a ``length`` the values reach to the end of the file;
* two tensors share all of their bytes (tied weights) or none;
* between tensors, and around them, there is at most the padding that writers align by.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PADDING = 64 * 1024
"""Bytes: the largest alignment of the format, and so the largest hole in a data file."""
MAX_BYTES = 1 << 40
"""Of one tensor."""

_FLOAT8 = ("FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ", "FLOAT8E8M0")
_BITS = {
    **dict.fromkeys(("UINT2", "INT2"), 2),
    **dict.fromkeys(("UINT4", "INT4", "FLOAT4E2M1"), 4),
    **dict.fromkeys(("UINT8", "INT8", "BOOL", *_FLOAT8), 8),
    **dict.fromkeys(("UINT16", "INT16", "FLOAT16", "BFLOAT16"), 16),
    **dict.fromkeys(("FLOAT", "UINT32", "INT32"), 32),
    **dict.fromkeys(("DOUBLE", "UINT64", "INT64", "COMPLEX64"), 64),
    "COMPLEX128": 128,
}
"""Bits of one element; smaller ones than a byte are packed, the last byte filled up."""
_FIELDS = {
    **dict.fromkeys(("FLOAT", "COMPLEX64"), "float_data"),
    **dict.fromkeys(("DOUBLE", "COMPLEX128"), "double_data"),
    **dict.fromkeys(("UINT32", "UINT64"), "uint64_data"),
    "INT64": "int64_data",
    "STRING": "string_data",
}
"""The typed field for each type; ``int32_data`` for all others (onnx.proto, TensorProto)."""
_TYPED = ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")
_KEYS = frozenset({"location", "offset", "length", "checksum"})
_EXTERNAL = 1
_DECIMAL = re.compile(r"[0-9]{1,18}", re.ASCII)


@dataclass(frozen=True, order=True)
class Range:
    """Bytes of a data file that one tensor holds, ``end`` not included."""

    begin: int
    end: int
    owner: str


Claims = dict[str, list[Range]]
"""Ranges by data file."""


def problems(tensor: Any, place: str, beside: Mapping[str, int], claims: Claims) -> Iterator[str]:
    """What is wrong with one TensorProto, a line each; its range of a data file joins ``claims``.

    ``beside`` holds the bytes of every data file that the model may name; ``place`` says which
    tensor it is.
    """
    try:
        kind, elements = _type(tensor), _elements(tensor)
        if tensor.data_location == _EXTERNAL:
            _check_alone(tensor)
            name, begin, end = _external(tensor, _bytes(kind, elements), beside)
            claims.setdefault(name, []).append(Range(begin, end, place))
        else:
            _check_inline(tensor, kind, elements)
    except _WrongError as error:
        yield f"{place} {error}"


def layout_problems(claims: Claims, beside: Mapping[str, int]) -> Iterator[str]:
    """Ranges that overlap in part, and bytes of data files that no tensor holds."""
    for name, ranges in claims.items():
        position, last = 0, None
        for found in sorted(ranges):
            if last is not None and (found.begin, found.end) == (last.begin, last.end):
                continue
            if last is not None and found.begin < position:
                yield f"{found.owner} overlaps {last.owner} in {name!r}"
            yield from _hole(name, position, found.begin)
            position, last = max(position, found.end), found
        yield from _hole(name, position, beside[name])


class _WrongError(ValueError):
    """The message goes on where the tensor's name ends."""


def _hole(name: str, begin: int, end: int) -> Iterator[str]:
    if end - begin > PADDING:
        yield f"{name!r}: its bytes from {begin} to {end} belong to no tensor"


def _type(tensor: Any) -> str:
    try:
        kind = str(type(tensor).DataType.Name(tensor.data_type))
    except ValueError:
        kind = str(tensor.data_type)
    if kind not in _BITS and kind != "STRING":
        raise _WrongError(f"is of the unknown type {kind}")
    return kind


def _elements(tensor: Any) -> int:
    if tensor.HasField("segment"):
        raise _WrongError("is one segment of a tensor")
    dims = [int(size) for size in tensor.dims]
    if any(size < 0 for size in dims):
        raise _WrongError(f"has the shape {dims!r:.80}, with a negative axis")
    elements = math.prod(dims)
    if elements > MAX_BYTES:
        raise _WrongError(f"has the shape {dims!r:.80}, which is too large")
    return elements


def _bytes(kind: str, elements: int) -> int:
    if kind == "STRING":
        raise _WrongError("holds text as raw bytes; text has a field of its own")
    return -(-elements * _BITS[kind] // 8)


def _check_alone(tensor: Any) -> None:
    found = [field for field in ("raw_data", *_TYPED) if len(getattr(tensor, field))]
    if found or tensor.HasField("raw_data"):
        raise _WrongError(f"holds values ({', '.join(found) or 'raw_data'}) and names a file too")


def _check_inline(tensor: Any, kind: str, elements: int) -> None:
    if tensor.external_data:
        raise _WrongError("names a file and says that its values are inside")
    found = {field: len(getattr(tensor, field)) for field in ("raw_data", *_TYPED)}
    filled = {field: count for field, count in found.items() if count}
    if len(filled) > 1:
        raise _WrongError(f"holds its values {len(filled)} times: {', '.join(filled)}")
    for field, count in (filled or {_field(kind): 0}).items():
        _check_count(kind, elements, field, count)


def _check_count(kind: str, elements: int, field: str, count: int) -> None:
    if field == "raw_data":
        wanted, what = _bytes(kind, elements), "bytes"
    elif field == _field(kind):
        wanted, what = _values(kind, elements), "values"
    else:
        raise _WrongError(f"is {kind} and holds its values as {field}")
    if count != wanted:
        raise _WrongError(f"holds {count} {what}, and its shape and type need {wanted}")


def _field(kind: str) -> str:
    return _FIELDS.get(kind, "int32_data")


def _values(kind: str, elements: int) -> int:
    """How many values the typed field holds for so many elements."""
    if kind.startswith("COMPLEX"):
        return 2 * elements
    if _BITS.get(kind, 8) < 8:  # noqa: PLR2004 - bits of a byte
        return _bytes(kind, elements)
    return elements


def _external(tensor: Any, wanted: int, beside: Mapping[str, int]) -> tuple[str, int, int]:
    """File, first byte and the one after the last."""
    entries = _entries(tensor.external_data)
    location = entries.get("location", "")
    if location not in beside:
        raise _WrongError(
            f"lies in {location!r:.120}, which is no data file that the manifest lists beside it"
        )
    offset = _decimal(entries, "offset", 0)
    length = _decimal(entries, "length", max(0, beside[location] - offset))
    if offset + length > beside[location]:
        raise _WrongError(
            f"lies in bytes {offset} to {offset + length} of {location!r}, "
            f"which has {beside[location]}"
        )
    if length != wanted:
        raise _WrongError(
            f"has {length} bytes in {location!r}, and its shape and type need {wanted}"
        )
    return location, offset, offset + length


def _entries(found: Sequence[Any]) -> dict[str, str]:
    keys = [str(entry.key) for entry in found]
    unknown = sorted(set(keys) - _KEYS)
    if unknown:
        raise _WrongError(f"names its file with the unknown key {unknown[0]!r:.80}")
    if len(set(keys)) < len(keys):
        raise _WrongError("names its file with one key twice")
    if "location" not in keys:
        raise _WrongError("lies in another file and does not say in which")
    return {str(entry.key): str(entry.value) for entry in found}


def _decimal(entries: Mapping[str, str], key: str, default: int) -> int:
    value = entries.get(key)
    if value is None:
        return default
    if not _DECIMAL.fullmatch(value):
        raise _WrongError(f"has the {key} {value!r:.80}, which is no number of bytes")
    return int(value)


def of(message: Any, place: str = "the model") -> Iterator[tuple[str, Any]]:
    """Every TensorProto of a model and where it is: in subgraphs, functions and attributes too.

    Sparse tensors are entered as well: what is in them is a tensor like any other.
    """
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for inner in value if isinstance(value, Sequence) else (value,):
            kind = field.message_type.name
            if kind == "TensorProto":
                yield _tensor_place(inner, place), inner
            else:
                yield from of(inner, _node_place(inner, place) if kind == "NodeProto" else place)


def _tensor_place(tensor: Any, place: str) -> str:
    return f"tensor {tensor.name!r:.120}" if tensor.name else f"a tensor of {place}"


def _node_place(node: Any, place: str) -> str:
    named = node.name or next(iter(node.output), "")
    return f"node {named!r:.120}" if named else place


def count(tensors: Iterable[Any]) -> int:
    """Elements of all ``tensors`` together."""
    return sum(math.prod(max(0, int(size)) for size in tensor.dims) for tensor in tensors)
