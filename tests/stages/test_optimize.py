from pathlib import Path

import numpy as np
import onnx
import pytest
from pydantic import ValidationError

from edgepipe.artifacts import OnnxModel
from edgepipe.convert import fusions
from edgepipe.errors import StageError
from edgepipe.graph import store, transforms
from edgepipe.graph.transforms import Rewritten
from edgepipe.measure import latency
from edgepipe.runtime import load
from edgepipe.stage import Work
from edgepipe.stages.optimize import Inputs, Optimize
from tests.graph.toy_graphs import dataset, encoder, graph_ops, onnx_model, saved, texts


class Clock:
    """Stands in for the timing: the arm named last wins unless another one is set."""

    def __init__(self, winner=None):
        self.winner = winner
        self.calls = []

    def __call__(self, arms, given, *, threads, seed, device):
        names = [arm.name for arm in arms]
        ops = {arm.name: graph_ops(onnx.load(folder(arm) / "model.onnx")) for arm in arms}
        self.calls.append((names, given, threads, seed, device, ops))
        figures = {name: {"ms": 1.0, "relative": 1.0} for name in names}
        return latency.Choice(self.winner or names[-1], figures)


def folder(arm):
    return Path(arm.command[arm.command.index("--model") + 1])


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(latency, "fastest", made)
    return made


@pytest.fixture
def inputs(tmp_path):
    models = {name: onnx_model(tmp_path / name) for name in ("eager", "sdpa")}
    return Inputs(models=models, data=dataset(tmp_path / "data"))


def optimized(inputs, tmp_path, **settings):
    (tmp_path / "into").mkdir()
    work = Work(path=tmp_path / "work", seed=3, threads=1)
    return Optimize(**settings)(inputs, tmp_path / "into", work)


def test_models_times_transforms_are_timed_in_order(inputs, tmp_path, clock):
    optimized(inputs, tmp_path, candidates=("sum", "none"), texts=40)
    ((names, given, threads, seed, device, ops),) = clock.calls
    assert names == ["eager/sum", "eager/none", "sdpa/sum", "sdpa/none"]
    assert len(given) == 40
    assert set(given) <= set(texts())
    assert (threads, seed, device) == (1, 3, "cpu")
    assert all("MatMulInteger" in found for found in ops.values())
    assert ["Sum" in found for found in ops.values()] == [True, False, True, False]


def test_candidates_can_be_timed_in_float(inputs, tmp_path, clock):
    optimized(inputs, tmp_path, candidates=("sum", "none"), timed_as="fp32")
    assert not any("MatMulInteger" in found for found in clock.calls[0][-1].values())


def test_the_fastest_is_kept_in_float_with_the_whole_table(inputs, tmp_path, clock):
    clock.winner = "eager/sum"
    made = optimized(inputs, tmp_path)
    assert OnnxModel.read(made.path) == made
    assert made.precision == "fp32"
    assert "Sum" in graph_ops(onnx.load(made.path / "model.onnx"))
    notes = made.notes["optimize"]
    assert (notes["chosen"], notes["timed_as"]) == ("eager/sum", "int8")
    figures = dict(notes["candidates"]["eager/sum"])
    assert figures.pop("error") < 1e-6
    operators = {"Add": [2, 1], "Sum": [0, 1]}
    assert figures == {"matched": 1, "operators": operators, "ms": 1.0, "relative": 1.0}
    assert len(notes["candidates"]) + len(notes["dropped"]) == 10
    assert made.notes["made"] == "by hand"
    with load(made.path) as after, load(inputs.models["eager"].path) as before:
        np.testing.assert_allclose(after.logits(texts(9)), before.logits(texts(9)), atol=1e-5)
    assert not list((tmp_path / "work").iterdir())


def test_a_session_setting_is_kept(inputs, tmp_path, clock):
    clock.winner = "sdpa/no-skip-layer-norm"
    made = optimized(inputs, tmp_path)
    assert made.graphs["model"].session.disabled_optimizers == ("SkipLayerNormFusion",)
    source = inputs.models["sdpa"].path / "model.onnx"
    assert graph_ops(onnx.load(made.path / "model.onnx")) == graph_ops(onnx.load(source))


def test_what_answers_otherwise_or_fails_is_dropped(inputs, tmp_path, clock, monkeypatch):
    other = saved(encoder(seed=9), tmp_path / "other.onnx")
    wrong = {
        "sum": lambda _: Rewritten(graph=store.read(other), matched=1),
        "ort-optimizer": lambda _: (_ for _ in ()).throw(StageError("it broke")),
    }
    monkeypatch.setattr(fusions, "TRANSFORMS", {**transforms.TRANSFORMS, **wrong})
    made = optimized(inputs, tmp_path, candidates=("sum", "none", "ort-optimizer"))
    assert clock.calls[0][0] == ["eager/none", "sdpa/none"]
    dropped = made.notes["optimize"]["dropped"]
    assert "answers differ by" in dropped["eager/sum"]
    assert dropped["sdpa/ort-optimizer"] == "it broke"


def test_a_second_export_with_other_answers_is_dropped(tmp_path, clock):
    models = {
        "one": onnx_model(tmp_path / "one"),
        "two": onnx_model(tmp_path / "two", encoder(seed=1)),
    }
    inputs = Inputs(models=models, data=dataset(tmp_path / "data"))
    made = optimized(inputs, tmp_path, candidates=("none",))
    assert "answers differ by" in made.notes["optimize"]["dropped"]["two/none"]
    assert made.notes["optimize"]["chosen"] == "one/none"
    assert clock.calls == []


def test_a_single_candidate_is_not_timed(inputs, tmp_path, clock):
    inputs = Inputs(models={"eager": inputs.models["eager"]}, data=inputs.data)
    made = optimized(inputs, tmp_path, candidates=("sum",))
    assert made.notes["optimize"]["chosen"] == "eager/sum"
    assert clock.calls == []


def test_nothing_left_is_an_error_with_every_reason(inputs, tmp_path, clock, monkeypatch):
    broken = {"sum": lambda _: (_ for _ in ()).throw(StageError("it broke"))}
    monkeypatch.setattr(fusions, "TRANSFORMS", broken)
    with pytest.raises(StageError, match="no candidate is left: eager/sum: it broke; sdpa/sum"):
        optimized(inputs, tmp_path, candidates=("sum",))


def test_only_float_models_with_the_same_labels_are_taken(inputs):
    eager, sdpa = inputs.models.values()
    for other, message in (
        (sdpa.model_copy(update={"precision": "int8"}), "second is int8 .* before quantize"),
        (sdpa.model_copy(update={"labels": ("x", "y")}), "second has labels"),
    ):
        mixed = Inputs(models={"first": eager, "second": other}, data=inputs.data)
        with pytest.raises(StageError, match=message):
            Optimize().requires(mixed)
    with pytest.raises(StageError, match="at least one"):
        Optimize().requires(Inputs(models={}, data=inputs.data))


def test_int8_is_timed_on_the_cpu_even_in_a_run_on_cuda(tmp_path):
    work = Work(path=tmp_path, device="cuda")
    assert Optimize()._device(work) == "cpu"
    assert Optimize(timed_as="fp32")._device(work) == "cuda"


@pytest.mark.parametrize("settings", [{"candidates": ()}, {"candidates": ("magic",)}])
def test_settings_are_bounded(settings):
    with pytest.raises(ValidationError):
        Optimize(**settings)
