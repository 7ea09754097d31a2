"""Hostile claims about where weights lie. The last tests hold what is refused apart from what is
not: the same files with honest claims."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgepipe.bundle.examine import examine
from edgepipe.bundle.tensors import PADDING
from edgepipe.errors import BundleError
from tests.bundle.foreign import DATA, FILE, array, bundle, external, listed, model

FIRST, SECOND = 4 * 8 * 4, 16 * 4
"""Bytes of the tensors w, float32 [4, 8], and v, float32 [16]."""


def layout(w: TensorProto | None = None, v: TensorProto | None = None) -> onnx.ModelProto:
    """A graph with two tensors in one data file, one of them replaced."""
    return model(
        tensors=[
            w or external("w", [4, 8], location=DATA, offset=0, length=FIRST),
            v or external("v", [16], location=DATA, offset=FIRST, length=SECOND),
        ]
    )


def w(**entries: object) -> onnx.ModelProto:
    """The first tensor under other entries."""
    return layout(
        external("w", [4, 8], **{"location": DATA, "offset": 0, "length": FIRST} | entries)
    )


def v(*dims: int, **entries: object) -> onnx.ModelProto:
    """The second tensor under other entries, or of another shape."""
    entries = {"location": DATA, "offset": FIRST, "length": SECOND} | entries
    return layout(v=external("v", dims or [16], **entries))


def changed(change: Callable[[TensorProto], object]) -> onnx.ModelProto:
    made = w()
    change(made.graph.initializer[0])
    return made


def typed(kind: int, *dims: int, length: int) -> onnx.ModelProto:
    made = v(*dims, length=length)
    made.graph.initializer[1].data_type = kind
    return made


def in_attribute() -> onnx.ModelProto:
    value = external("", [2], location="../tokenizer.json", offset=0, length=8)
    return model([helper.make_node("Constant", [], ["c"], value=value), relu()])


def in_subgraph() -> onnx.ModelProto:
    made = array("c", 2)
    made.ClearField("raw_data")
    made.data_location = TensorProto.EXTERNAL
    made.external_data.add(key="location", value="/etc/passwd")
    output = helper.make_tensor_value_info("o", TensorProto.FLOAT, [2])
    branch = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["o"])], "branch", [], [output], [made]
    )
    condition = numpy_helper.from_array(np.array(True), "condition")
    node = helper.make_node("If", ["condition"], ["z"], then_branch=branch, else_branch=branch)
    return model([node, relu()], [condition])


def in_function() -> onnx.ModelProto:
    value = external("", [2], location="../../x", offset=0, length=8)
    body = [helper.make_node("Constant", [], ["b"], value=value)]
    function = helper.make_function("mine", "F", [], ["b"], body, [helper.make_opsetid("", 21)])
    return model(functions=[function])


def in_sparse() -> onnx.ModelProto:
    made = model()
    sparse = made.graph.sparse_initializer.add(dims=[8])
    sparse.values.CopyFrom(external("s", [1], location="../x", offset=0, length=4))
    sparse.indices.CopyFrom(numpy_helper.from_array(np.array([3])))
    return made


def in_training() -> onnx.ModelProto:
    made = model()
    training = made.training_info.add()
    training.initialization.initializer.append(external("t", [1], location="../x"))
    return made


def relu() -> onnx.NodeProto:
    return helper.make_node("Relu", ["x"], ["y"])


NO_FILE = "which is no data file that the manifest lists beside it"
NO_NUMBER = "which is no number of bytes"
HOSTILE: dict[str, tuple[onnx.ModelProto, str]] = {
    "absolute": (w(location="/etc/passwd"), NO_FILE),
    "parent": (w(location="../tokenizer.json"), NO_FILE),
    "parent from below": (w(location="sub/../../tokenizer.json"), NO_FILE),
    "here": (w(location=f"./{DATA}"), NO_FILE),
    "the folder itself": (w(location="."), NO_FILE),
    "a folder": (w(location="sub"), NO_FILE),
    "in a folder": (w(location="sub/values.data"), NO_FILE),
    "from the root of the bundle": (w(location=f"onnx/{DATA}"), NO_FILE),
    "empty": (w(location=""), NO_FILE),
    "backslashes": (w(location="..\\tokenizer.json"), NO_FILE),
    "drive": (w(location=f"C:\\{DATA}"), NO_FILE),
    "network share": (w(location=f"\\\\host\\{DATA}"), NO_FILE),
    "address": (w(location="file:///etc/passwd"), NO_FILE),
    "environment": (w(location="$HOME/x"), NO_FILE),
    "home": (w(location="~/x"), NO_FILE),
    "zero byte": (w(location=f"{DATA}\0"), NO_FILE),
    "space behind": (w(location=f"{DATA} "), NO_FILE),
    "other case": (w(location=DATA.upper()), NO_FILE),
    "memory of the process": (w(location="*/_ORT_MEM_ADDR_/*", offset=4096), NO_FILE),
    "the model": (w(location="model.onnx"), NO_FILE),
    "a document": (w(location="notes.json"), NO_FILE),
    "a pickle": (w(location="pytorch_model.bin"), NO_FILE),
    "a library": (w(location="operators.so"), NO_FILE),
    "unlisted": (w(location="unlisted.data"), NO_FILE),
    "absent": (w(location="absent.data"), NO_FILE),
    "offset below zero": (w(offset=-8), NO_NUMBER),
    "offset of minus zero": (w(offset="-0"), NO_NUMBER),
    "offset with a sign": (w(offset="+0"), NO_NUMBER),
    "offset with a space": (w(offset=" 0"), NO_NUMBER),
    "offset with underscores": (w(offset="0_0"), NO_NUMBER),
    "offset in hex": (w(offset="0x0"), NO_NUMBER),
    "offset as a float": (w(offset="0.0"), NO_NUMBER),
    "offset in other digits": (w(offset="\u0660"), NO_NUMBER),
    "offset empty": (w(offset=""), NO_NUMBER),
    "offset beyond 63 bits": (w(offset=2**63), NO_NUMBER),
    "offset that wraps": (w(offset=2**64), NO_NUMBER),
    "offset behind the end": (v(offset=FIRST + SECOND + 1), "lies in bytes"),
    "offset and length that wrap": (v(offset=10**18 - 1, length=SECOND), "lies in bytes"),
    "length below zero": (w(length=-1), NO_NUMBER),
    "length beyond the file": (v(length=SECOND + 1), "lies in bytes 128 to 193"),
    "length absurd": (w(length=2**59), "lies in bytes 0 to"),
    "length of nothing": (w(length=0), f"has 0 bytes in '{DATA}', and its shape and type need"),
    "length too short": (w(length=FIRST - 1), f"need {FIRST}"),
    "length too long": (w(length=FIRST + 1), f"need {FIRST}"),
    "shape larger than the length": (v(17), "need 68"),
    "shape smaller than the length": (v(15), "need 60"),
    "shape that wraps to nothing": (v(2**32, 2**32, length=0), "which is too large"),
    "shape that wraps to the length": (v(2**62 + 4, 4), "which is too large"),
    "shape below zero": (v(-16), "with a negative axis"),
    "shape of two minus signs": (v(-4, -4), "with a negative axis"),
    "type undefined": (typed(0, 16, length=SECOND), "is of the unknown type UNDEFINED"),
    "type unknown": (typed(99, 16, length=SECOND), "is of the unknown type 99"),
    "type of text": (typed(TensorProto.STRING, 16, length=SECOND), "holds text as raw bytes"),
    "four bits cut short": (typed(TensorProto.INT4, 127, length=63), "need 64"),
    "four bits a byte each": (typed(TensorProto.UINT4, 64, length=64), "need 32"),
    "half floats at full size": (typed(TensorProto.FLOAT16, 16, length=SECOND), "need 32"),
    "overlap": (v(offset=FIRST - 4), "'v' overlaps tensor 'w' in"),
    "inside": (v(offset=32), "'v' overlaps tensor 'w' in"),
    "same begin": (v(offset=0), "overlaps"),
    "unknown key": (w(prepacked_0="0:8"), "the unknown key 'prepacked_0'"),
    "attribute of Python": (w(__class__="x"), "the unknown key '__class__'"),
    "base path": (w(basepath="/"), "the unknown key 'basepath'"),
    "no entries": (changed(lambda t: t.ClearField("external_data")), "does not say in which"),
    "location twice": (
        changed(lambda t: t.external_data.add(key="location", value="/etc/passwd")),
        "with one key twice",
    ),
    "offset twice": (
        changed(lambda t: t.external_data.add(key="offset", value="64")),
        "with one key twice",
    ),
    "raw data too": (
        changed(lambda t: setattr(t, "raw_data", b"\0" * FIRST)),
        "holds values (raw_data) and names a file too",
    ),
    "empty raw data too": (changed(lambda t: setattr(t, "raw_data", b"")), "names a file too"),
    "floats too": (changed(lambda t: t.float_data.append(1.0)), "holds values (float_data)"),
    "said to be inside": (
        changed(lambda t: setattr(t, "data_location", TensorProto.DEFAULT)),
        "names a file and says that its values are inside",
    ),
    "one segment": (changed(lambda t: setattr(t.segment, "end", 2)), "is one segment"),
    "in an attribute": (in_attribute(), NO_FILE),
    "in a subgraph": (in_subgraph(), NO_FILE),
    "in a function": (in_function(), NO_FILE),
    "in a sparse tensor": (in_sparse(), NO_FILE),
    "in training information": (in_training(), NO_FILE),
}


def files(folder: Path, made: onnx.ModelProto, size: int = FIRST + SECOND) -> Path:
    """A bundle whose data file has ``size`` bytes, and others that tempt."""
    data = dict.fromkeys((DATA, "notes.json", "pytorch_model.bin", "operators.so"), bytes(size))
    bundle(folder, made, data)
    (folder / "onnx" / "sub").mkdir()
    (folder / "onnx" / "sub" / "values.data").write_bytes(bytes(size))
    listed(folder)
    (folder / "onnx" / "unlisted.data").write_bytes(bytes(size))
    return folder


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_layout_is_refused(name: str, tmp_path: Path) -> None:
    made, told = HOSTILE[name]
    folder = files(tmp_path / "bundle", made)
    with pytest.raises(BundleError) as caught:
        examine(folder)
    lines = [line for line in str(caught.value).split("\n") if line.startswith(f"{FILE}: ")]
    assert any(told in line for line in lines), lines


def test_the_same_files_with_honest_claims_are_accepted(tmp_path: Path) -> None:
    found = examine(bundle(tmp_path / "bundle", layout(), {DATA: bytes(FIRST + SECOND)}))
    assert found.graphs[FILE].parameters == 4 * 8 + 16


@pytest.mark.parametrize(
    ("made", "size"),
    [
        (v(offset=FIRST, length=SECOND), FIRST + SECOND),
        (v(offset=4096), 4096 + SECOND),  # aligned, as writers do
        (v(offset=PADDING + FIRST), PADDING + FIRST + SECOND),
        (w(checksum="a" * 40), FIRST + SECOND),
        (layout(external("w", [4, 8], location=DATA, length=FIRST)), FIRST + SECOND),  # offset 0
        (layout(v=external("v", [16], location=DATA, offset=FIRST)), FIRST + SECOND),  # to the end
        (layout(v=external("v", [8, 4], location=DATA, offset=0, length=FIRST)), FIRST),  # tied
        (typed(TensorProto.INT4, 127, length=64), FIRST + SECOND),
        (typed(TensorProto.UINT2, 255, length=64), FIRST + SECOND),
        (typed(TensorProto.FLOAT16, 32, length=64), FIRST + SECOND),
        (v(0, length=0), FIRST),
    ],
)
def test_what_honest_writers_do_is_accepted(
    made: onnx.ModelProto, size: int, tmp_path: Path
) -> None:
    examine(bundle(tmp_path / "bundle", made, {DATA: bytes(size)}))


@pytest.mark.parametrize(
    ("made", "size", "told"),
    [
        (v(offset=PADDING + FIRST + 1), PADDING + FIRST + SECOND + 1, "bytes from 128 to 65665"),
        (w(), FIRST + SECOND + PADDING + 1, "bytes from 192 to 65729 belong to no tensor"),
        (layout(v=external("v", [16], location=DATA, offset=FIRST)), FIRST + SECOND + 1, "need 64"),
    ],
)
def test_a_data_file_hides_nothing(
    made: onnx.ModelProto, size: int, told: str, tmp_path: Path
) -> None:
    with pytest.raises(BundleError, match=told):
        examine(bundle(tmp_path / "bundle", made, {DATA: bytes(size)}))


def test_a_linked_data_file_is_refused(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "bundle", layout(), {DATA: bytes(FIRST + SECOND)})
    (tmp_path / "elsewhere").write_bytes(bytes(FIRST + SECOND))
    (folder / "onnx" / DATA).unlink()
    (folder / "onnx" / DATA).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match="is a link or no plain file"):
        examine(folder)


def test_a_data_file_belongs_to_one_graph(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "bundle", layout(), {DATA: bytes(FIRST + SECOND)})
    (folder / "onnx" / "model_fp16.onnx").write_bytes((folder / FILE).read_bytes())
    with pytest.raises(BundleError, match=r"belongs to 'onnx/model\.onnx'"):
        examine(listed(folder))


def test_every_wrong_tensor_is_told_up_to_a_dozen(tmp_path: Path) -> None:
    wrong = [external(f"t{n:02}", [1], location="../x") for n in range(30)]
    with pytest.raises(BundleError) as caught:
        examine(bundle(tmp_path / "bundle", model(tensors=wrong)))
    lines = str(caught.value).split("\n")
    assert [f"'t{n:02}'" in line for n, line in enumerate(lines)] == [True] * 12 + [False]
    assert lines[-1] == f"{FILE}: and more"


def inline(kind: int, dims: list[int], **values: object) -> onnx.ModelProto:
    return model(tensors=[TensorProto(name="w", data_type=kind, dims=dims, **values)])


INLINE: dict[str, tuple[onnx.ModelProto, str]] = {
    "too short": (inline(1, [1000], raw_data=bytes(4)), "holds 4 bytes, and .* need 4000"),
    "too long": (inline(1, [1], raw_data=bytes(5)), "need 4"),
    "nothing": (inline(1, [1]), "holds 0 values, and its shape and type need 1"),
    "absurd": (inline(1, [2**40, 2**40], raw_data=bytes(4)), "too large"),
    "below zero": (inline(1, [-1], raw_data=bytes(4)), "negative axis"),
    "twice": (inline(1, [1], raw_data=bytes(4), float_data=[1.0]), "holds its values 2 times"),
    "in the wrong field": (inline(1, [1], int64_data=[1]), "holds its values as int64_data"),
    "one float too many": (inline(1, [1], float_data=[1.0, 2.0]), "holds 2 values"),
    "text as bytes": (inline(8, [1], raw_data=bytes(4)), "holds text as raw bytes"),
    "half a complex number": (inline(14, [1], float_data=[1.0]), "need 2"),
    "nibbles cut short": (inline(22, [3], raw_data=bytes(1)), "need 2"),
    "six bits": (inline(27, [4], raw_data=bytes(3)), "unknown type FLOAT6E2M3"),
}


@pytest.mark.parametrize("name", INLINE)
def test_a_tensor_inside_holds_what_its_shape_needs(name: str, tmp_path: Path) -> None:
    made, told = INLINE[name]
    with pytest.raises(BundleError, match=told):
        examine(bundle(tmp_path / "bundle", made))
