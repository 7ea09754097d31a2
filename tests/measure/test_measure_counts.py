from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch.utils.flop_counter import FlopCounterMode

from edgepipe.convert import exporter
from edgepipe.errors import BundleError, StageError, UsageError
from edgepipe.graph import store
from edgepipe.graph.quantize_dynamic import DynamicSettings, quantize
from edgepipe.measure import activations
from edgepipe.measure.counts import count, histogram, per_text
from edgepipe.measure.subject import Subject, subject
from edgepipe.runtime.manifest import Graph, Variant
from tests.convert.families import build
from tests.graph import toy_graphs
from tests.graph.toy_graphs import WIDTH, WORDS
from tests.measure.graphs import saved, traced, zeros


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """The encoder of ``toy_graphs``: Gather, two MatMuls, Gemm, norms; int64 and float."""
    return toy_graphs.onnx_model(tmp_path_factory.mktemp("toy") / "model")


def test_a_toy_encoder_by_hand(toy):
    found = count(subject(toy.path), 7)
    assert found.fp32_flops == 2 * 7 * WIDTH * 2 * WIDTH * 2 + 2 * WIDTH * 2
    assert found.int8_ops == 0
    assert found.uncounted == ()
    weights = len(WORDS) * WIDTH + 2 * (WIDTH * 2 * WIDTH) + 2 * WIDTH + 2 * WIDTH + 2 * WIDTH + 2
    assert found.weight_bytes == 4 * weights  # table, two products, bias, gain and shift, head
    narrow, wide = 4 * 7 * WIDTH, 4 * 7 * 2 * WIDTH
    # words embedded hidden biased active back residual normed; kept column; masked; total count
    # mean; logits
    values = 6 * narrow + 3 * wide + 2 * 4 * 7 + 4 * WIDTH + 4 + 4 * WIDTH + 4 * 2
    assert found.activation_bytes == values
    assert found.peak_activation_bytes == narrow + 2 * wide  # embedded waits for its residual
    assert found.operators["MatMul"] == 2
    assert sum(found.operators.values()) == 17


def test_a_quantized_encoder_counts_its_products_apart(toy, tmp_path):
    int8 = toy_graphs.onnx_model(tmp_path / "int8")
    settings = DynamicSettings(embeddings=False)
    quantize(toy.path / "model.onnx", tmp_path / "int8.onnx", settings)
    (tmp_path / "int8.onnx").replace(int8.path / "model.onnx")
    found = count(at(int8.path / "model.onnx", tokens=toy.path / "tokenizer.json"), 7)
    assert found.int8_ops == 2 * 7 * WIDTH * 2 * WIDTH * 2 + 2 * WIDTH * 2
    assert found.fp32_flops == 0
    assert found.operators["MatMulInteger"] == 3


def at(file, tokens, inputs=("input_ids", "attention_mask"), max_length=16):
    graph = Graph(file.name, inputs, ("logits",))
    variant = Variant("one", "fp32", {"model": graph})
    return Subject(file.parent, variant, graph, tokens, max_length)


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bert")
    model = build("bert")
    store.write(exporter.export(model), folder / "model.onnx")
    toy_graphs.write_tokenizer(folder)
    names = exporter.input_names(model)
    return model, at(folder / "model.onnx", folder / "tokenizer.json", names, 24)


@pytest.mark.parametrize("tokens", [2, 24])
def test_an_exported_bert_multiplies_as_torch_counts(bert, tokens):
    model, exported = bert
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(
            input_ids=torch.ones(1, tokens, dtype=torch.int64),
            attention_mask=torch.ones(1, tokens, dtype=torch.int64),
        )
    found = count(exported, tokens)
    assert found.fp32_flops == counter.get_total_flops()
    assert (found.int8_ops, found.uncounted) == (0, ())
    weights = onnx.load(exported.file).graph.initializer
    assert found.weight_bytes == sum(numpy_helper.to_array(w).nbytes for w in weights)


LENGTHS = [3, 3, 24, 17, 9, 10, 11, 2]


def test_the_mean_over_lengths_is_that_of_every_length(bert):
    _, exported = bert
    found = per_text(exported, LENGTHS)
    each = [count(exported, length).fp32_flops for length in LENGTHS]
    assert found.fp32_flops == pytest.approx(np.mean(each), rel=1e-12)
    assert found.int8_ops == 0


