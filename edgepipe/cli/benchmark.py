"""``edgepipe benchmark BUNDLE``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgepipe.cli.console import emit, json_option, say, threads_option
from edgepipe.cli.foreign import shown
from edgepipe.errors import UsageError
from edgepipe.present import terminal

if TYPE_CHECKING:
    from edgepipe.bundle.manifest import Manifest, Variant
    from edgepipe.measure.child import Arm
    from edgepipe.measure.latency import Measured

_MOST = 200
_MEGA = 1e6


@dataclass(frozen=True)
class _Row:
    """One variant in one kind of session."""

    name: str
    accuracy: float | None
    bytes: int
    p50_ms: float
    p90_ms: float | None
    p99_ms: float | None
    """None from too few calls."""
    texts_per_second: float
    speedup: float
    low: float
    high: float
    throughput: float
    """Texts in batches, over those of the last variant."""
    floor_share: float | None
    """The least time that a core's peaks allow, over the median CPU time; None with threads."""


@click.command("benchmark")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--file", type=click.Path(path_type=Path), help="Texts, one a line.")
@threads_option
@click.option(
    "--seconds",
    type=click.FloatRange(min=1),
    default=30.0,
    show_default=True,
    help="To measure for, about.",
)
@json_option
def command(
    bundle: Path,
    file: Path | None,
    threads: int,
    seconds: float,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Time every variant of BUNDLE on this machine, interleaved, beside its accuracy and size.

    Texts are the bundle's golden ones unless a file is given. Accuracy is what was measured when
    the bundle was made. A plain session is onnxruntime with its default options, as any other
    program would open the file. Speed-ups are against the last variant, on single texts. The floor
    is the least time that the peak rates of one core allow: a share of 100 % would be all of them.
    """
    from edgepipe.bundle import manifest

    found = manifest.read(bundle)
    arms = list(_arms(found, bundle, threads))
    measured = _measure(arms, _texts(bundle, file), threads, seconds)
    rows = list(_rows(found, arms, measured))
    for remark in (*measured.doubts, *measured.remarks):
        say(f"note: {terminal.inline(remark)}")
    if as_json:
        emit([asdict(row) for row in rows])
        return
    columns = ("variant", "accuracy", "size", "p50", "p90", "texts/s", "speed-up (95 %)", "floor")
    shown(columns, map(_cells, rows))


def _arms(found: Manifest, bundle: Path, threads: int) -> Iterator[Arm]:
    """Every variant, last one first, through the runtime's session and through a plain one."""
    from edgepipe.measure.child import onnx_arm
    from edgepipe.measure.records import PLAIN

    for variant in reversed(found.variants):
        for name, plain in ((variant.name, False), (variant.name + PLAIN, True)):
            arm = onnx_arm(
                name, bundle, variant=variant.name, device="cpu", threads=threads, plain=plain
            )
            yield replace(arm, bytes=_bytes(found, variant))


def _bytes(found: Manifest, variant: Variant) -> int:
    """What ships when only this variant does: every file but the other variants' graphs."""
    others = {g.file for v in found.variants if v.name != variant.name for g in v.graphs.values()}
    return sum(
        record.bytes
        for name, record in found.files.items()
        if name.removesuffix("_data") not in others
    )


def _texts(bundle: Path, file: Path | None) -> list[str]:
    golden = bundle / "golden.jsonl"
    if file is None and not golden.is_file():
        raise UsageError(f"{bundle} has no golden.jsonl to take texts from; give --file")
    try:
        lines = (file or golden).read_text(encoding="utf-8").split("\n")
        texts = [line if file else json.loads(line)["text"] for line in lines if line.strip()]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{file or golden}: cannot be read: {error}") from error
    if not texts:
        raise UsageError(f"{file or golden} holds no texts")
    return texts[:_MOST]


def _measure(arms: list[Arm], texts: list[str], threads: int, seconds: float) -> Measured:
    from edgepipe.measure.floors import with_floors
    from edgepipe.measure.latency import compare
    from edgepipe.measure.rounds import Budget, Conditions, Texts

    budget = Budget(rounds=3, round_seconds=seconds / 6, seconds=seconds)
    conditions = Conditions(threads=threads, budget=budget)
    both = Texts(texts, texts)
    measured = compare(arms[0], arms[1:], both, conditions)
    return with_floors(measured, arms, both, conditions)[0]


def _rows(found: Manifest, arms: list[Arm], measured: Measured) -> Iterator[_Row]:
    from edgepipe.measure.records import PLAIN

    accuracy = {v.name: v.accuracy.accuracy if v.accuracy else None for v in found.variants}
    speedups = {s.candidate: (s.ratio, s.interval.low, s.interval.high) for s in measured.speedups}
    throughputs = {s.candidate: s.ratio for s in measured.throughputs}
    for arm, times in zip(arms, (measured.reference, *measured.candidates), strict=True):
        name = arm.name.removesuffix(PLAIN)
        ratio, low, high = speedups.get(arm.name, (1.0, 1.0, 1.0))
        yield _Row(
            name=arm.name,
            accuracy=accuracy[name],
            bytes=arm.bytes,
            p50_ms=times.p50_ms,
            p90_ms=times.p90_ms,
            p99_ms=times.p99_ms,
            texts_per_second=times.texts_per_second,
            speedup=ratio,
            low=low,
            high=high,
            throughput=throughputs.get(arm.name, 1.0),
            floor_share=times.floor.share if times.floor else None,
        )


def _cells(row: _Row) -> tuple[str, ...]:
    return (
        row.name,
        "not measured" if row.accuracy is None else f"{row.accuracy:.1%}",
        f"{row.bytes / _MEGA:.1f} MB",
        f"{row.p50_ms:.2f} ms",
        "too few" if row.p90_ms is None else f"{row.p90_ms:.2f} ms",
        f"{row.texts_per_second:.0f}",
        f"{row.speedup:.2f}x ({row.low:.2f} to {row.high:.2f})",
        "-" if row.floor_share is None else f"{row.floor_share:.0%}",
    )
