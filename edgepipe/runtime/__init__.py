"""What an application embeds, with nothing beyond numpy, tokenizers and onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgepipe.errors import BundleError, DeviceError, UsageError
from edgepipe.runtime.choose import AUTO, choose
from edgepipe.runtime.classifier import TextClassifier
from edgepipe.runtime.cpu import Concurrency, concurrency, cpu_features, usable_cores
from edgepipe.runtime.manifest import Manifest, needed, read
from edgepipe.runtime.network import Network
from edgepipe.runtime.scores import Prediction
from edgepipe.runtime.session import PROVIDERS, Device, SessionPlan
from edgepipe.runtime.tokenize import TextTokenizer

__all__ = ["Prediction", "TextClassifier", "cpu_features", "load", "usable_cores"]

_TASK = "text-classification"
_GRAPH = "model"


def load(  # noqa: PLR0913 - one call, everything named
    bundle: str | Path,
    *,
    device: Literal["cpu", "cuda", "auto"] = "cpu",
    variant: str = AUTO,
    threads: int | None = None,
    workers: int | None = 1,
    plain: bool = False,
    verify: bool = True,
    check: bool = False,
) -> TextClassifier:
    """A classifier ready to answer, from a bundle's folder.

    By default it hashes only the files that it opens; files too many are refused with ``check``
    alone. Neither looks into a graph: operator domains, the layout of external weights and limits
    on size are looked at by ``edgepipe verify``, to be run first on a bundle from someone else.

    Args:
        bundle: the folder with ``edgepipe.json``.
        device: where it runs, or an error; ``auto`` takes CUDA where it works, else the CPU.
        variant: its name; ``auto`` takes the first of the bundle that fits device and CPU.
        threads: of one inference. None takes every core this process may use, shared out among
            the workers.
        workers: batches of one call that run at the same time, in threads that share the weights:
            for lists and streams one thread each is the fastest. None is one for every core that
            ``threads`` leaves, and with ``threads=None`` one of one thread for every core.
        plain: with onnxruntime's default session options, to see what the bundle's own gain.
        verify: hash the files that it opens, and refuse the bundle when one was changed.
        check: verify the whole bundle, and give its golden answers again on this machine.

    Raises:
        UsageError: no such bundle or variant, or an argument that does not fit.
        BundleError: the bundle is damaged, changed, incomplete or of another task or schema.
        DeviceError: the device, its memory, or a CPU feature that the variant needs is missing.
        MissingDependencyError: onnxruntime is not installed.
    """
    if device not in (*PROVIDERS, "auto"):
        raise UsageError(f"device is {device!r}, not cpu, cuda or auto")
    sizes = concurrency(threads, workers, usable_cores())
    folder = Path(bundle)
    manifest = _verified(folder) if check else read(folder)
    if manifest.task != _TASK:
        raise BundleError(f"{folder} is for {manifest.task!r}; this runtime does {_TASK!r}")
    request = _Request(folder, manifest, variant, sizes, plain, verify and not check)
    classifier = _open_any(request) if device == "auto" else _open(request, device)
    if check:
        _replay(classifier, folder)
    return classifier


@dataclass(frozen=True)
class _Request:
    folder: Path
    manifest: Manifest
    variant: str
    sizes: Concurrency
    plain: bool
    verify: bool


def _open_any(request: _Request) -> TextClassifier:
    try:
        return _open(request, "cuda")
    except DeviceError:  # no CUDA here, or no variant for it
        return _open(request, "cpu")


def _open(request: _Request, device: Device) -> TextClassifier:
    folder, manifest = request.folder, request.manifest
    chosen = choose(manifest, request.variant, device, cpu_features())
    if _GRAPH not in chosen.graphs:
        raise BundleError(f"{folder}: the variant {chosen.name!r} has no graph {_GRAPH!r}")
    names = needed(folder, manifest, chosen)
    if request.verify:
        _verify_files(folder, manifest, names)
    graph = chosen.graphs[_GRAPH]
    plan = SessionPlan(
        folder / graph.file, graph.session, device, request.sizes.threads, request.plain
    )
    network = Network(plan, graph, manifest)
    tokenizer = TextTokenizer(folder / manifest.tokenizer, manifest.max_length)
    return TextClassifier(manifest, chosen, tokenizer, network, request.sizes.workers)


def _verified(folder: Path) -> Manifest:
    from edgepipe.runtime.verify import verify

    return verify(folder)


def _verify_files(folder: Path, manifest: Manifest, names: Sequence[str]) -> None:
    from edgepipe.runtime.verify import verify_files

    verify_files(folder, manifest, names)


def _replay(classifier: TextClassifier, folder: Path) -> None:
    from edgepipe.runtime.golden import replay

    try:
        replay(classifier, folder)
    except BaseException:
        classifier.close()
        raise
