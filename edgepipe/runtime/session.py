"""An onnxruntime session on the device that was asked for, or an error with the remedy."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from edgepipe.errors import BundleError, DeviceError, EdgepipeError, MissingDependencyError
from edgepipe.runtime.manifest import SessionSettings

Device = Literal["cpu", "cuda"]
PROVIDERS: dict[Device, str] = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_LEVELS = {
    "disable": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}
_FATAL = 4
"""onnxruntime's severity that silences its log; what it would say is in the exception as well."""
_GPU_LINE = "pip uninstall -y onnxruntime && pip install 'edgepipe[gpu]'"
_CUDA_OPTIONS = {
    # The default doubles the arena each time, and ends in "out of memory" with half the GPU free
    "arena_extend_strategy": "kSameAsRequested",
    # The default multiplies float32 with 10 bits of mantissa; who wants that asks for fp16
    "use_tf32": "0",
}
_CAPTURE = "enable_cuda_graph"
_NO_CAPTURE = "cannot use the graph capture feature"
"""What onnxruntime says when not every node that computes is on CUDA."""
_RECORD = "session.record_ep_graph_assignment_info"
_OUT_OF_MEMORY = re.compile(
    r"Failed to allocate memory|out of memory|bad_alloc|ALLOC_FAILED"
    r"|Available memory of \d+ is smaller",
    re.IGNORECASE,
)
"""onnxruntime's arenas, cudaMalloc, the C++ library, cuBLAS and cuDNN, an arena with a limit."""


@dataclass(frozen=True)
class SessionPlan:
    """All that a session depends on, so that it can be opened a second time."""

    path: Path
    settings: SessionSettings
    device: Device
    threads: int
    plain: bool = False
    """onnxruntime's defaults but for the threads; ``settings`` are left aside."""


def onnxruntime() -> ModuleType:
    """The module onnxruntime; MissingDependencyError without it, DeviceError when it is broken.

    The official builds from 1.29 on report to their maker over the network unless this variable
    is set before the import; the thread that does so also hangs a forked child at its exit.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        module = importlib.import_module("onnxruntime")
    except ImportError as error:
        raise MissingDependencyError("onnxruntime", "cpu", "running a bundle") from error
    _check_single(Path(str(module.__file__)).parent.parent)
    return module


def _check_single(site: Path) -> None:
    """DeviceError when both wheels are installed in ``site``: they overwrite each other's files."""
    found = {path.name.split("-")[0] for path in site.glob("onnxruntime*.dist-info")}
    if {"onnxruntime", "onnxruntime_gpu"} <= found:
        raise DeviceError(
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other's files: "
            "pip uninstall -y onnxruntime onnxruntime-gpu, then pip install 'edgepipe[gpu]' "
            "(or 'edgepipe[cpu]')"
        )


def has_cuda_build() -> bool:
    """Whether the onnxruntime installed was built for CUDA; a GPU may still be missing."""
    return PROVIDERS["cuda"] in onnxruntime().get_available_providers()


def open_session(plan: SessionPlan) -> Any:
    """An ``onnxruntime.InferenceSession`` that runs on ``plan.device`` and nowhere else by chance.

    On CUDA it can replay CUDA graphs where onnxruntime allows that; ``captures`` tells. Raises
    DeviceError when the device cannot be used or lacks memory, and BundleError when the file is no
    model.
    """
    if plan.device == "cpu":
        return _create(plan, {})
    _preload_cuda()
    session = _create_for_cuda(plan)
    if PROVIDERS["cuda"] not in session.get_providers():
        # Without a GPU onnxruntime answers with a session on the CPU and a line in its log
        raise DeviceError(
            "device 'cuda': onnxruntime found no NVIDIA GPU that it can use; nvidia-smi tells "
            "whether there is one and which CUDA its driver knows, and this onnxruntime wants "
            f"CUDA {onnxruntime().cuda_version}"
        )
    return session


def captures(session: Any) -> bool:
    """Whether ``session`` was opened with CUDA graphs."""
    options = session.get_provider_options().get(PROVIDERS["cuda"], {})
    return str(options.get(_CAPTURE, "0")) == "1"


def placement(session: Any) -> dict[str, dict[str, int]]:
    """Nodes as onnxruntime hands them to providers: counts by operator, by execution provider.

    That is after its basic optimizers; later fusions and layouts are not in it.

    Empty for a plain session, which does not write it down.
    """
    try:
        session.get_session_options().get_session_config_entry(_RECORD)
    except RuntimeError:
        return {}
    found: dict[str, Counter[str]] = {}
    for part in session.get_provider_graph_assignment_info():
        found.setdefault(part.ep_name, Counter()).update(n.op_type for n in part.get_nodes())
    return {provider: dict(sorted(counts.items())) for provider, counts in sorted(found.items())}


