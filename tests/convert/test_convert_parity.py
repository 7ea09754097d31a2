"""Parity has to fail on every graph that is wrong, or it proves nothing."""

from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from edgepipe.convert import exporter, golden, parity
from edgepipe.convert.feeds import feeds
from edgepipe.errors import StageError
from tests.convert.families import MAX_LENGTH, token_rows


@pytest.fixture
def batches(bert):
    names = exporter.input_names(bert[0])
    return feeds(token_rows(), names, pad=0, max_length=MAX_LENGTH)


def altered(path, tmp_path, change):
    model = onnx.load(path)
    change(model.graph)
    onnx.save(model, tmp_path / "wrong.onnx")
    return tmp_path / "wrong.onnx"


def ignore_mask(graph):
    """The mask stays an input, and a tensor of ones takes its place."""
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name == "attention_mask":
                node.input[place] = "ones"
    one = onnx.helper.make_tensor("one", onnx.TensorProto.INT64, [1], [1])
    shape = onnx.helper.make_node("Shape", ["input_ids"], ["ids_shape"])
    ones = onnx.helper.make_node("ConstantOfShape", ["ids_shape"], ["ones"], value=one)
    graph.node.insert(0, ones)
    graph.node.insert(0, shape)


def shift_weight(graph):
    weight = next(i for i in graph.initializer if i.name.endswith("classifier.weight"))
    array = numpy_helper.to_array(weight) * np.float32(1.01)
    weight.CopyFrom(numpy_helper.from_array(array, weight.name))


def not_a_number(graph):
    weight = next(i for i in graph.initializer if i.name.endswith("classifier.weight"))
    array = np.full_like(numpy_helper.to_array(weight), np.nan)
    weight.CopyFrom(numpy_helper.from_array(array, weight.name))


def swap_segments(graph):
    """Every text is read as the second segment."""
    table = next(i for i in graph.initializer if "token_type_embeddings" in i.name)
    array = numpy_helper.to_array(table)[::-1]
    table.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array), table.name))


@pytest.mark.parametrize("change", [ignore_mask, shift_weight, not_a_number, swap_segments])
def test_a_wrong_graph_fails_with_figure_and_place(bert, batches, tmp_path, change):
    model, path = bert
    with pytest.raises(StageError, match=r"differs from torch by .*\d+x\d+ .*optimizations"):
        parity.prove(altered(path, tmp_path, change), model, batches)


def test_a_lost_mask_fails_where_it_is_lost(bert, batches, tmp_path):
    model, path = bert
    with pytest.raises(StageError, match=r"padded (left|right)"):
        parity.prove(altered(path, tmp_path, ignore_mask), model, batches)


def test_a_lost_mask_fails_at_any_tolerance(bert, batches, tmp_path):
    model, path = bert
    with pytest.raises(StageError, match="the mask is not kept"):
        parity.prove(altered(path, tmp_path, ignore_mask), model, batches, tolerance=1e3)


def test_an_impossible_tolerance_fails(bert, batches):
    model, path = bert
    with pytest.raises(StageError, match="allowed is 1e-12 of it"):
        parity.prove(path, model, batches, tolerance=1e-12)


def test_without_padding_nothing_is_proven(bert, batches):
    model, path = bert
    unpadded = [feed for feed in batches if not feed.padded]
    with pytest.raises(StageError, match="needs a padded batch"):
        parity.prove(path, model, unpadded)


class Indifferent(torch.nn.Module):
    """Answers by the first token and never looks at the mask."""

    def forward(self, input_ids, **_):
        first = input_ids[:, :1].float() / 60
        return SimpleNamespace(logits=torch.cat([first, -first], 1))


FIRST_ID = """<ir_version: 10, opset_import: ["" : 20]>
g (int64[batch, sequence] input_ids, int64[batch, sequence] attention_mask)
  => (float[batch, 2] logits)
{ zero = Constant <value_ints = [0]> ()   first = Gather <axis = 1> (input_ids, zero)
  value = Cast <to = 1> (first)           size = Constant <value_float = 60.0> ()
  logit = Div (value, size)               minus = Neg (logit)
  logits = Concat <axis = 1> (logit, minus) }"""


def test_a_model_that_ignores_its_mask_proves_nothing(tmp_path):
    onnx.save(onnx.parser.parse_model(FIRST_ID), tmp_path / "first.onnx")
    names = ("input_ids", "attention_mask")
    right = [
        feed
        for feed in feeds(token_rows(), names, pad=0, max_length=MAX_LENGTH)
        if "left" not in feed.name
    ]
    with pytest.raises(StageError, match="no test can tell whether the export keeps the mask"):
        parity.prove(tmp_path / "first.onnx", Indifferent(), right)


def test_other_shapes_and_silent_models_are_refused(bert, batches):
    _, path = bert
    for logits, message in (
        (torch.ones(1, 3), r"gives \(1, 2\) where torch gives \(1, 3\)"),
        (torch.zeros(1, 2), "nothing can be compared"),
        (torch.full((1, 2), torch.nan), "nothing can be compared"),
    ):
        with pytest.raises(StageError, match=message):
            parity.prove(path, lambda x=logits, **_: SimpleNamespace(logits=x), batches)


def test_feeds_cover_shapes_and_both_sides(batches):
    names = [feed.name for feed in batches]
    assert names == [
        "1x1 one token", f"1x{len(token_rows()[0])} one text", f"1x{MAX_LENGTH} full length",
        *(name for name in names[3:6]), *(name for name in names[6:]),
    ]  # fmt: skip
    shapes = [feed.inputs["input_ids"].shape for feed in batches]
    assert (2, 7) not in shapes  # the traced one proves nothing
    assert {rows for rows, _ in shapes} == {1, 3, 5}
    assert [feed.padded for feed in batches] == [False] * 4 + [True] * 4
    for feed in batches[4:]:
        mask = feed.inputs["attention_mask"]
        side = 0 if "left" in feed.name else -1
        assert mask[0].all()
        assert not mask[1:, side].any()
        assert len(set(mask.sum(1))) == len(mask)  # each row its own length
        assert (feed.inputs["input_ids"][mask == 0] == 0).all()


def test_few_short_rows_still_give_every_feed():
    made = feeds([np.array([7])], ("input_ids", "attention_mask"), pad=0, max_length=4)
    assert [feed.padded for feed in made] == [False] * 4 + [True] * 4


def test_golden_logits_are_torchs_as_short_float32(bert):
    model, _ = bert
    rows = token_rows(2)
    found = golden.answers(model, rows, exporter.input_names(model))
    for row, logits in zip(rows, found, strict=True):
        with torch.inference_mode():
            expected = model(input_ids=torch.from_numpy(row[None])).logits[0].numpy()
        np.testing.assert_allclose(np.array(logits, np.float32), expected, atol=1e-6)
        assert all(len(repr(value)) <= 12 for value in logits)


def test_notes_keep_three_digits():
    figures = parity.Parity(checks=1, worst=1.23456e-7, where="x", scale=2.0, mask_effect=0.98765)
    assert figures.notes() == {
        "checks": 1, "worst": 1.23e-7, "where": "x", "scale": 2.0, "mask_effect": 0.988,
    }  # fmt: skip
