from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import onnxruntime as ort
import pytest

from edgepipe.errors import BundleError, DeviceError, MissingDependencyError
from edgepipe.runtime import session
from edgepipe.runtime.manifest import SessionSettings
from edgepipe.runtime.session import SessionPlan, open_session

RECORD = {"session.record_ep_graph_assignment_info": "1"}
"""onnxruntime then tells which nodes are left after its optimizers."""


@pytest.fixture
def plan(bundle: Path) -> SessionPlan:
    return SessionPlan(bundle / "onnx" / "model.onnx", SessionSettings(), "cpu", threads=1)


def options_of(plan: SessionPlan) -> Any:
    return open_session(plan).get_session_options()


def op_types(plan: SessionPlan, settings: SessionSettings) -> list[str]:
    opened = open_session(replace(plan, settings=replace(settings, config_entries=RECORD)))
    subgraphs = opened.get_provider_graph_assignment_info()
    return [node.op_type for subgraph in subgraphs for node in subgraph.get_nodes()]


def test_threads_and_no_spinning(plan: SessionPlan) -> None:
    options = options_of(replace(plan, threads=2))
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (2, 1)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_a_plain_session_has_the_defaults_but_for_the_threads(plan: SessionPlan) -> None:
    settings = SessionSettings(("ConstantFolding",), "disable", RECORD)
    options, default = (
        options_of(replace(plan, settings=settings, plain=True)),
        ort.SessionOptions(),
    )
    assert options.intra_op_num_threads == 1
    for name in ("inter_op_num_threads", "graph_optimization_level", "execution_mode"):
        assert getattr(options, name) == getattr(default, name)
    for key in ("session.intra_op.allow_spinning", *RECORD):
        with pytest.raises(RuntimeError, match="not have configuration"):
            options.get_session_config_entry(key)


def test_config_entries_of_the_bundle_win(plan: SessionPlan) -> None:
    entries = {"session.intra_op.allow_spinning": "1", "session.set_denormal_as_zero": "1"}
    options = options_of(replace(plan, settings=SessionSettings(config_entries=entries)))
    assert {key: options.get_session_config_entry(key) for key in entries} == entries


def test_a_disabled_optimizer_leaves_its_nodes(plan: SessionPlan) -> None:
    folded = op_types(plan, SessionSettings())
    kept = op_types(plan, SessionSettings(disabled_optimizers=("ConstantFolding",)))
    assert kept.count("Mul") == folded.count("Mul") + 1


def test_the_optimization_level_is_passed_on(plan: SessionPlan) -> None:
    folded, kept = op_types(plan, SessionSettings()), op_types(plan, SessionSettings((), "disable"))
    assert kept.count("Mul") == folded.count("Mul") + 1


@pytest.mark.parametrize("content", [b"", b"no model at all", None], ids=["empty", "text", "cut"])
def test_a_damaged_model(
    plan: SessionPlan, tmp_path: Path, capfd: pytest.CaptureFixture[str], content: bytes | None
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(plan.path.read_bytes()[:-40] if content is None else content)
    with pytest.raises(BundleError, match=r"model.onnx cannot be loaded: .*make the bundle anew"):
        open_session(replace(plan, path=path))
    assert capfd.readouterr() == ("", "")


def test_an_absent_model(plan: SessionPlan, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="cannot be loaded"):
        open_session(replace(plan, path=tmp_path / "model.onnx"))


def test_without_onnxruntime(plan: SessionPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'edgepipe\[cpu\]'"):
        open_session(plan)


def installed(site: Path, *wheels: str) -> ModuleType:
    """A stand-in for onnxruntime, imported from ``site``, where ``wheels`` are installed."""
    (site / "onnxruntime").mkdir(parents=True)
    for wheel in wheels:
        (site / f"{wheel}-1.31.1.dist-info").mkdir()
    module = ModuleType("onnxruntime")
    module.__file__ = str(site / "onnxruntime" / "__init__.py")
    module.__version__ = "1.31.1"  # type: ignore[attr-defined]
    return module


def test_both_wheels_at_once(
    plan: SessionPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = installed(tmp_path, "onnxruntime", "onnxruntime_gpu")
    monkeypatch.setitem(sys.modules, "onnxruntime", both)
    with pytest.raises(DeviceError, match="pip uninstall -y onnxruntime onnxruntime-gpu"):
        open_session(plan)


@pytest.mark.parametrize("wheel", ["onnxruntime", "onnxruntime_gpu"])
def test_one_wheel_alone_is_fine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wheel: str
) -> None:
    module = installed(tmp_path, wheel, "onnxruntime_extensions")
    monkeypatch.setitem(sys.modules, "onnxruntime", module)
    assert session.onnxruntime() is module


# ---- CUDA, which no machine of the tests has: a stand-in plays onnxruntime-gpu ------------------


def gpu_wheel(site: Path, come_up_with: list[str], said: str = "") -> tuple[ModuleType, list[Any]]:
    """onnxruntime-gpu whose sessions come up with the given providers, and the calls it gets."""
    module, calls = installed(site, "onnxruntime_gpu"), []

    def make(path: str, options: Any, **settings: Any) -> Any:
        calls.append(settings)
        return SimpleNamespace(get_providers=lambda: come_up_with)

    module.__dict__.update(
        get_available_providers=lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"],
        preload_dlls=lambda: calls.append("preload_dlls") or sys.stdout.write(said),
        SessionOptions=ort.SessionOptions,
        GraphOptimizationLevel=ort.GraphOptimizationLevel,
        InferenceSession=make,
    )
    return module, calls


def test_cuda_on_a_build_for_the_cpu(
    plan: SessionPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpu_build = installed(tmp_path, "onnxruntime")
    cpu_build.__dict__["get_available_providers"] = lambda: ["CPUExecutionProvider"]
    monkeypatch.setitem(sys.modules, "onnxruntime", cpu_build)
    with pytest.raises(DeviceError, match=r"built for the CPU: .*pip install 'edgepipe\[gpu\]'"):
        open_session(replace(plan, device="cuda"))


def test_cuda_that_comes_up_on_the_cpu_is_an_error(
    plan: SessionPlan,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    said = "Failed to load libcudnn.so.9"
    module, _ = gpu_wheel(tmp_path, ["CPUExecutionProvider"], said)
    monkeypatch.setitem(sys.modules, "onnxruntime", module)
    with pytest.raises(DeviceError, match=f"could not load CUDA and cuDNN.*{said}"):
        open_session(replace(plan, device="cuda"))
    assert capfd.readouterr() == ("", "")


def test_cuda_is_asked_for_alone(
    plan: SessionPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    come_up = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    module, calls = gpu_wheel(tmp_path, come_up)
    monkeypatch.setitem(sys.modules, "onnxruntime", module)
    opened = open_session(replace(plan, device="cuda"))
    assert opened.get_providers() == come_up
    preload, settings = calls
    assert preload == "preload_dlls"
    assert settings["providers"] == ["CUDAExecutionProvider"]
    assert settings["enable_fallback"] == 0
