"""The machine record: what a clock's reading depends on, so that figures can refuse comparison."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import platform
import re
import shutil
import subprocess
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from edgepipe.runtime.cpu import cpu_features, usable_cores

FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")
"""CPU features that decide how fast int8 runs, as /proc/cpuinfo spells them (x86, then ARM)."""
PACKAGES = ("onnxruntime", "onnxruntime-gpu", "torch", "transformers", "tokenizers", "numpy")
_CPUINFO = Path("/proc/cpuinfo")
_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")
_GPU_QUERY = ("--query-gpu=name,memory.total,driver_version", "--format=csv,noheader,nounits")
_PATIENCE_S = 10


class Gpu(BaseModel):
    """One NVIDIA GPU, as nvidia-smi names it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str
    memory_mib: int
    driver: str


class Machine(BaseModel):
    """Where a measurement was taken."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    cpu: str
    architecture: str
    features: tuple[str, ...]
    """Those of ``FEATURES`` that the CPU has."""
    cores: int
    """Physical cores that this process may use, within its CPU affinity and its container."""
    memory_bytes: int
    gpus: tuple[Gpu, ...] = ()
    system: str
    python: str
    packages: dict[str, str]
    """Versions of those of ``PACKAGES`` that are installed."""

    @property
    def machine_id(self) -> str:
        """16 hex digits over the hardware: CPU, features, usable cores, GPUs.

        Software is left out: a cache key names the versions it depends on by itself.
        """
        gpus = [gpu.name for gpu in self.gpus]
        parts = [self.cpu, self.architecture, self.features, self.cores, gpus]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


@functools.cache
def machine() -> Machine:
    """The record of this machine, read once a process."""
    features = cpu_features()
    return Machine(
        cpu=cpu_model(_text(_CPUINFO)),
        architecture=platform.machine(),
        features=tuple(name for name in FEATURES if name in features),
        cores=usable_cores(),
        memory_bytes=memory_bytes(_text(_MEMINFO), _text(_CGROUP / "memory.max")),
        gpus=_gpus(),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        packages=_packages(),
    )


def machine_id() -> str:
    """``machine().machine_id``: what a cache key holds of this machine."""
    return machine().machine_id


def cpu_model(cpuinfo: str) -> str:
    """The model's name in the text of /proc/cpuinfo; what Python knows where there is none."""
    for field in ("model name", "Model", "Hardware"):
        found = re.search(rf"^{field}\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
        if found:
            return found[1].strip()
    return platform.processor() or platform.machine()


def memory_bytes(meminfo: str, limit: str) -> int:
    """Bytes of memory by the text of /proc/meminfo, or the container's limit if that is lower."""
    found = re.search(r"^MemTotal:\s*(\d+) kB$", meminfo, re.MULTILINE)
    total = int(found[1]) * 1024 if found else 0
    return min(total, int(limit)) if limit.strip().isdigit() else total


def gpus_of(listing: str) -> tuple[Gpu, ...]:
    """The GPUs that nvidia-smi lists as "name, MiB, driver" lines; other lines are skipped."""
    rows = ([part.strip() for part in line.split(",")] for line in listing.splitlines())
    return tuple(
        Gpu(name=row[0], memory_mib=int(row[1]), driver=row[2])
        for row in rows
        if len(row) == len(Gpu.model_fields) and row[1].isdigit()
    )


def _gpus() -> tuple[Gpu, ...]:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    try:
        done = subprocess.run(
            (tool, *_GPU_QUERY), capture_output=True, text=True, timeout=_PATIENCE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):  # a driver that is stuck is a GPU nobody can use
        return ()
    return gpus_of(done.stdout)


def _packages() -> dict[str, str]:
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _text(path: Path) -> str:
    """The text of a file of the kernel; empty where the system has no such file."""
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
