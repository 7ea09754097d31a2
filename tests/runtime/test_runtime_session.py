from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from edgepipe.errors import BundleError, DeviceError, MissingDependencyError, UsageError
from edgepipe.runtime import session
from edgepipe.runtime.manifest import SessionSettings
from edgepipe.runtime.session import (
    SessionPlan,
    captures,
    open_session,
    placement,
    translated_run,
)

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


# ---- runs ---------------------------------------------------------------------------------------


def test_placement_counts_what_is_left_after_the_optimizers(plan: SessionPlan) -> None:
    found = placement(open_session(plan))
    assert set(found) == {"CPUExecutionProvider"}
    counts = found["CPUExecutionProvider"]
    # two tables; the longest length and the sum; the head is halved and doubled, and so folded
    assert (counts["Gather"], counts["ReduceMax"], counts["MatMul"]) == (2, 1, 1)
    assert placement(open_session(replace(plan, plain=True))) == {}


SHORTAGES = pytest.mark.parametrize(
    "said",
    [
        # microsoft/onnxruntime issues 16307, 22702 and a run of 1.31.1 on the CPU
        "bfc_arena.cc:376 Failed to allocate memory for requested buffer of size 939524096",
        "CUDA failure 2: out of memory ; GPU=0 ; hostname=x ; expr=cudaMalloc((void**)&p, size);",
        "Available memory of 0 is smaller than requested bytes of 1024",
        "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0",
        "std::bad_alloc",
    ],
)


@SHORTAGES
def test_out_of_memory_is_one_clear_error(plan: SessionPlan, said: str) -> None:
    with (
        pytest.raises(DeviceError, match=r"ran out of memory on cpu .*smaller variant") as caught,
        translated_run(plan),
    ):
        raise RuntimeError(said)
    assert isinstance(caught.value.__cause__, RuntimeError)
    with pytest.raises(DeviceError, match="ran out of memory"), translated_run(plan):
        raise MemoryError


