"""What an application embeds, with nothing beyond numpy, tokenizers and onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from edgepipe.errors import BundleError, DeviceError, UsageError
from edgepipe.runtime.choose import AUTO, choose
from edgepipe.runtime.classifier import TextClassifier
from edgepipe.runtime.cpu import cpu_features, usable_cores
from edgepipe.runtime.manifest import read
from edgepipe.runtime.network import Network
from edgepipe.runtime.scores import Prediction
from edgepipe.runtime.session import PROVIDERS, Device, SessionPlan
from edgepipe.runtime.tokenize import TextTokenizer

__all__ = ["Prediction", "TextClassifier", "cpu_features", "load", "usable_cores"]

_TASK = "text-classification"
_GRAPH = "model"


def load(
    bundle: str | Path,
    *,
    device: Literal["cpu", "cuda", "auto"] = "cpu",
    variant: str = AUTO,
    threads: int | None = None,
    plain: bool = False,
) -> TextClassifier:
    """A classifier ready to answer, from a bundle's folder.

    Args:
        bundle: the folder with ``edgepipe.json``.
        device: where it runs, or an error; ``auto`` takes CUDA where it works, else the CPU.
        variant: its name; ``auto`` takes the first of the bundle that fits device and CPU.
        threads: of one inference; None takes every core this process may use.
        plain: with onnxruntime's default session options, to see what the bundle's own gain.

    Raises:
        UsageError: no such bundle or variant, or an argument that does not fit.
        BundleError: the bundle is damaged, incomplete or of another task or schema.
        DeviceError: the device, or a CPU feature that the variant needs, is missing.
        MissingDependencyError: onnxruntime is not installed.
    """
    if device == "auto":
        try:
            return load(bundle, device="cuda", variant=variant, threads=threads, plain=plain)
        except DeviceError:  # no CUDA here, or no variant for it
            return load(bundle, variant=variant, threads=threads, plain=plain)
    if device not in PROVIDERS:
        raise UsageError(f"device is {device!r}, not cpu, cuda or auto")
    if threads is not None and threads < 1:
        raise UsageError(f"threads is {threads}; it must be at least 1, or None for every core")
    return _load(Path(bundle), device, variant, threads or usable_cores(), plain=plain)


def _load(
    folder: Path, device: Device, variant: str, threads: int, *, plain: bool
) -> TextClassifier:
    manifest = read(folder)
    if manifest.task != _TASK:
        raise BundleError(f"{folder} is for {manifest.task!r}; this runtime does {_TASK!r}")
    chosen = choose(manifest, variant, device, cpu_features())
    if _GRAPH not in chosen.graphs:
        raise BundleError(f"{folder}: the variant {chosen.name!r} has no graph {_GRAPH!r}")
    graph = chosen.graphs[_GRAPH]
    plan = SessionPlan(folder / graph.file, graph.session, device, threads, plain)
    network = Network(plan, graph, len(manifest.labels))
    tokenizer = TextTokenizer(folder / manifest.tokenizer, manifest.max_length)
    return TextClassifier(manifest, chosen, tokenizer, network)
