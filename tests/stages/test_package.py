from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgepipe import runtime
from edgepipe.artifacts import Bundle, OnnxModel, Report
from edgepipe.errors import StageError
from edgepipe.measure.records import REPORT
from edgepipe.stage import Work
from edgepipe.stages.package import Inputs, Package, _rounded_up
from tests.bundle.variants import runnable
from tests.pipeline.measured import validation
from tests.runtime.tiny_onnx import Tiny

GOLDEN = ("good film", "bad plot the film", "very good")


def package(
    tmp_path: Path, variants: dict[str, OnnxModel], validation: Report | None = None
) -> Bundle:
    into = tmp_path / "into"
    into.mkdir()
    given = Inputs(variants=variants, validation=validation)
    return Package()(given, into, Work(path=tmp_path, name="reviews"))


def manifest(made: Bundle) -> dict:
    return json.loads((made.path / "edgepipe.json").read_text())


def report(folder: Path, model: OnnxModel, name: str) -> Report:
    found = validation(1, 0, names=("the reference", name))
    (arm,) = found.candidates
    arm = arm.model_copy(update={"digest": model.digest})
    found.model_copy(update={"candidates": (arm,)}).write(folder / REPORT)
    return Report(path=folder, content="validation").commit()


def test_a_bundle_runs_and_keeps_its_golden_answers(tmp_path: Path) -> None:
    tiny = Tiny()
    made = package(tmp_path, {"fp32": runnable(tmp_path / "m", tiny, golden=GOLDEN)})
    assert (made.name, made.variants) == ("reviews", ("fp32",))
    with runtime.load(made.path) as model:
        found = model.logits(list(GOLDEN), exact=True)
    np.testing.assert_allclose(found, [tiny.logits(text) for text in GOLDEN], atol=1e-4)
    assert set(manifest(made)["tools"]) == {"edgepipe", "onnx", "onnxruntime", "tokenizers"}


def test_a_tolerance_is_twice_what_a_variant_is_off(tmp_path: Path) -> None:
    """The int8 variant has other weights than the golden answers come from."""
    exact, other = Tiny(), Tiny()
    object.__setattr__(other, "head", exact.head * np.float32(1.01))
    models = {
        "exact": runnable(tmp_path / "a", exact, "fp32", GOLDEN),
        "int8": runnable(tmp_path / "b", other, "int8", GOLDEN),
    }
    first, second = manifest(package(tmp_path, models))["variants"]
    off = max(np.abs(other.logits(text) - exact.logits(text)).max() for text in GOLDEN)
    assert first["tolerance"] == 0.001
    assert 2 * off <= second["tolerance"] * (1 + 1e-5)
    assert second["tolerance"] == pytest.approx(2 * off, rel=0.1)


def test_a_variant_that_answers_no_number_is_refused(tmp_path: Path) -> None:
    tiny = Tiny()
    made = runnable(tmp_path / "m", tiny, golden=GOLDEN)
    tiny.head[0, 0] = np.nan
    (made.path / "model.onnx").write_bytes(tiny.onnx())
    with pytest.raises(StageError, match=r"NaN or infinity|not finite"):
        package(tmp_path, {"fp32": made})


def test_accuracy_is_that_of_exactly_this_model(tmp_path: Path) -> None:
    model = runnable(tmp_path / "m", Tiny())
    other = runnable(tmp_path / "other", Tiny(seed=1))
    (tmp_path / "r").mkdir()
    measured = report(tmp_path / "r", model, "small")
    (variant,) = manifest(package(tmp_path, {"small": model}, measured))["variants"]
    assert variant["accuracy"]["examples"] == 2000
    (tmp_path / "again").mkdir()
    (variant,) = manifest(package(tmp_path / "again", {"small": other}, measured))["variants"]
    assert variant["accuracy"] is None


def test_a_benchmark_is_no_validation(tmp_path: Path) -> None:
    model = runnable(tmp_path / "m", Tiny())
    timed = Report(path=tmp_path, content="benchmark")
    with pytest.raises(StageError, match="validation reads a benchmark; wire a validate step"):
        package(tmp_path, {"fp32": model}, timed)


@pytest.mark.parametrize(
    ("value", "rounded"),
    [(0.0, 0.0), (0.0123, 0.013), (0.012, 0.012), (1.0, 1.0), (0.999, 1.0), (123.4, 130.0)],
)
def test_rounding_up_to_two_digits(value: float, rounded: float) -> None:
    assert _rounded_up(value) == pytest.approx(rounded)
