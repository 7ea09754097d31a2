"""Two models measured live beside each other on this machine: an old release and a new one."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgepipe import __version__, disk
from edgepipe.errors import UsageError
from edgepipe.measure.child import Arm, onnx_arm
from edgepipe.measure.floors import with_floors
from edgepipe.measure.latency import GATE, compare, report
from edgepipe.measure.machine import machine
from edgepipe.measure.records import ArmCounts, BenchmarkReport, CountsReport
from edgepipe.measure.rounds import Conditions, Progress, Texts, silent
from edgepipe.measure.stopping import Limit
from edgepipe.pipeline.report import Measured, RunReport
from edgepipe.runtime.choose import choose
from edgepipe.runtime.cpu import cpu_features
from edgepipe.runtime.manifest import MANIFEST, Manifest, Variant, needed, read
from edgepipe.stage import Asked, version_of

OLD, NEW = "old", "new"
COUNTS, SPEED = "counts", "speed"
_GOLDEN = "golden.jsonl"
_MOST = 200
_BATCH = 64
_TOKENS = 128
_TOOLS = ("onnxruntime", "onnx", "tokenizers", "numpy")


@dataclass(frozen=True)
class _Side:
    """A bundle or OnnxModel folder, and the variant of it that runs here."""

    name: str
    folder: Path
    manifest: Manifest
    variant: Variant

    @property
    def digest(self) -> str:
        """Of the manifest, which holds those of all files."""
        return disk.sha256(self.folder / MANIFEST)

    @property
    def files(self) -> dict[str, int]:
        """Bytes of what an application ships to run this variant, by name."""
        names = (MANIFEST, *needed(self.folder, self.manifest, self.variant))
        return {name: (self.folder / name).stat().st_size for name in names}

    def arm(self, threads: int) -> Arm:
        """What answers."""
        arm = onnx_arm(
            self.name, self.folder, variant=self.variant.name, device="cpu", threads=threads
        )
        return replace(arm, digest=self.digest, bytes=sum(self.files.values()))


def _always(counts: CountsReport) -> bool:
    """Whatever was counted, it is worth timing."""
    del counts
    return True


def duel(  # noqa: PLR0913 (one call, everything named)
    old: Path,
    new: Path,
    *,
    texts: Sequence[str] | None = None,
    threads: int = 1,
    seconds: float = 60.0,
    asked: tuple[Asked, ...] = (),
    worth_timing: Callable[[CountsReport], bool] = _always,
    progress: Progress = silent,
) -> RunReport:
    """A report with the counts and clocks of two bundles or OnnxModel folders, not judged.

    Its steps are ``counts`` and ``speed``, their models ``old``, the reference, and ``new``: of
    each the variant that ``auto`` takes on this CPU. Clocks run on ``texts``, or the golden ones of
    ``old``, for at most ``seconds`` or as long as the least takes (four process rounds with eight
    blocks), and end when every limit of ``asked`` is decided. Where the counts are not
    ``worth_timing`` there is no ``speed``. Raises UsageError for what is no
    bundle, without texts, or when the two do not answer the same question; DeviceError when one
    cannot run here; StageError when a child fails.
    """
    sides = (_side(OLD, old), _side(NEW, new))
    _same_question(*sides)
    chosen = list(texts if texts is not None else golden_texts(old))[:_MOST]
    if not chosen:
        raise UsageError("there are no texts to time the two models on")
    counts = _counts(sides, progress)
    measured: dict[str, Measured] = {COUNTS: counts}
    if worth_timing(counts):
        conditions = Conditions(threads=threads, budget=replace(GATE, seconds=seconds))
        measured[SPEED] = _speed(sides, chosen, conditions, asked, progress)
    return RunReport(
        name=f"{_title(old)} against {_title(new)}",
        task=sides[0].manifest.task,
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        edgepipe=__version__,
        tools={tool: version_of(tool) for tool in _TOOLS},
        machine=machine(),
        pipeline="",
        steps=(),
        measured=measured,
        gates=(),
    )


def golden_texts(folder: Path) -> list[str]:
    """The texts that a bundle proves itself on; UsageError when it has none, or damaged ones."""
    path = folder / _GOLDEN
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
        texts = [json.loads(line)["text"] for line in lines if line.strip()]
    except FileNotFoundError as error:
        raise UsageError(f"{folder} has no {_GOLDEN} to take texts from; give a file") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path}: cannot be read: {error}; give a file of texts") from error
    if not texts or not all(isinstance(text, str) for text in texts):
        raise UsageError(f"{path} holds no texts; give a file of texts")
    return texts


def _side(name: str, folder: Path) -> _Side:
    manifest = read(folder)
    return _Side(name, folder, manifest, choose(manifest, "auto", "cpu", cpu_features()))


def _same_question(old: _Side, new: _Side) -> None:
    for what in ("task", "labels"):
        before, after = getattr(old.manifest, what), getattr(new.manifest, what)
        if before != after:
            raise UsageError(
                f"{old.folder} and {new.folder} cannot be compared: their {what} differ: "
                f"{before!r} and {after!r}"
            )


def _title(folder: Path) -> str:
    return folder.resolve().name


def _counts(sides: Sequence[_Side], progress: Progress) -> CountsReport:
    tokens = min(_TOKENS, *(side.manifest.max_length for side in sides))
    models = []
    for done, side in enumerate(sides):
        progress(done, len(sides), f"counting {side.name} on a text of {tokens} tokens")
        models.append(_counted(side, tokens))
    return CountsReport(machine=machine(), tokens=tokens, models=tuple(models))


def _counted(side: _Side, tokens: int) -> ArmCounts:
    from edgepipe.measure.counts import arm_counts
    from edgepipe.measure.subject import subject

    return arm_counts(
        subject(side.folder, side.variant.name),
        tokens,
        name=side.name,
        digest=side.digest,
        precision=side.variant.precision,
        device="cpu",
        files=side.files,
    )


def _speed(
    sides: Sequence[_Side],
    chosen: Sequence[str],
    conditions: Conditions,
    asked: Sequence[Asked],
    progress: Progress,
) -> BenchmarkReport:
    """Clocks; a batch repeats the texts where they are few."""
    texts = Texts(chosen, list(itertools.islice(itertools.cycle(chosen), _BATCH)))
    arms = [side.arm(conditions.threads) for side in sides]
    limits = [Limit(*limit) for limit in asked]
    measured = compare(arms[0], arms[1:], texts, conditions, progress, limits=limits)
    floored, peaks = with_floors(measured, arms, texts, conditions)
    return report(floored, texts, conditions, data="", split="validation", roofline=peaks)