def test_few_lengths_are_counted_as_they_are(toy):
    found = per_text(subject(toy.path), [4, 4, 6])
    linear = 2 * WIDTH * 2 * WIDTH * 2
    assert found.fp32_flops == pytest.approx(linear * 14 / 3 + 2 * WIDTH * 2)
    rows = 4 * WIDTH * 14 / 3  # of the embedding table, not all of it
    rest = 4 * (2 * (WIDTH * 2 * WIDTH) + 6 * WIDTH + 2)
    assert found.weight_bytes == round(rows + rest)


def test_what_is_no_quadratic_is_counted_length_by_length(tmp_path):
    """A product over a third axis as long as the text: 2 n³."""
    text = """g (int64[batch, n] input_ids) => (float[n, n, n] logits) {
      f = Cast <to = 1> (input_ids)
      row = Squeeze (f)
      n = Shape <start = 1> (input_ids)
      shape = Concat <axis = 0> (n, n, n)
      cube = Expand (row, shape)
      logits = MatMul (cube, cube)
    }"""
    file = saved(tmp_path / "model.onnx", text)
    toy_graphs.write_tokenizer(tmp_path)
    found = per_text(at(file, tmp_path / "tokenizer.json", ("input_ids",)), [2, 4, 5, 7, 8, 10])
    assert found.fp32_flops == pytest.approx(np.mean([2 * n**4 for n in (2, 4, 5, 7, 8, 10)]))


def test_the_histogram_goes_into_branches_and_functions(tmp_path):
    text = """g (float[4, 4] x, bool b) => (float y) {
      y = If (b) <then_branch = t () => (u) { u = own.Twice (x) },
                  else_branch = e () => (v) { v = com.microsoft.Gelu (x) }>
    }
    <domain: "own", opset_import: ["" : 23]> Twice (x) => (y) { z = MatMul (x, x)
      y = Add (z, z) }"""
    path = saved(tmp_path / "g.onnx", text)
    expected = {"Add": 1, "If": 1, "MatMul": 1, "com.microsoft::Gelu": 1, "own::Twice": 1}
    assert histogram(path) == expected
    assert Counter(expected) == Counter(histogram(path))


def test_a_branch_counts_as_far_as_it_runs(tmp_path):
    """The value of the branch taken lives while its node runs, and once more as the node's own."""
    text = """g (float[4, 4] x, bool b) => (float y) {
      y = If (b) <then_branch = t () => (u) { w = MatMul (x, x)  u = Relu (w) },
                  else_branch = e () => (v) { v = Relu (x) }>
    }"""
    path = saved(tmp_path / "g.onnx", text)
    for taken, flops, values in ((True, 128, 3), (False, 0, 2)):
        found = traced(path, {"x": zeros(4, 4), "b": np.array(taken)})
        sizes = activations.sizes(found, found.runs[0])
        assert activations.total_bytes(found.model.graph, sizes) == 64 * values
        assert activations.peak_bytes(found.model.graph, sizes) == 64 * values
        assert sum(e.operator == "MatMul" for e in found.runs[0]) == bool(flops)


def test_a_loop_counts_each_time_it_runs(tmp_path):
    from edgepipe.measure.counts import multiplied

    text = """g (float[4, 4] x) => (float y) {
      y = Loop (three, yes, x) <body = l (int64 i, bool c, float[4, 4] s) => (bool d, float t) {
        d = Identity (c)
        t = MatMul (s, s)
      }>
    }"""
    weights = {"three": np.array(3, np.int64), "yes": np.array(True)}
    found = traced(saved(tmp_path / "g.onnx", text, weights), {"x": zeros(4, 4)})
    done, _ = multiplied(found, found.runs[0])
    assert done.fp32 == 3 * 128


def test_a_value_is_freed_after_its_last_use(tmp_path):
    """a and b live together, then b and c, d; y is an output and stays."""
    text = """g (float[10] x) => (float y, float d) {
      a = Relu (x)
      b = Concat <axis = 0> (a, x)
      y = Relu (b)
      unused = Relu (b)
      c = Relu (x)
      d = Relu (c)
    }"""
    found = traced(saved(tmp_path / "g.onnx", text), {"x": zeros(10)})
    sizes = activations.sizes(found, found.runs[0])
    assert sizes == {"x": 40, "a": 40, "b": 80, "y": 80, "unused": 80, "c": 40, "d": 40}
    assert activations.total_bytes(found.model.graph, sizes) == 360
    assert activations.peak_bytes(found.model.graph, sizes) == 80 + 80 + 80


