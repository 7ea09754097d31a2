import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgepipe.measure.weights import weight_bytes


def model(*nodes, initializers=()):
    graph = helper.make_graph(nodes, "g", [], [], initializers)
    return helper.make_model(graph)


def constant(values: np.ndarray, name: str = "c"):
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(values))


@pytest.mark.parametrize(
    ("values", "counted"),
    [
        (np.zeros((20, 30), np.float32), 2400),
        (np.zeros(1001, np.int8), 1001),
        (np.zeros(1000, np.int8), 0),
        (np.zeros(3, np.int64), 0),
    ],
)
def test_large_constants_are_weights_and_small_ones_settings(values, counted):
    held = numpy_helper.from_array(np.zeros(5, np.float32), "w")
    assert weight_bytes(model(constant(values), initializers=[held])) == counted + 20


def test_constants_in_subgraphs_and_as_lists_count():
    branch = helper.make_graph([constant(np.zeros(500, np.float32))], "b", [], [])
    choice = helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)
    listed = helper.make_node("Constant", [], ["l"], value_floats=[0.5] * 300)
    whole = helper.make_node("Constant", [], ["i"], value_ints=[5] * 200)
    assert weight_bytes(model(choice, listed, whole)) == 2 * 2000 + 1200 + 1600


def test_a_sparse_constant_counts_what_it_holds():
    values = helper.make_tensor("v", TensorProto.FLOAT, [200], [1.0] * 200)
    where = helper.make_tensor("i", TensorProto.INT64, [200], range(200))
    sparse = helper.make_sparse_tensor(values, where, [10_000])
    node = helper.make_node("Constant", [], ["s"], sparse_value=sparse)
    assert weight_bytes(model(node)) == 200 * (4 + 8)
