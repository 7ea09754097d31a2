from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgepipe import disk, runtime
from edgepipe.artifacts import Bundle, OnnxModel, Report
from edgepipe.bundle.manifest import describe
from edgepipe.errors import BundleError, DeviceError, StageError
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
    tools = {"edgepipe", "huggingface-hub", "onnx", "onnxruntime", "tokenizers"}
    assert set(manifest(made)["tools"]) == tools


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


def test_fp16_is_for_gpus_and_its_tolerance_allows_for_one(tmp_path: Path) -> None:
    """It is measured where it came from: the bundle would not load it on a CPU."""
    fp32 = runnable(tmp_path / "a", Tiny(), "fp32", GOLDEN)
    fp16 = runnable(tmp_path / "b", Tiny(), "fp16", GOLDEN)
    describe(fp16)
    made = package(tmp_path, {"fp32": fp32, "fp16": fp16})
    first, second = manifest(made)["variants"]
    assert (first["name"], first["devices"], first["tolerance"]) == ("fp16", ["cuda"], 0.02)
    assert (second["name"], second["tolerance"]) == ("fp32", 0.001)
    with pytest.raises(DeviceError, match="the variant 'fp16' is not for cpu"):
        runtime.load(made.path, variant="fp16")


def test_the_finished_bundle_passes_its_own_check(tmp_path: Path) -> None:
    made = package(tmp_path, {"fp32": runnable(tmp_path / "m", Tiny(), golden=GOLDEN)})
    (made.path / "artifact.json").unlink()  # the cache's own, which no bundle ships
    runtime.load(made.path, check=True).close()


def test_golden_answers_of_another_tokenizer_are_no_bundle(tmp_path: Path) -> None:
    model = runnable(tmp_path / "m", Tiny(), golden=GOLDEN)
    lines = [json.loads(line) for line in (model.path / "golden.jsonl").read_text().splitlines()]
    lines[1]["ids"] = lines[0]["ids"]
    (model.path / "golden.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    with pytest.raises(BundleError, match="other token ids"):
        package(tmp_path, {"fp32": model})


def test_packaging_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    digests = set()
    for place in ("here", "there"):
        models = {p: runnable(tmp_path / place / p, Tiny(), p, GOLDEN) for p in ("int8", "fp32")}
        (tmp_path / place / "r").mkdir()
        measured = report(tmp_path / place / "r", models["int8"], "int8")
        digests.add(disk.digest(package(tmp_path / place, models, measured).path))
    assert len(digests) == 1


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
    assert (variant["accuracy"]["examples"], variant["accuracy"]["split"]) == (2000, "test")
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
