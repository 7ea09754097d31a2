"""The child that finds out what a core gives: ``python -m edgepipe.measure.worker_peaks``.

It speaks the protocol of ``edgepipe.worker``; a "text" is the name of one of ``KERNELS``, and its
answer takes as long as that kernel.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from edgepipe.worker import serve

if TYPE_CHECKING:
    import onnx

FP32, INT8, READ = "fp32", "int8", "read"
KERNELS = (FP32, INT8, READ)
SHAPE = (384, 768, 3072)
"""Rows, inner size and columns of the products: those of BERT's widest, and the fastest of six
shapes tried that take a few milliseconds."""
OPERATIONS = 2 * SHAPE[0] * SHAPE[1] * SHAPE[2]
_OPSET = 20
_IR_VERSION = 10


class Peaks:
    """Kernels by name: products by onnxruntime, and a pass over a buffer."""

    def __init__(self, threads: int, buffer_bytes: int) -> None:
        self._kernels: dict[str, Callable[[], object]] = {
            FP32: _product("MatMul", threads),
            INT8: _product("MatMulInteger", threads),
            READ: _reading(buffer_bytes),
        }

    def one(self, text: str) -> object:
        """Runs the kernel called ``text``."""
        return self._kernels[text]()

    def many(self, texts: Sequence[str]) -> object:
        """Runs all of them, one after the other."""
        return [self.one(text) for text in texts]


def _product(operator: str, threads: int) -> Callable[[], object]:
    """A product with a constant matrix, as a model's weights are one: packed before it runs."""
    import numpy as np

    from edgepipe.runtime.session import onnxruntime

    ort = onnxruntime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    graph = _graph(operator).SerializeToString()
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    kind = np.float32 if operator == "MatMul" else np.uint8
    feed = {"x": np.ones(SHAPE[:2], kind)}
    return lambda: session.run(None, feed)


def _graph(operator: str) -> onnx.ModelProto:
    """``y = x @ w``: floats, or unsigned activations and signed weights as bundles have them."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    rows, inner, columns = SHAPE
    weight: Any = np.random.default_rng(0).integers(-127, 128, (inner, columns))
    integer = operator == "MatMulInteger"
    weight = weight.astype(np.int8 if integer else np.float32)
    takes = TensorProto.UINT8 if integer else TensorProto.FLOAT
    gives = TensorProto.INT32 if integer else TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node(operator, ["x", "w"], ["y"])],
        "peak",
        [helper.make_tensor_value_info("x", takes, [rows, inner])],
        [helper.make_tensor_value_info("y", gives, [rows, columns])],
        [numpy_helper.from_array(weight, "w")],
    )
    opsets = [helper.make_opsetid("", _OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)


def _reading(size: int) -> Callable[[], object]:
    """The largest of ``size`` bytes of float32: one load and next to no arithmetic a value."""
    import numpy as np

    return np.ones(size // 4, np.float32).max


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve the kernels until the parent has done with them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--buffer", type=int, required=True, help="bytes that are read")
    given = parser.parse_args(arguments)
    return serve(lambda: Peaks(given.threads, given.buffer), stdin=sys.stdin, stdout=sys.stdout)


if __name__ == "__main__":
    raise SystemExit(main())
