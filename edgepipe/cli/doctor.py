"""``edgepipe doctor``."""

from __future__ import annotations

import ctypes
import importlib.metadata
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import click

from edgepipe.cli.console import artifacts_option, emit, json_option, table
from edgepipe.errors import ExitCode

_OLDEST = (3, 11)
_FREE = 5 * 10**9
_BUILD = ("torch", "transformers", "optimum", "neural-compressor", "onnx", "onnx-ir", "onnxscript")
_RUNTIME = ("numpy", "tokenizers")
_CUDA_LIBRARIES = ("libcudart.so.13", "libcublas.so.13", "libcudnn.so.9")
_INT8 = {
    "amx_int8": "AMX",
    "avx512_vnni": "AVX512-VNNI",
    "avx_vnni": "AVX-VNNI",
    "i8mm": "i8mm",
    "asimddp": "dot products",
}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    level: Literal["ok", "note", "problem"]
    what: str
    found: str
    remedy: str = ""


@click.command("doctor")
@artifacts_option
@json_option
def command(artifacts: Path, as_json: bool) -> int:  # noqa: FBT001 - click's way
    """Check what edgepipe needs here. Exit 3 when something would stop it from working."""
    findings = [
        *_python(),
        *_packages(),
        *_onnxruntime(),
        *_cpu(),
        *_cuda(),
        *_disk(artifacts),
    ]
    if as_json:
        emit([asdict(finding) for finding in findings])
    else:
        rows = ((f.level, f.what, f.found, f.remedy) for f in findings)
        table(("", "what", "found", "remedy"), rows, words=True)
    broken = any(finding.level == "problem" for finding in findings)
    return ExitCode.STAGE if broken else ExitCode.OK


def _python() -> Iterator[Finding]:
    found = platform.python_version()
    if sys.version_info[:2] < _OLDEST:
        yield Finding("problem", "Python", found, "use Python 3.11 or newer")
    else:
        yield Finding("ok", "Python", found)


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _packages() -> Iterator[Finding]:
    for name in _RUNTIME:
        found = _version(name)
        if found:
            yield Finding("ok", name, found)
        else:
            yield Finding("problem", name, "not installed", "pip install edgepipe")
    for name in _BUILD:
        found = _version(name)
        remedy = "" if found else "to build bundles: pip install 'edgepipe[build]'"
        yield Finding("ok" if found else "note", name, found or "not installed", remedy)


def _onnxruntime() -> Iterator[Finding]:
    cpu, gpu = _version("onnxruntime"), _version("onnxruntime-gpu")
    both = "onnxruntime and onnxruntime-gpu"
    if cpu and gpu:
        remedy = "each breaks the other: pip uninstall -y onnxruntime onnxruntime-gpu; install one"
        yield Finding("problem", both, f"{cpu} and {gpu}", remedy)
    elif cpu or gpu:
        yield Finding("ok", "onnxruntime" if cpu else "onnxruntime-gpu", cpu or gpu or "")
    else:
        remedy = "pip install 'edgepipe[cpu]' or 'edgepipe[gpu]'"
        yield Finding("problem", "onnxruntime", "not installed", remedy)


def _cpu() -> Iterator[Finding]:
    from edgepipe.runtime import cpu_features, usable_cores

    yield Finding("ok", "cores this process may use", str(usable_cores()))
    features = cpu_features()
    named = [text for feature, text in _INT8.items() if feature in features]
    if named:
        yield Finding("ok", "int8 on this CPU", f"{', '.join(named)}: fast, without saturation")
    else:
        slow = "no int8 dot product: int8 gains less and may saturate"
        yield Finding("note", "int8 on this CPU", slow, "quantize with reduce_range = true")


def _cuda() -> Iterator[Finding]:
    if shutil.which("nvidia-smi") is None:
        yield Finding("ok", "NVIDIA GPU", "none: bundles run on the CPU")
        return
    yield Finding("ok", "NVIDIA GPU", "present")
    if _version("onnxruntime-gpu") is None:
        remedy = "to use it: pip uninstall -y onnxruntime, then pip install 'edgepipe[gpu]'"
        yield Finding("note", "onnxruntime-gpu", "not installed", remedy)
        return
    for library in _CUDA_LIBRARIES:
        yield _library(library)


def _library(name: str) -> Finding:
    try:
        ctypes.CDLL(name)
    except OSError:
        remedy = "pip install 'onnxruntime-gpu[cuda,cudnn]': the runtime preloads what it brings"
        return Finding("note", name, "not on the loader's path", remedy)
    return Finding("ok", name, "loads")


def _disk(artifacts: Path) -> Iterator[Finding]:
    place = next(p for p in (artifacts.resolve(), *artifacts.resolve().parents) if p.exists())
    free = shutil.disk_usage(place).free
    found = f"{free / 1e9:.1f} GB free at {artifacts}"
    if free < _FREE:
        yield Finding("note", "disk", found, "a run of a base-size model wants about 5 GB")
    else:
        yield Finding("ok", "disk", found)
