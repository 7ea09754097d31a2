import numpy as np
import onnx
import pytest

from edgepipe.errors import StageError
from edgepipe.graph import store
from edgepipe.graph.transforms import (
    SKIP_LAYER_NORM,
    TRANSFORMS,
    Refused,
    changes,
    no_skip_layer_norm,
    ort_optimizer,
    sum_before_layer_norm,
    unchanged,
)
from tests.graph.toy_graphs import (
    encoder,
    feed,
    graph_ops,
    product,
    run,
    saved,
    session_ops,
)

BEFORE = [
    "Gather", "LayerNormalization", "MatMul", "Add", "Gelu", "MatMul", "Add",
    "LayerNormalization", "Cast", "Constant", "Unsqueeze", "Mul", "Constant", "ReduceSum",
    "ReduceSum", "Div", "Gemm",
]  # fmt: skip


@pytest.fixture
def source(tmp_path):
    return saved(encoder(), tmp_path / "source.onnx")


def test_none_changes_nothing(source):
    made = unchanged(source)
    assert (made.matched, graph_ops(made.graph)) == (0, BEFORE)
    assert changes(source, made.graph) == {}


def test_sum_replaces_the_residual_add_and_no_bias(source, tmp_path):
    made = sum_before_layer_norm(source)
    expected = [*BEFORE]
    expected[6] = "Sum"
    assert graph_ops(made.graph) == expected
    assert made.matched == 1
    assert changes(source, made.graph) == {"Add": (2, 1), "Sum": (0, 1)}
    path = tmp_path / "made.onnx"
    store.write(made.graph, path)
    onnx.checker.check_model(str(path), full_check=True)
    given = feed()
    np.testing.assert_array_equal(run(path, given), run(source, given))


def test_sum_keeps_a_plain_session_from_the_slow_fusion(source, tmp_path):
    path = tmp_path / "made.onnx"
    store.write(sum_before_layer_norm(source).graph, path)
    assert "SkipLayerNormalization" in session_ops(source)
    assert "SkipLayerNormalization" not in session_ops(path)


def test_a_bias_before_the_norm_is_no_residual(tmp_path):
    model = encoder()
    model.graph.node[6].input[1] = "bias32"
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(32, np.float32), "bias32"))
    made = sum_before_layer_norm(saved(model, tmp_path / "m.onnx"))
    assert made == Refused("no LayerNormalization is fed by an Add of two computed tensors")


def test_an_add_that_feeds_two_norms_counts_once(tmp_path):
    model = encoder()
    extra = onnx.helper.make_node("LayerNormalization", ["residual", "gain"], ["twin"], axis=-1)
    model.graph.node.insert(8, extra)
    model.graph.node[12].input[0] = "twin"
    path = saved(model, tmp_path / "m.onnx")
    assert sum_before_layer_norm(path).matched == 1


def test_no_skip_layer_norm_is_a_session_setting(source):
    made = no_skip_layer_norm(source)
    assert graph_ops(made.graph) == BEFORE
    assert made.matched == 1
    assert made.session.disabled_optimizers == (SKIP_LAYER_NORM,)
    assert "SkipLayerNormalization" not in session_ops(source, made.session.disabled_optimizers)


def test_ort_optimizer_fuses_and_keeps_the_answers(source, tmp_path):
    made = ort_optimizer(source)
    assert "BiasGelu" in graph_ops(made.graph)
    assert made.matched == sum(n.domain == "com.microsoft" for n in made.graph.graph)
    path = tmp_path / "made.onnx"
    store.write(made.graph, path)
    onnx.checker.check_model(str(path))
    given = feed()
    np.testing.assert_allclose(run(path, given), run(source, given), atol=1e-5)


@pytest.mark.parametrize("name", ["sum", "no-skip-layer-norm", "ort-optimizer"])
def test_what_matches_nothing_is_refused_with_a_reason(name, tmp_path):
    path = saved(product(np.ones((4, 4), np.float32)), tmp_path / "m.onnx")
    made = TRANSFORMS[name](path)
    assert isinstance(made, Refused)
    assert made.reason


def test_what_cannot_be_read_is_an_error(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"nothing")
    for transform in TRANSFORMS.values():
        with pytest.raises(StageError):
            transform(tmp_path / "m.onnx")


def test_transforms_are_silent(source, capfd, caplog):
    for transform in TRANSFORMS.values():
        transform(source)
    assert capfd.readouterr() == ("", "")
    assert not caplog.records
