"""Results of a comparison made by hand, for tables and pages to be drawn from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from benchmarks.peers.lineup import Arm, Model, Recipe, Table
from benchmarks.peers.records import (
    Accuracy,
    Answering,
    Clocks,
    ColdStart,
    Crash,
    Ending,
    Environment,
    Made,
    Results,
)
from edgepipe.measure.machine import Machine
from edgepipe.measure.records import ArmTimes, BenchmarkReport, Speedup, packed
from edgepipe.measure.statistics import (
    TWO_SIDED,
    drop_bounds,
    ratio_bounds,
    ratio_estimate,
    wilson,
)
from tests.pipeline.measured import MACHINE, times

EXAMPLES = 1000
RIGHT = 850
NOISE = (-0.01, 0.0, 0.01)
"""Of the logarithm of a ratio, by process round."""
HOSTILE = "Error | in `x`\n<script>alert(1)</script> [a](http://b) | **bold** @you ##[group]"
"""A crash's last words that would break a table, or worse."""
SINGLE = {
    "torch.compile": 1.2, "optimum O3": 1.5, "optimum vnni": 3.5, "olive int8": 3.0,
    "edgepipe": 7.5, "edgepipe, plain session": 7.0,
}  # fmt: skip
"""How many times as fast as torch each row of the main table is made to be."""
LOST = {"optimum vnni": 5, "olive int8": 8, "edgepipe": 4, "edgepipe, plain session": 4}
"""Texts that torch answers rightly and the row does not."""


def recipe(name: str, tool: str, precision: str = "int8", how: str = "how", of: str = "") -> Recipe:
    environment = {"edgepipe": "main", "torch": "main"}.get(tool, tool)
    return Recipe(
        name=name, tool=tool, how=how, environment=environment, call=f"{tool} make --to {name}",
        of=of, precision="fp32" if precision == "fp32" else "int8",
    )  # fmt: skip


RECIPES = (
    recipe("checkpoint", "torch", "fp32", how=""),
    recipe("optimum O3", "optimum", "fp32"),
    recipe("optimum O3, quantized", "optimum", of="optimum O3"),
    recipe("optimum vnni", "optimum"),
    recipe("olive int8", "olive"),
    recipe("neural", "neural-compressor"),
    replace(recipe("edgepipe", "edgepipe"), trained=True),
)


def arm(name: str, made: str, tool: str, environment: str = "") -> Arm:
    return Arm(name=name, recipe=made, tool=tool, load="load", environment=environment or tool)


TOOLS = (
    arm("torch", "checkpoint", "torch"),
    arm("torch.compile", "checkpoint", "torch"),
    arm("optimum O3", "optimum O3", "optimum"),
    arm("optimum O3, quantized", "optimum O3, quantized", "optimum"),
    arm("optimum vnni", "optimum vnni", "optimum"),
    arm("olive int8", "olive int8", "plain"),
    arm("neural", "neural", "neural-compressor"),
    arm("edgepipe", "edgepipe", "edgepipe"),
    arm("edgepipe, plain session", "edgepipe", "plain"),
)
SAME_FILE = (
    arm("ORTModel", "optimum vnni", "optimum"),
    arm("sentence-transformers", "optimum vnni", "sentence-transformers"),
    arm("a session by hand", "optimum vnni", "plain"),
    arm("edgepipe's runtime", "optimum vnni", "edgepipe"),
)


def table(name: str, arms: tuple[Arm, ...], model: Model = "movie-reviews") -> Table:
    return Table(
        name=name, title=f"Table {name}", model=model, arms=arms, max_length=64, rounds=3,
        batch=5000, blocks=2,
    )  # fmt: skip


def log_ratios(ratio: float, *, shift: float = 0.0) -> tuple[tuple[float, ...], ...]:
    """Three process rounds of two blocks around a ratio."""
    return tuple((math.log(ratio) + n + shift, math.log(ratio) - n / 2 + shift) for n in NOISE)


def speedup(name: str, found: Sequence[Sequence[float]]) -> Speedup:
    center, error = ratio_estimate(found)
    return Speedup(
        candidate=name, ratio=math.exp(center),
        interval=ratio_bounds(found, confidence=TWO_SIDED), standard_error=error,
        degrees_of_freedom=len(found) - 1, log_ratios=tuple(map(tuple, found)),
    )  # fmt: skip


def arm_times(name: str, ratio: float) -> ArmTimes:
    return times(name).model_copy(
        update={
            "p50_ms": 10 / ratio, "p90_ms": 20 / ratio, "texts_per_cpu_second": 100 * ratio,
            "peak_memory_bytes": 3 * 10**8,
        }
    )  # fmt: skip