@SHORTAGES
def test_no_memory_to_load_it_is_no_fault_of_the_bundle(
    plan: SessionPlan, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise RuntimeError(said)

    monkeypatch.setattr(ort, "InferenceSession", full)
    with pytest.raises(DeviceError, match=r"model.onnx ran out of memory on cpu .*: take a small"):
        open_session(plan)


def test_an_input_that_the_model_cannot_digest(plan: SessionPlan) -> None:
    session = open_session(plan)
    ids = np.full((1, 3), 4_000, np.int64)  # the table of words is shorter
    feed = dict.fromkeys(("input_ids", "attention_mask", "token_type_ids"), ids)
    with (
        pytest.raises(BundleError, match=r"model.onnx failed on its input: .*out of data bounds"),
        translated_run(plan),
    ):
        session.run(None, feed)


def test_errors_of_our_own_pass(plan: SessionPlan) -> None:
    with pytest.raises(UsageError, match="closed"), translated_run(plan):
        raise UsageError("closed")


STARVED = """
import resource, sys
from pathlib import Path
import numpy as np
from edgepipe.errors import DeviceError
from edgepipe.runtime.manifest import SessionSettings
from edgepipe.runtime.session import SessionPlan, open_session, translated_run

plan = SessionPlan(Path(sys.argv[1]), SessionSettings(), "cpu", threads=1)
session = open_session(plan)
names = [value.name for value in session.get_inputs()]
small, large = (dict.fromkeys(names, np.ones(shape, np.int64)) for shape in ((1, 4), (4096, 1024)))
before = session.run(None, small)[0]
held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + (64 << 20),) * 2)  # one embedding takes 128 MiB
try:
    with translated_run(plan):
        session.run(None, large)
except DeviceError as error:
    assert "ran out of memory on cpu" in str(error), error
    print((session.run(None, small)[0] == before).all())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are the kernel's")
def test_the_call_after_a_real_shortage_works(plan: SessionPlan) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STARVED, str(plan.path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr


# ---- CUDA, which no machine of the tests has: a stand-in plays onnxruntime-gpu ------------------


def gpu_wheel(
    site: Path, come_up_with: list[str], said: str = "", refuses: str = ""
) -> tuple[ModuleType, list[Any]]:
    """onnxruntime-gpu whose sessions come up with the given providers, and the calls it gets.

    ``said``: by ``preload_dlls``; ``refuses``: the error of a session with CUDA graphs.
    """
    module, calls = installed(site, "onnxruntime_gpu"), []

    def make(path: str, options: Any, providers: list[Any], **settings: Any) -> Any:
        calls.append({"providers": providers, **settings})
        ((name, given),) = providers
        if refuses and given.get("enable_cuda_graph"):
            raise RuntimeError(refuses)
        return SimpleNamespace(
            get_providers=lambda: come_up_with, get_provider_options=lambda: {name: given}
        )

    module.__dict__.update(
        cuda_version="13.0",
        get_available_providers=lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"],
        preload_dlls=lambda: calls.append("preload_dlls") or sys.stdout.write(said),
        SessionOptions=ort.SessionOptions,
        GraphOptimizationLevel=ort.GraphOptimizationLevel,
        InferenceSession=make,
    )
    return module, calls


CUDA_AND_CPU = ["CUDAExecutionProvider", "CPUExecutionProvider"]


def test_cuda_on_a_build_for_the_cpu(
    plan: SessionPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpu_build = installed(tmp_path, "onnxruntime")
    cpu_build.__dict__["get_available_providers"] = lambda: ["CPUExecutionProvider"]
    monkeypatch.setitem(sys.modules, "onnxruntime", cpu_build)
    with pytest.raises(DeviceError, match=r"built for the CPU: .*pip install 'edgepipe\[gpu\]'"):
        open_session(replace(plan, device="cuda"))


SAID = """Failed to load libcublasLt.so.13: libcublasLt.so.13: cannot open shared object
Failed to load /site/nvidia/cu13/lib/libcublas.so.13: libcublasLt.so.13: cannot open shared object
Failed to load libcublas.so.13: libcublas.so.13: cannot open shared object file: No such file
Please follow https://onnxruntime.ai/docs/install/#cuda-and-cudnn to install CUDA.
"""
"""What onnxruntime-gpu 1.31.1 prints where no CUDA is installed, shortened."""


def test_missing_libraries_are_named(
    plan: SessionPlan,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    module, calls = gpu_wheel(tmp_path, ["CPUExecutionProvider"], SAID)
    monkeypatch.setitem(sys.modules, "onnxruntime", module)
    missing = r"CUDA 13.0 are missing: libcublas.so.13, libcublasLt.so.13: pip install .*\[gpu\]"
    with pytest.raises(DeviceError, match=missing):
        open_session(replace(plan, device="cuda"))
    assert calls == ["preload_dlls"]  # a session would only write to standard error
    assert capfd.readouterr() == ("", "")


def test_a_library_that_was_found_elsewhere_is_not_missing(
    plan: SessionPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, _ = gpu_wheel(tmp_path, CUDA_AND_CPU, SAID.splitlines()[1])
    monkeypatch.setitem(sys.modules, "onnxruntime", module)
    assert open_session(replace(plan, device="cuda")).get_providers() == CUDA_AND_CPU


def test_cuda_that_comes_up_on_the_cpu_is_an_error(
    plan: SessionPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, _ = gpu_wheel(tmp_path, ["CPUExecutionProvider"])
    monkeypatch.setitem(sys.modules, "onnxruntime", module)
    with pytest.raises(DeviceError, match=r"no NVIDIA GPU that it can use; .*wants CUDA 13.0"):
        open_session(replace(plan, device="cuda"))


def test_cuda_is_asked_for_alone(
    plan: SessionPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, calls = gpu_wheel(tmp_path, CUDA_AND_CPU)
    monkeypatch.setitem(sys.modules, "onnxruntime", module)
    opened = open_session(replace(plan, device="cuda"))
    assert captures(opened)
    preload, settings = calls
    assert preload == "preload_dlls"
    ((provider, options),) = settings["providers"]
    assert provider == "CUDAExecutionProvider"
    assert options["use_tf32"] == "0"
    assert settings["enable_fallback"] == 0


REFUSED = (
    "[ONNXRuntimeError] : 1 : FAIL : This session cannot use the graph capture feature as "
    "requested by the user  as all compute graph nodes have not been partitioned to the "
    "CUDAExecutionProvider"
)


def test_a_graph_that_cannot_be_captured_runs_without(
    plan: SessionPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, calls = gpu_wheel(tmp_path, CUDA_AND_CPU, refuses=REFUSED)
    monkeypatch.setitem(sys.modules, "onnxruntime", module)
    opened = open_session(replace(plan, device="cuda"))
    assert not captures(opened)
    ((_, options),) = calls[-1]["providers"]
    assert options == {"arena_extend_strategy": "kSameAsRequested", "use_tf32": "0"}


def test_another_error_is_no_reason_to_try_again(
    plan: SessionPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, calls = gpu_wheel(tmp_path, CUDA_AND_CPU, refuses="Load model failed: no protobuf")
    monkeypatch.setitem(sys.modules, "onnxruntime", module)
    with pytest.raises(BundleError, match="no protobuf"):
        open_session(replace(plan, device="cuda"))
    assert len(calls) == 2


def test_a_plain_session_on_cuda_has_the_defaults(
    plan: SessionPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, calls = gpu_wheel(tmp_path, CUDA_AND_CPU)
    monkeypatch.setitem(sys.modules, "onnxruntime", module)
    open_session(replace(plan, device="cuda", plain=True))
    assert calls[-1]["providers"] == [("CUDAExecutionProvider", {})]
