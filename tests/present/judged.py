"""Judged reports made by hand, for outputs to be written from."""

from __future__ import annotations

from collections.abc import Sequence

from edgepipe.measure.records import BenchmarkReport, CountsReport, ValidationReport
from edgepipe.pipeline.gate import SizeGate
from edgepipe.pipeline.report import RunReport, StepRecord
from edgepipe.pipeline.verdict import Verdict
from tests.pipeline.measured import MACHINE, benchmark, counts, validation

GATE = SizeGate(measure="size", of="int8", max_bytes=1)


def verdict(outcome: str = "pass", measure: str = "accuracy", **changes: object) -> Verdict:
    """An accuracy gate of 2 points at 95 %."""
    made = {
        "measure": measure, "tier": "accuracy", "of": "int8", "against": "teacher",
        "outcome": outcome, "unit": "share", "value": 0.005, "low": -0.001, "high": 0.011,
        "limit": 0.02, "limit_is": "at most", "confidence": 0.95,
    }  # fmt: skip
    return Verdict.model_validate({**made, **changes})


SIZE = verdict(
    "fail", "size", tier="counts", against="", unit="bytes", value=18.2e6, low=18.2e6, high=18.2e6,
    limit=18e6, confidence=None, why="grew", details=("model.onnx 17.9 MB", "vocab.txt 300 kB"),
)  # fmt: skip
SPEED = verdict(
    "inconclusive", "latency", tier="clocks", unit="ratio", value=8.6, low=6.5, high=9.1, limit=7.0,
    limit_is="at least", why="the machine is busy",
)  # fmt: skip
THREE = (SIZE, verdict("pass", note="2000 texts"), SPEED)


def report(
    verdicts: Sequence[Verdict] = (),
    measured: dict[str, ValidationReport | BenchmarkReport | CountsReport] | None = None,
    name: str = "reviews",
    steps: tuple[StepRecord, ...] = (),
    created: str = "2026-11-20T08:00:00Z",
) -> RunReport:
    """A run's report with these verdicts, a gate each."""
    return RunReport(
        name=name, task="text-classification", created=created, edgepipe="0.1", tools={},
        machine=MACHINE, pipeline="", steps=steps, measured=measured or {},
        gates=(GATE,) * len(verdicts), verdicts=tuple(verdicts),
    )  # fmt: skip


def everything() -> dict[str, ValidationReport | BenchmarkReport | CountsReport]:
    """One report of each kind: 60 texts that only the teacher gets right, 50 only int8."""
    return {
        "accuracy": validation(60, 50, 2000),
        "speed": benchmark(((2.0, 2.1), (2.2, 2.0))),
        "counts": counts(),
    }


NASTY = (
    "a|b", "`c`", "``d`` `", "x\\|y", "ends in \\", "ends in `", "`", "<script>alert(1)</script>",
    "<!-- c", "-->", "]]>", "<![CDATA[", "@octocat see #1 and GH-2", "https://evil.example/x",
    "www.evil.example", "a@evil.example", "![i](http://e/x.png)", "[a](javascript:alert(1))",
    "line\nbreak\r\n| a | b |\n|---|---|", "\x1b[31mred\x00\x08", "\u202eeid", "\ufffe\uffff",
    "**bold** _it_ ~~no~~", "# head", "- item", "> quote", "&lt;b&gt; &#64;x", "$x$ $$y$$",
    "::error::injected", "[[ATTACHMENT|/etc/passwd]]", "</details>", "</code></pre>", "", "   ",
    "deadbeefdeadbeefdeadbeefdeadbeefdeadbeef", ":smile:", "x" * 5000, "🦊 ünïcödé 漢字",
)  # fmt: skip
"""Texts that mean something to XML, HTML, Markdown, GitHub, GitLab or a terminal."""


def nasty(text: str) -> RunReport:
    """A report that has ``text`` wherever a report has text of others."""
    bad = [
        verdict(outcome, of=text, against=text, why=text, note=text, details=(text, text))
        for outcome in ("pass", "fail", "inconclusive")
    ]
    found = validation(3, 2, 20, names=(text + "r", text))
    flips = tuple(
        flip.model_copy(update={"text": text, "label": text, "reference": text, "candidate": text})
        for flip in found.comparisons[0].flips
    )
    compared = found.comparisons[0].model_copy(update={"flips": flips})
    found = found.model_copy(update={"comparisons": (compared,)})
    clocks = benchmark(((0.1, 0.2), (0.1, 0.1)), doubts=(text, text), name=text)
    clocks = clocks.model_copy(update={"remarks": (text,)})
    step = StepRecord(
        name=text, use="data", outcome="ran", why=(text,), seconds=1.0, kind="dataset", digest=text,
        bytes=1, notes={text: 3}, key={},
    )  # fmt: skip
    measured = {"accuracy": found, text: clocks, "counts": counts(text)}
    return report(bad, measured, name=text, steps=(step,), created=text)