def test_weights_in_another_file_are_counted_and_stay_there(toy, tmp_path):
    expected = count(subject(toy.path), 5)
    model = onnx.load(toy.path / "model.onnx")
    onnx.save(
        model, tmp_path / "model.onnx", save_as_external_data=True, location="w.bin",
        size_threshold=0,
    )  # fmt: skip
    assert (tmp_path / "model.onnx").stat().st_size < expected.weight_bytes
    assert count(at(tmp_path / "model.onnx", toy.path / "tokenizer.json"), 5) == expected
    (tmp_path / "w.bin").unlink()
    with pytest.raises(StageError, match=r"cannot load .*model\.onnx"):
        count(at(tmp_path / "model.onnx", toy.path / "tokenizer.json"), 5)


def test_names_that_clash_or_are_missing_do_not_matter(toy, tmp_path):
    model = onnx.load(toy.path / "model.onnx")
    for place, node in enumerate(model.graph.node):
        node.name = "edgepipe3_" if place % 2 else ""
    onnx.save(model, tmp_path / "model.onnx")
    found = count(at(tmp_path / "model.onnx", toy.path / "tokenizer.json"), 5)
    assert found == count(subject(toy.path), 5)


def test_half_precision_is_counted_though_the_cpu_computes_it_in_floats(tmp_path):
    text = "g (float16[3, 4] x) => (float16 y) { y = MatMul (x, w) }"
    path = saved(tmp_path / "g.onnx", text, {"w": zeros(4, 5, kind="float16")})
    from tests.measure.graphs import multiplies

    done, unknown = multiplies(path, {"x": zeros(3, 4, kind="float16")})
    assert (done.fp32, unknown) == (120, ())


def damaged(file, kind):
    whole = file.read_bytes()
    if kind == "cut":
        file.write_bytes(whole[: len(whole) // 2])
    elif kind == "empty":
        file.write_bytes(b"")
    elif kind == "noise":
        file.write_bytes(np.random.default_rng(0).bytes(5000))
    else:
        model = onnx.load(file)
        model.graph.node[3].op_type, model.graph.node[3].domain = kind
        model.opset_import.append(onnx.helper.make_opsetid("nobody.knows", 1))
        onnx.save(model, file)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("cut", "cut short|cannot load"),
        ("empty", "holds no graph"),
        ("noise", "not a readable ONNX file"),
        (("Multiply", "nobody.knows"), "cannot load .*Multiply"),
        (("Nonsense", ""), "cannot load .*Nonsense"),
    ],
    ids=["cut", "empty", "noise", "a domain", "an operator"],
)
def test_a_graph_that_cannot_be_run_is_one_error(tmp_path, kind, said):
    model = toy_graphs.onnx_model(tmp_path / "model")
    damaged(model.path / "model.onnx", kind)
    with pytest.raises(StageError, match=said):
        count(at(model.path / "model.onnx", model.path / "tokenizer.json"), 5)


def test_a_graph_that_fails_on_its_input_is_one_error(tmp_path):
    text = """g (int64[batch, n] input_ids) => (int64 logits) {
      logits = Gather <axis = 0> (table, input_ids) }"""
    file = saved(tmp_path / "model.onnx", text, {"table": zeros(1, kind="int64")})
    toy_graphs.write_tokenizer(tmp_path)
    with pytest.raises(StageError, match=r"failed on inputs of shapes .*\(1, 5\)"):
        count(at(file, tmp_path / "tokenizer.json", ("input_ids",)), 5)


def test_tokens_are_those_of_a_real_text(toy):
    asked = subject(toy.path)
    ids = asked.feed(6)["input_ids"]
    assert ids.shape == (1, 6)
    a = WORDS.index("a")
    assert ids.tolist() == [[1, a, a, a, a, 2]]
    assert asked.feed(6)["attention_mask"].tolist() == [[1] * 6]
    assert asked.text(6).split() == ["a"] * 4


@pytest.mark.parametrize("tokens", [0, 17])
def test_more_tokens_than_the_model_takes_are_refused(toy, tokens):
    with pytest.raises(UsageError, match=f"takes 1 to 16 tokens, not {tokens}"):
        count(subject(toy.path), tokens)


def test_a_variant_is_found_by_name_or_precision(toy):
    assert subject(toy.path, "fp32") == subject(toy.path)
    with pytest.raises(UsageError, match="no variant 'int8'; it has fp32"):
        subject(toy.path, "int8")
    with pytest.raises(UsageError, match="there is no bundle"):
        subject(toy.path / "nowhere")


def test_an_input_that_is_no_input_of_texts_is_refused(toy):
    with pytest.raises(BundleError, match="pixels, which is no input of texts"):
        count(at(toy.path / "model.onnx", toy.path / "tokenizer.json", ("pixels",)), 4)