def clocks(  # noqa: PLR0913 - a table by its parts
    name: str,
    reference: str,
    single: Mapping[str, float],
    many: Mapping[str, float] | None = None,
    *,
    cold: Mapping[str, float] | None = None,
    shift: float = 0.0,
    crashes: tuple[Crash, ...] = (),
    machine: Machine = MACHINE,
    doubts: tuple[str, ...] = (),
) -> Clocks:
    seconds = {reference: 4.0, **dict.fromkeys(single, 2.0), **(cold or {})}
    report = BenchmarkReport(
        machine=machine, device="cpu", threads=1, clock="cpu", data="d", split="test", texts=10,
        texts_sha256="the texts", batch=5000, seed=0, seconds=60.0,
        reference=arm_times(reference, 1.0),
        candidates=tuple(arm_times(arm, ratio) for arm, ratio in single.items()),
        speedups=tuple(speedup(a, log_ratios(r, shift=shift)) for a, r in single.items()),
        throughputs=tuple(speedup(a, log_ratios(r)) for a, r in (many or single).items()),
        control=speedup("the reference again", log_ratios(1.0)), doubts=doubts,
    )  # fmt: skip
    found = tuple(
        ColdStart(
            arm=arm, load_s=0.9 * total, first_s=0.1 * total, total_s=total,
            totals_s=tuple(total * (1 + n) for n in NOISE),
        )
        for arm, total in seconds.items()
    )  # fmt: skip
    return Clocks(table=name, report=report, cold=found, crashes=crashes)


def accuracy(name: str, lost: int) -> Accuracy:
    """``lost`` texts fewer than torch, which has the first ``RIGHT`` of them right."""
    right = RIGHT - lost
    return Accuracy(
        arm=name, examples=EXAMPLES, accuracy=right / EXAMPLES, interval=wilson(right, EXAMPLES),
        drop=lost / EXAMPLES,
        drop_interval=drop_bounds(lost, 0, EXAMPLES, confidence=TWO_SIDED), flips=lost,
        right=packed([int(text < right) for text in range(EXAMPLES)]),
    )  # fmt: skip


def made(name: str, exit_code: int = 0, said: str = "") -> Made:
    return Made(
        recipe=name, model="movie-reviews", call=f"make {name}", exit_code=exit_code,
        seconds=12.5, bytes=0 if said else 23_000_000, lines=3, said=said,
    )  # fmt: skip


def environment(name: str, failed: str = "") -> Environment:
    packages = {"torch": "2.13.0", "onnxruntime": "1.31.1", "Sentence_Transformers": "5.1"}
    return Environment(
        name=name, packages={} if failed else packages, bytes=0 if failed else 1_234_000_000,
        seconds=60.0, failed=failed,
    )  # fmt: skip


def all_clocks(*, shift: float = 0.0, machine: Machine = MACHINE) -> tuple[Clocks, ...]:
    same = {"sentence-transformers": 0.9, "a session by hand": 1.4, "edgepipe's runtime": 2.6}
    return (
        clocks("tools", "torch", SINGLE, shift=shift, machine=machine),
        clocks("same-file", "ORTModel", same, cold={"edgepipe's runtime": 0.25}, machine=machine),
    )


def results(**changed: object) -> Results:
    """A run in which one recipe crashed and one environment could not be built."""
    names = ("torch", "torch.compile", "optimum O3", *LOST)
    arms = {found.name for found in (*TOOLS, *SAME_FILE)}
    fields: dict[str, object] = {
        "date": "2026-11-22", "edgepipe": "1.0", "quick": False, "machine": MACHINE,
        "seconds": 3600.0, "teacher": "0123456789abcdef0123456789abcdef",
        "texts": {"tools": "one by one: 1,008 texts of 27.5 tokens in the mean"},
        "recipes": RECIPES, "tables": (table("tools", TOOLS), table("same-file", SAME_FILE)),
        "environments": (
            *map(environment, ("optimum", "plain", "edgepipe", "torch", "sentence-transformers")),
            environment("neural-compressor", "ERROR: no such version\nERROR: giving up"),
        ),
        "made": tuple(
            made(found.name)
            if found.name != "optimum O3, quantized"
            else made(found.name, 1, f"Traceback\n{HOSTILE}")
            for found in RECIPES
            if found.name != "neural"
        ),
        "accuracy": tuple(accuracy(name, LOST.get(name, 0)) for name in names),
        "clocks": all_clocks(),
        "endings": (
            Ending(tool="optimum", what="misspelt option", call="optimum-cli export --opset-",
                   exit_code=2, left=(), said="error: unrecognized arguments"),
            Ending(tool="olive", what="corrupt checkpoint", call="olive optimize", exit_code=0,
                   left=("model.onnx",), said=HOSTILE),
        ),
        "answering": tuple(Answering(arm=name, lines=5) for name in sorted(arms)),
    }  # fmt: skip
    return Results.model_validate({**fields, **changed})