@contextlib.contextmanager
def translated_run(plan: SessionPlan) -> Iterator[None]:
    """Whatever onnxruntime raises in a run becomes one error of ours; the session stays usable.

    DeviceError when memory has run out, BundleError for anything else: then the model itself
    cannot digest its input.
    """
    try:
        yield
    except EdgepipeError:
        raise
    except Exception as error:  # its classes share no base but Exception
        reason = " ".join(str(error).split())
        if out_of_memory(error):
            raise _shortage(plan, reason, "pass fewer or shorter texts at once, ") from error
        raise BundleError(f"{plan.path} failed on its input: {reason}; make it anew") from error


def out_of_memory(error: Exception) -> bool:
    """Whether ``error`` says that memory has run out, of this machine or of its GPU."""
    return isinstance(error, MemoryError) or bool(_OUT_OF_MEMORY.search(str(error)))


def _shortage(plan: SessionPlan, reason: str, first: str = "") -> DeviceError:
    return DeviceError(
        f"{plan.path.name} ran out of memory on {plan.device} ({reason[-200:]}): {first}take a "
        "smaller variant of the bundle, or stop what else uses that memory"
    )


def _preload_cuda() -> None:
    """The libraries of the nvidia wheels are loaded; DeviceError that names those missing.

    onnxruntime's library for CUDA is linked against each one that it calls failed here (its list
    for 1.31: cublasLt, cublas, curand, cudart; cuDNN, cuFFT and NVRTC are optional), so that a
    session could not come up on CUDA, and would say so in red on standard error.
    """
    ort = onnxruntime()
    if not has_cuda_build():
        built = f"the onnxruntime {ort.__version__} installed is built for the CPU"
        raise DeviceError(f"device 'cuda': {built}: {_GPU_LINE}")
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        ort.preload_dlls()
    said = printed.getvalue()
    if "Please follow" in said:  # its last line when a library could be found nowhere
        missing = sorted({Path(name).name for name in re.findall(r"Failed to load (\S+):", said)})
        raise DeviceError(
            f"device 'cuda': libraries of CUDA {ort.cuda_version} are missing: "
            f"{', '.join(missing)}: pip install 'edgepipe[gpu]'"
        )


def _create_for_cuda(plan: SessionPlan) -> Any:
    if plan.plain:
        return _create(plan, {})
    try:
        return _create(plan, {**_CUDA_OPTIONS, _CAPTURE: "1"})
    except BundleError as error:
        if _NO_CAPTURE not in str(error):
            raise
    return _create(plan, _CUDA_OPTIONS)


def _create(plan: SessionPlan, provider_options: dict[str, str]) -> Any:
    ort = onnxruntime()
    disabled = () if plan.plain else plan.settings.disabled_optimizers
    with _translated(plan):
        # enable_fallback would turn an error of CUDA into a session on the CPU
        return ort.InferenceSession(
            str(plan.path),
            _options(ort, plan),
            providers=[(PROVIDERS[plan.device], provider_options)],
            disabled_optimizers=list(disabled),
            enable_fallback=0,
        )


def _options(ort: ModuleType, plan: SessionPlan) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = _FATAL
    options.intra_op_num_threads = plan.threads
    if plan.plain:
        return options
    level = _LEVELS[plan.settings.graph_optimization_level]
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    options.inter_op_num_threads = 1
    for key, value in {_RECORD: "1", **_entries(plan.settings)}.items():
        options.add_session_config_entry(key, value)
    return options


def _entries(settings: SessionSettings) -> dict[str, str]:
    """Config entries: threads wait without spinning unless the bundle says otherwise.

    A spinning thread takes the core from others and burns seconds of CPU after a single request.
    """
    return {"session.intra_op.allow_spinning": "0", **settings.config_entries}


def effective_settings(plan: SessionPlan) -> dict[str, object]:
    """What differs from onnxruntime's defaults, beside the threads, as plain JSON values."""
    if plan.plain:
        return {}
    return {
        "graph_optimization_level": plan.settings.graph_optimization_level,
        "disabled_optimizers": list(plan.settings.disabled_optimizers),
        "inter_op_num_threads": 1,
        "config_entries": _entries(plan.settings),
    }


@contextlib.contextmanager
def _translated(plan: SessionPlan) -> Iterator[None]:
    """Whatever onnxruntime raises for a file becomes a BundleError that names the file.

    Or a DeviceError when memory has run out: the file is none the worse for that.
    """
    try:
        yield
    except Exception as error:  # its classes share no base but Exception
        reason = " ".join(str(error).split())
        if out_of_memory(error):
            raise _shortage(plan, reason) from error
        raise BundleError(
            f"{plan.path} cannot be loaded: {reason}; make the bundle anew"
        ) from error
