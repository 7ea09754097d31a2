"""An onnxruntime session on the device that was asked for, or an error with the remedy."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from edgepipe.errors import BundleError, DeviceError, MissingDependencyError
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

    Raises DeviceError when the device cannot be used, and BundleError when the file is no model.
    """
    if plan.device == "cpu":
        return _create(plan)
    said = _preload_cuda()
    session = _create(plan)
    if PROVIDERS["cuda"] not in session.get_providers():
        # Without its libraries onnxruntime answers with a session on the CPU and a line in its log
        raise DeviceError(
            "device 'cuda': onnxruntime could not load CUDA and cuDNN, or found no GPU; needed are "
            f"an NVIDIA driver and: pip install 'edgepipe[gpu]'. {said}".rstrip()
        )
    return session


def _preload_cuda() -> str:
    """CUDA libraries of the nvidia wheels are loaded; what onnxruntime printed about it."""
    ort = onnxruntime()
    if not has_cuda_build():
        built = f"the onnxruntime {ort.__version__} installed is built for the CPU"
        raise DeviceError(f"device 'cuda': {built}: {_GPU_LINE}")
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        ort.preload_dlls()
    return " ".join(printed.getvalue().split())


def _create(plan: SessionPlan) -> Any:
    ort = onnxruntime()
    disabled = () if plan.plain else plan.settings.disabled_optimizers
    with _translated(plan.path):
        # enable_fallback would turn an error of CUDA into a session on the CPU
        return ort.InferenceSession(
            str(plan.path),
            _options(ort, plan),
            providers=[PROVIDERS[plan.device]],
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
    for key, value in _entries(plan.settings).items():
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
def _translated(path: Path) -> Iterator[None]:
    """Whatever onnxruntime raises for a file becomes a BundleError that names the file."""
    try:
        yield
    except Exception as error:  # its classes share no base but Exception
        reason = " ".join(str(error).split())
        raise BundleError(f"{path} cannot be loaded: {reason}; make the bundle anew") from error
