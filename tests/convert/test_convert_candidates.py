from dataclasses import replace

import numpy as np
import onnx
import pytest

from edgepipe.artifacts import SessionSettings
from edgepipe.convert.candidates import Candidate, Judge, answers, build
from edgepipe.convert.folders import copy_beside, copy_graphs
from edgepipe.convert.fusions import transforms
from edgepipe.errors import StageError
from edgepipe.graph import store
from edgepipe.graph.transforms import Refused, Rewritten
from edgepipe.runtime import load
from tests.graph.toy_graphs import encoder, graph_ops, onnx_model, run, saved, texts
from tests.graph.toy_graphs import feed as toy_feed


@pytest.fixture
def model(tmp_path):
    return onnx_model(tmp_path / "model")


@pytest.fixture
def judge(model):
    sample = texts(12)
    expected = answers(model.path, sample, "cpu")
    return Judge(texts=sample, expected=expected, device="cpu", tolerance=1e-4)


@pytest.mark.parametrize("form", ["int8", "fp32"])
@pytest.mark.parametrize("name", ["none", "sum", "no-skip-layer-norm", "ort-fusions"])
def test_a_candidate_answers_alike_and_loads(model, judge, tmp_path, name, form):
    built = build(model, transforms("cpu")[name], tmp_path / "built", form, judge)
    assert isinstance(built, Candidate)
    assert built.notes["error"] <= 1e-5
    ops = graph_ops(onnx.load(built.timed / "model.onnx"))
    assert ("MatMulInteger" in ops) == (form == "int8")
    assert "MatMulInteger" not in graph_ops(onnx.load(built.model.path / "model.onnx"))
    with load(built.timed) as classifier:
        np.testing.assert_allclose(classifier.logits(judge.texts), judge.expected, atol=0.1)


def test_session_settings_add_up(model, judge, tmp_path):
    graph = model.graphs["model"].model_copy(
        update={"session": SessionSettings(disabled_optimizers=("GeluFusion",))}
    )
    model = model.model_copy(update={"graphs": {"model": graph}})
    made = transforms("cpu")["no-skip-layer-norm"]
    built = build(model, made, tmp_path / "built", "fp32", judge)
    disabled = built.model.graphs["model"].session.disabled_optimizers
    assert disabled == ("GeluFusion", "SkipLayerNormFusion")


def other_weights(source):
    other = saved(encoder(seed=1), source.with_name("other.onnx"))
    return Rewritten(graph=store.read(other), matched=1)


def broken(source):
    raise StageError(f"{source.name} is beyond me")


def nothing(source):
    return Refused("no pattern matched")


@pytest.mark.parametrize(
    ("transform", "reason"),
    [
        (other_weights, "answers differ by"),
        (broken, "model.onnx is beyond me"),
        (nothing, "no pattern matched"),
    ],
)
def test_what_is_wrong_is_dropped_with_the_reason(model, judge, tmp_path, transform, reason):
    made = build(model, transform, tmp_path / "built", "fp32", judge)
    assert isinstance(made, Refused)
    assert reason in made.reason


def test_an_answer_that_is_no_number_is_dropped(model, judge, tmp_path):
    judge = replace(judge, expected=judge.expected * np.float32(np.nan))
    made = build(model, transforms("cpu")["none"], tmp_path / "built", "fp32", judge)
    assert isinstance(made, Refused)


def test_reasons_name_no_scratch_folder(model, judge, tmp_path):
    def invalid(source):
        graph = store.read(source)
        graph.graph.node(0).op_type = "NoSuchOperator"
        return Rewritten(graph=graph, matched=1)

    made = build(model, invalid, tmp_path / "built", "fp32", judge)
    assert made.reason.startswith("fp32/model.onnx is not a valid ONNX graph")
    assert str(tmp_path) not in made.reason


def test_fusions_say_what_they_matched(tmp_path):
    source = saved(encoder(), tmp_path / "m.onnx")
    made = transforms("cpu")["ort-fusions"](source)
    own = [node.op_type for node in made.graph.graph if node.domain == "com.microsoft"]
    assert made.matched == len(own) > 0
    store.write(made.graph, tmp_path / "fused.onnx")
    onnx.checker.check_model(str(tmp_path / "fused.onnx"))
    given = toy_feed()
    np.testing.assert_allclose(run(tmp_path / "fused.onnx", given), run(source, given), atol=1e-5)


def test_fusions_for_cuda_are_others():
    assert transforms("cuda")["ort-fusions"].keywords == {"target": "cuda"}


def test_a_folder_is_copied_in_two_parts(model, tmp_path):
    store.write(store.read(model.path / "model.onnx"), model.path / "model.onnx", limit=0)
    copy_beside(model, tmp_path / "copy")
    names = sorted(path.name for path in (tmp_path / "copy").iterdir())
    assert names == ["golden.jsonl", "tokenizer.json"]
    copy_graphs(model, tmp_path / "copy")
    assert {"model.onnx", "model.onnx_data"} < {p.name for p in (tmp_path / "copy").iterdir()}
