"""A report with something in every field, and ways to write into all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from pydantic import ValidationError

from edgepipe.measure.machine import Gpu
from edgepipe.measure.records import (
    Agreement,
    ClassScores,
    CountsReport,
    ExplainedText,
    Explanation,
    Floor,
    Roofline,
    ServerRate,
    ValidationReport,
    packed,
)
from edgepipe.pipeline.report import RunReport, StepRecord
from tests.pipeline.measured import LABELS, MACHINE, SOME, benchmark, counts, estimate, validation
from tests.present.judged import GATE, THREE, verdict

PIPELINE = """\
[step.reviews]
use = "data"
[step.teacher]
use = "train"
from = { data = "reviews" }
[step.int8]
use = "quantize"
from = { model = "teacher", data = "reviews" }
[step.accuracy]
use = "validate"
from = { reference = "teacher", candidates = ["int8"], data = "reviews" }
"""
SLICES = verdict(measure="slices", note="a note", why="a reason", details=("short", "long"))
MISSING = verdict("inconclusive", "percentile", tier="clocks", unit="ms", value=None, low=None,
                  high=None, why="too few calls")  # fmt: skip


def rich() -> RunReport:
    """Every section, every optional figure."""
    return RunReport(
        name="reviews", task="text-classification", created="2026-11-20T08:00:00Z", edgepipe="0.1",
        tools={"torch": "2.13"}, machine=MACHINE.model_copy(update={"gpus": (GPU,)}),
        pipeline=PIPELINE, steps=tuple(_steps()),
        measured={"accuracy": _validation(), "speed": _benchmark(), "counts": _counts()},
        gates=(GATE,) * 6, verdicts=(*THREE, SLICES, MISSING, verdict(measure="a new measure")),
    )  # fmt: skip


GPU = Gpu(name="Some GPU", memory_mib=1024, driver="1.2")


def _steps() -> Iterator[StepRecord]:
    notes = {"rows": [{"node": "a node", "drop": 0.25}], "odd": 3, "deep": {"list": ["an item"]}}
    for name, use, outcome in (
        ("reviews", "load", "reused"), ("teacher", "train", "reused"),
        ("int8", "quantize", "ran"), ("accuracy", "validate", "ran"),
    ):  # fmt: skip
        yield StepRecord.model_validate(
            {
                "name": name, "use": use, "outcome": outcome, "why": ("its settings changed",),
                "seconds": 83.0, "kind": "dataset", "digest": "d1", "bytes": 1500,
                "notes": notes if name == "int8" else {}, "key": {"settings": "k1"},
            }
        )  # fmt: skip


def _validation() -> ValidationReport:
    found = validation(60, 50, 2000)
    scores = tuple(
        ClassScores(label=label, precision=0.5, recall=0.25, f1=1 / 3, support=7)
        for label in LABELS
    )
    explained = ExplainedText(
        text="good film", words=("good", "film"), reference=(1.0, -0.5), candidate=(0.1, 0.2),
        rank_agreement=-1.0,
    )  # fmt: skip
    explanation = Explanation(
        method="occlusion", texts=9, rank_agreement=estimate(0.5), same_top_word=0.5,
        examples=(explained,),
    )  # fmt: skip
    unlabelled = Agreement(examples=3, alike=2, agreement=2 / 3, interval=SOME)
    whole = found.comparisons[0].model_copy(
        update={"explanation": explanation, "unlabelled": unlabelled}
    )
    arm = {"classes": scores, "unlabelled_answers": packed(np.zeros(3, np.int64))}
    return found.model_copy(
        update={
            "reference": found.reference.model_copy(update=arm | {"truncated": 4}),
            "candidates": (found.candidates[0].model_copy(update=arm),),
            "comparisons": (whole,), "unlabelled": 3, "unlabelled_sha256": "the unlabelled",
        }
    )  # fmt: skip


def _benchmark() -> Any:
    found = benchmark(((2.0, 2.1), (2.2, 2.0)), doubts=("a doubt",))
    floor = Floor(fp32_flops=1e9, int8_ops=2e9, weight_bytes=5, ms=0.3, share=1 / 3)
    rate = ServerRate(name="int8", bound_ms=50.0, percentile=99.0, held=20.0, refused=None,
                      queries=700)  # fmt: skip
    return found.model_copy(
        update={
            "candidates": (found.candidates[0].model_copy(update={"floor": floor}),),
            "throughputs": found.speedups, "server": (rate,), "remarks": ("a remark",),
            "roofline": Roofline(fp32_flops_per_s=1e11, int8_ops_per_s=7e11, bytes_per_s=1.5e10),
        }
    )  # fmt: skip


def _counts() -> CountsReport:
    found = counts()
    odd = found.models[0].model_copy(update={"uncounted": ("SomeOperator",)})
    return found.model_copy(update={"models": (odd, found.models[1])})


def strings(value: object) -> Iterator[str]:
    """Every string in a dumped report, keys of dictionaries too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from (*strings(key), *strings(inner))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from strings(inner)


def values(value: object) -> Iterator[str]:
    """Every string in a dumped report that is no key."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from values(inner)


def replaced(value: Any, old: str, new: str) -> Any:
    """A dumped report with ``new`` for each string that is ``old``; no names of fields."""
    if isinstance(value, str):
        return new if value == old else value
    if isinstance(value, dict):
        return {
            (new if key == old and key not in FIELDS else key): replaced(inner, old, new)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return type(value)(replaced(inner, old, new) for inner in value)
    return value


FIELDS = {*RunReport.model_fields, "accuracy"}
"""``accuracy`` is a step here, but the name of a field elsewhere."""


def spoiled(report: RunReport, change: Callable[[str], str]) -> tuple[RunReport, set[str]]:
    """``report`` with ``change`` made to every string that it may be made to; those it was made to.

    Words of a fixed list, like outcomes, and packed figures are none of them.
    """
    made, changed = report, set()
    for text in sorted(set(strings(report.model_dump()))):
        try:
            made = RunReport.model_validate(replaced(made.model_dump(), text, change(text)))
        except ValidationError:
            continue
        changed.add(text)
    return made, changed
