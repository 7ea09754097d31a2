"""Where torch runs, on how many threads, and in which precision."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import torch

from edgepipe.errors import DeviceError
from edgepipe.training.settings import Precision

Model = TypeVar("Model", bound=torch.nn.Module)
_CPUINFO = Path("/proc/cpuinfo")


def torch_device(name: str) -> torch.device:
    """The device asked for. Raises DeviceError when it is not there; never another one."""
    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            "device 'cuda' was asked for, and this torch sees no NVIDIA GPU; install a CUDA build "
            'of torch and check nvidia-smi, or set device = "cpu"'
        )
    return torch.device(name)


def moved(model: Model, device: torch.device) -> Model:
    """The same model, its weights on ``device``."""
    torch.nn.Module.to(model, device)
    return model


def usable_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def training_mode(device: torch.device) -> Iterator[None]:
    """Inside, torch computes on every usable core, and equal inputs give equal bits.

    Training takes all cores that the process has; this is the only place that says so. On the CPU
    every operation of an encoder repeats as it is; on a GPU torch has to be asked.
    """
    threads = torch.get_num_threads()
    strict = torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(usable_cores())
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS repeats only with it
        torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(strict)
        torch.set_num_threads(threads)


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """bfloat16 where asked for; ``auto`` takes it where matrix units make it pay."""
    wanted = precision == "bf16" or (precision == "auto" and _has_bf16_units(device))
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=wanted)


def _has_bf16_units(device: torch.device) -> bool:
    """AMX on a CPU (AVX512-BF16 alone gains nothing), native bfloat16 on a GPU."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if not _CPUINFO.is_file():
        return False
    return re.search(r"\bamx_bf16\b", _CPUINFO.read_text(encoding="utf-8")) is not None
