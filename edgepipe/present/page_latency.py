"""The page's clocks: how long texts take, how sure that is, and what the machine could give."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edgepipe.measure.records import ArmTimes, BenchmarkReport, ServerRate, Speedup
from edgepipe.pipeline.report import RunReport
from edgepipe.present.page_parts import (
    Figure,
    Table,
    benchmarks,
    between,
    operations,
    percent_tick,
    plural,
    table,
    tick,
)
from edgepipe.present.plots_rows import Row, Spread, bars, distributions, intervals
from edgepipe.present.words import figure


@dataclass(frozen=True, kw_only=True)
class LatencyView:
    """One benchmark step."""

    step: str
    about: str
    doubts: tuple[str, ...]
    remarks: tuple[str, ...]
    control: str
    figures: tuple[Figure, ...]
    server: Table | None
    floors: Table | None
    roofline: str


def latency_views(report: RunReport) -> list[LatencyView]:
    """One for each benchmark step."""
    return [_view(step, found) for step, found in benchmarks(report).items()]


def _view(step: str, report: BenchmarkReport) -> LatencyView:
    return LatencyView(
        step=step,
        about=_about(report),
        doubts=report.doubts,
        remarks=report.remarks,
        control=_control(report.control),
        figures=tuple(_figures(report)),
        server=_server(report.server),
        floors=_floors(report),
        roofline=_roofline(report),
    )


def _about(report: BenchmarkReport) -> str:
    return (
        f"{plural(report.texts, 'text')} of the {report.split} split, one by one, on "
        f"{report.device} with {plural(report.threads, 'thread')}; ratios by "
        f"{'CPU' if report.clock == 'cpu' else 'wall'} time; batches of {report.batch}; "
        f"{report.seconds:.0f} s in all."
    )


def _control(found: Speedup) -> str:
    return (
        f"The reference against itself: {figure(found.ratio, 'ratio')} "
        f"({between(found.interval, 'ratio')}), where 1.00x is right."
    )


def _figures(report: BenchmarkReport) -> Iterator[Figure]:
    arms = report.arms
    spreads = [_spread(arm, arm is report.reference) for arm in arms if any(arm.quantiles_ms)]
    if spreads:
        yield _distributions(spreads)
    for caption, found in (
        ("Speed-up of single texts", report.speedups),
        ("Throughput in batches", report.throughputs),
    ):
        if found:
            yield _ratios(caption, found, report.control)
    shares = [
        Row(
            label=arm.name, value=arm.floor.share, low=arm.floor.share, high=arm.floor.share,
            text=f"{arm.floor.share:.1%} of {figure(arm.cpu_p50_ms, 'ms')}",
            kind="base" if arm is report.reference else "mark",
        )
        for arm in arms if arm.floor
    ]  # fmt: skip
    if shares:
        yield _floor_bars(shares)


def _spread(arm: ArmTimes, is_reference: bool) -> Spread:  # noqa: FBT001
    late = "" if arm.p99_ms is None else f" · p99 {figure(arm.p99_ms, 'ms')}"
    return Spread(
        label=arm.name,
        quantiles=tuple(sorted(arm.quantiles_ms)),
        text=f"p50 {figure(arm.p50_ms, 'ms')}{late}",
        kind="base" if is_reference else "mark",
    )


def _distributions(spreads: Sequence[Spread]) -> Figure:
    caption = "Time of a single text"
    told = "; ".join(
        f"{s.label}: {s.text}, {figure(s.quantiles[0], 'ms')} to {figure(s.quantiles[-1], 'ms')}"
        for s in spreads
    )
    return Figure(
        caption=caption,
        plot=distributions(spreads, caption, told, tick("ms")),
        note="Share of calls over wall time, log axis; the line is the median.",
    )


def _ratios(caption: str, found: Sequence[Speedup], control: Speedup) -> Figure:
    rows = [_ratio(control, "base"), *(_ratio(s, "mark") for s in found)]
    told = "; ".join(f"{row.label}: {row.text}" for row in rows)
    return Figure(
        caption=caption,
        plot=intervals(rows, caption, told, tick("ratio"), at=1.0, log=True),
        note="Ratio to the reference with 95% interval, log axis; the line is 1x: no faster.",
    )


def _ratio(found: Speedup, kind: str) -> Row:
    return Row(
        label=found.candidate,
        value=found.ratio,
        low=found.interval.low,
        high=found.interval.high,
        text=f"{figure(found.ratio, 'ratio')} ({between(found.interval, 'ratio')})",
        kind=kind,
    )


def _floor_bars(rows: Sequence[Row]) -> Figure:
    caption = "How near each model comes to what a core can give"
    told = "; ".join(f"{row.label}: {row.text}" for row in rows)
    return Figure(
        caption=caption,
        plot=bars(rows, caption, told, percent_tick),
        note="The least time that the core's measured peaks allow, as a share of the CPU time.",
    )


def _server(rates: Sequence[ServerRate]) -> Table | None:
    if not rates:
        return None
    rows = (
        (
            rate.name,
            f"{rate.held:,.1f}" if rate.held else "none held",
            "every rate held" if rate.refused is None else f"{rate.refused:,.1f}",
            f"{rate.percentile:g}% within {figure(rate.bound_ms, 'ms')}",
            f"{rate.queries:,}",
        )
        for rate in rates
    )
    columns = ("model", "held, texts/s", "refused, texts/s", "asked", "queries")
    return table(columns, rows)


def _floors(report: BenchmarkReport) -> Table | None:
    arms = [arm for arm in report.arms if arm.floor]
    if not arms:
        return None
    rows = (
        (
            arm.name,
            figure(arm.floor.fp32_flops, "flops"),
            operations(arm.floor.int8_ops),
            figure(arm.floor.weight_bytes, "bytes"),
            figure(arm.floor.ms, "ms"),
            figure(arm.cpu_p50_ms, "ms"),
            f"{arm.floor.share:.1%}",
        )
        for arm in arms
        if arm.floor
    )
    columns = ("model", "float", "8-bit", "weights", "floor", "CPU time", "share")
    return table(columns, rows)


def _roofline(report: BenchmarkReport) -> str:
    roof = report.roofline
    if roof is None:
        return ""
    return (
        f"One core of this machine gives at most {figure(roof.fp32_flops_per_s, 'flops')}/s in "
        f"fp32, {operations(roof.int8_ops_per_s)}/s in int8, and reads "
        f"{figure(roof.bytes_per_s, 'bytes')}/s from memory."
    )
