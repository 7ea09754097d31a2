"""Hostile graphs, and what a graph is said to be."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

from edgepipe.bundle import graphs
from edgepipe.bundle.examine import examine
from edgepipe.errors import BundleError
from tests.bundle.foreign import FILE, array, bundle, model

STANDARD = helper.make_opsetid("", 21)
MINE = helper.make_opsetid("mine", 1)


def node(op: str, inputs: str = "x", output: str = "y", domain: str = "") -> NodeProto:
    return helper.make_node(op, inputs.split(), [output], name=f"the {op}", domain=domain)


def function(name: str, *calls: str, domain: str = "mine") -> onnx.FunctionProto:
    """Calls one after the other; one Relu when there are none."""
    steps = calls or ("",)
    body = [
        helper.make_node(
            call or "Relu",
            ["a" if n == 0 else f"t{n - 1}"],
            ["b" if n == len(steps) - 1 else f"t{n}"],
            domain="mine" if call else "",
        )
        for n, call in enumerate(steps)
    ]
    return helper.make_function(domain, name, ["a"], ["b"], body, [STANDARD, MINE])


def calling(*functions: onnx.FunctionProto) -> onnx.ModelProto:
    """A graph that calls the last of them."""
    return model([node(functions[-1].name, domain="mine")], functions=functions, domains=["mine"])


def nested(depth: int, innermost: NodeProto | None = None) -> onnx.ModelProto:
    """A graph with ``If`` in ``If``."""
    return model([branch(depth, innermost)], [condition()])


def condition() -> TensorProto:
    return numpy_helper.from_array(np.array(True), "c")


def branch(depth: int, innermost: NodeProto | None) -> NodeProto:
    if depth == 0:
        return innermost or node("Relu")
    inner = subgraph(branch(depth - 1, innermost))
    return helper.make_node(
        "If", ["c"], ["y"], then_branch=inner, else_branch=subgraph(node("Relu"))
    )


def subgraph(inner: NodeProto) -> GraphProto:
    return helper.make_graph(
        [inner], "branch", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    )


def doubling(times: int) -> onnx.ModelProto:
    """Functions that each call the one before twice: 2 ** times nodes."""
    names = [f"F{n}" for n in range(times)]
    rest = (function(b, a, a) for a, b in itertools.pairwise(names))
    return calling(function(names[0]), *rest)


def chain(length: int) -> list[onnx.FunctionProto]:
    """Functions that each call the one before."""
    rest = (function(f"F{n}", f"F{n - 1}") for n in range(1, length))
    return [function("F0"), *rest]


def inside_out(length: int, step: int) -> onnx.ModelProto:
    """A graph that calls each ``step``-th function of a chain: F0, F30, F60 and so on."""
    calls = [node(f"F{n}", domain="mine") for n in range(0, length, step)]
    return model(calls, functions=chain(length), domains=["mine"])


def sparse() -> onnx.ModelProto:
    made = model()
    found = made.graph.sparse_initializer.add(dims=[8])
    found.values.CopyFrom(array("s", 1))
    found.indices.CopyFrom(numpy_helper.from_array(np.array([2**40])))
    return made


def trained() -> onnx.ModelProto:
    made = model()
    made.training_info.add().algorithm.CopyFrom(made.graph)
    return made


def headless() -> onnx.ModelProto:
    made = model()
    del made.graph.output[:]
    return made


def misspelt(made: onnx.ModelProto, name: str) -> bytes:
    """``made`` with a byte in ``name`` that UTF-8 does not have."""
    return made.SerializeToString().replace(name.encode(), b"\xff" * len(name))


LONG = "n" * (graphs.MAX_NAME + 1)
HOSTILE: dict[str, tuple[onnx.ModelProto | bytes, str]] = {
    "custom operator": (model([node("Steal", domain="my.lib")]), "of the domain 'my.lib'"),
    "domain with a space": (model([node("Relu", domain=" ")]), "of the domain ' '"),
    "extensions": (model([node("Tokenizer", domain="ai.onnx.contrib")]), "ai.onnx.contrib"),
    "torch": (model([node("ATen", domain="org.pytorch.aten")]), "org.pytorch.aten"),
    "layout of one machine": (model([node("Conv", domain="com.microsoft.nchwc")]), "nchwc"),
    "compiled program": (model([node("EPContext", domain="com.microsoft")]), "compiled program"),
    "Python": (model([node("PythonOp", domain="com.microsoft")]), "runs Python"),
    "in a subgraph": (nested(2, node("Steal", domain="my.lib")), "of the domain 'my.lib'"),
    "in a function": (
        model(functions=[helper.make_function("mine", "F", [], [], [node("S", domain="lib")], [])]),
        "of the domain 'lib'",
    ),
    "function that is not there": (
        model([node("G", domain="mine")], functions=[function("F")]),
        "mine",
    ),
    "stand-in for an operator": (
        model(functions=[function("Relu", domain="")]),
        "the function 'Relu' stands in",
    ),
    "stand-in by the other name": (
        model(functions=[function("Relu", domain="ai.onnx")]),
        "stands in",
    ),
    "two functions of one name": (calling(function("F"), function("F")), "have one name"),
    "function that calls itself": (calling(function("F", "F")), "in a circle"),
    "functions in a circle": (calling(function("F", "G"), function("G", "F")), "in a circle"),
    "functions too deep": (
        calling(*chain(graphs.MAX_CALLS + 1)),
        "more than 32 deep",
    ),
    "functions too deep, met from the inside out": (inside_out(100, 30), "more than 32 deep"),
    "functions that double": (doubling(30), r"comes to 1\.\d+e\+09 nodes"),
    "subgraphs too deep": (nested(graphs.MAX_DEPTH + 1), "is 9 subgraphs deep; 8 are allowed"),
    "sparse": (sparse(), "holds a sparse tensor"),
    "training": (trained(), "holds training information"),
    "no outputs": (headless(), "holds no graph with outputs"),
    "axis beyond reason": (model(axis=2**31), "value 'x' has an axis of 2147483648"),
    "axis below zero": (model(axis=-2), "value 'x' has an axis of -2"),
    "long name of an operator": (model([node(LONG)]), "more than 1024 characters"),
    "long name of a value": (model([node("Relu", LONG)]), "more than 1024 characters"),
    "long name of an attribute": (
        model([helper.make_node("Relu", ["x"], ["y"], **{LONG: 1})]),
        "1024",
    ),
    "name of no text": (
        misspelt(model(), "first"),
        "holds a NodeProto with text that is not UTF-8",
    ),
    "axis of no text": (misspelt(model(axis="batch"), "batch"), "that is not UTF-8"),
    "empty file": (b"", "holds no graph"),
    "cut short": (model().SerializeToString()[:-5], "not a readable ONNX file"),
    "text": (b'{"irVersion": "8"}', "not a readable ONNX file"),
    "pickle": (b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c", "not a readable ONNX file"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_graph_is_refused(name: str, tmp_path: Path) -> None:
    made, told = HOSTILE[name]
    with pytest.raises(BundleError, match=told) as caught:
        examine(bundle(tmp_path / "bundle", made))
    assert all(line.startswith(f"{FILE}: ") for line in str(caught.value).split("\n"))


def test_subgraphs_deeper_than_protobuf_reads(tmp_path: Path) -> None:
    """Built as bytes from the inside out: protobuf would not write them either."""
    inner = subgraph(node("Relu")).SerializeToString()
    for _ in range(60):
        attribute = wrapped(1, b"then_branch") + wrapped(6, inner) + b"\xa0\x01\x05"
        inner = wrapped(1, wrapped(4, b"If") + wrapped(5, attribute)) + wrapped(2, b"g")
    with pytest.raises(BundleError, match=r"model\.onnx: "):
        examine(bundle(tmp_path / "bundle", b"\x08\x0a" + wrapped(7, inner)))


def wrapped(tag: int, content: bytes) -> bytes:
    length, size = bytearray(), len(content)
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([tag << 3 | 2, *length, size]) + content


def test_too_many_nodes(tmp_path: Path) -> None:
    chain = [node("Relu", f"t{n}", f"t{n + 1}") for n in range(graphs.MAX_NODES + 1)]
    with pytest.raises(BundleError, match="nodes; 100000 are allowed"):
        examine(bundle(tmp_path / "bundle", model(chain)))


def test_too_many_tensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "MAX_TENSORS", 3)
    made = [array(f"t{n}", 1) for n in range(4)]
    examine(bundle(tmp_path / "three", model(tensors=made[:3])))
    with pytest.raises(BundleError, match="more than 3 tensors"):
        examine(bundle(tmp_path / "four", model(tensors=made)))


@pytest.mark.parametrize(
    "made",
    [
        model([node("Relu", domain="ai.onnx")]),
        model([node("FastGelu", domain="com.microsoft")], domains=["com.microsoft"]),
        model([node("Normalizer", domain="ai.onnx.ml")], domains=["ai.onnx.ml"]),
        model(domains=["ai.onnx.training", "com.microsoft.nchwc"]),  # imported and not used
        nested(graphs.MAX_DEPTH),
        calling(function("F"), function("G", "F", "F", "F")),
        doubling(15),
        calling(*chain(graphs.MAX_CALLS)),
        inside_out(graphs.MAX_CALLS, 1),
        model(axis=0),
    ],
)
def test_an_unusual_graph_is_accepted(made: onnx.ModelProto, tmp_path: Path) -> None:
    examine(bundle(tmp_path / "bundle", made))


def test_what_a_graph_is(tmp_path: Path) -> None:
    nodes = [
        node("Relu", "x", "a"),
        node("MatMul", "a w", "b"),
        node("FastGelu", "b", "c", "com.microsoft"),
        node("Relu", "c", "y"),
    ]
    made = model(nodes, [array("w", 2, 2)], domains=["com.microsoft"])
    made.producer_name, made.producer_version = "someone", "1.2"
    found = examine(bundle(tmp_path / "bundle", made)).graphs[FILE]
    assert found == graphs.GraphSummary(
        ir_version=10,
        producer="someone 1.2",
        opsets={"ai.onnx": 21, "com.microsoft": 1},
        functions=0,
        nodes=4,
        operators={"Relu": 2, "MatMul": 1, "com.microsoft.FastGelu": 1},
        parameters=4,
        inputs={"x": "float[n, 2]"},
        outputs={"y": "float[n, 2]"},
    )
    assert next(iter(found.operators)) == "Relu"
