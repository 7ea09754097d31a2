"""The tables of ``alarms.py``: how often the gate was right, and at what cost."""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from alarms_again import Gate, resampled
from alarms_pairs import against_baselines

from edgepipe import __version__, disk
from edgepipe.measure.latency import GATE
from edgepipe.measure.machine import machine
from edgepipe.measure.statistics import ratio_estimate, wilson

_WORDS = ("pass", "fail", "inconclusive")
Figures = dict[str, object]


def publish(gates: Sequence[Gate], given: argparse.Namespace) -> None:
    """``gate-alarms.json`` and ``.md`` hold the figures and where they are from; printed too."""
    kinds = sorted({(gate.condition, gate.slower) for gate in gates})
    rows = [
        _row(
            [g for g in gates if (g.condition, g.slower) == kind],
            [g for g in gates if (g.condition, g.slower) == (kind[0], 0.0)],
            given.resamples,
        )
        for kind in kinds
    ]
    where = machine()
    date = datetime.now(UTC).date().isoformat()
    record = {
        "script": "benchmarks/gate/alarms.py",
        "arguments": {"variant": given.variant, "resamples": given.resamples},
        "bundle_digest": disk.sha256(given.bundle / "edgepipe.json"),
        "date": date,
        "edgepipe": __version__,
        "machine": where.model_dump(mode="json"),
        "gate": {"max_slowdown": 0.05, "confidence": 0.95, "seconds": GATE.seconds},
        "figures": rows,
    }
    head = (
        f"*{where.cpu}, {where.cores} cores, onnxruntime {where.packages.get('onnxruntime', '-')}, "
        f"{date}; `{record['script']}`*\n\nA gate of `max_slowdown = 0.05` at 95 % on a model "
        "against itself, and against itself made slower in a known way.\n\n"
    )
    text = head + _tables(rows)
    disk.write_json(given.out / "gate-alarms.json", record)
    disk.write_text(given.out / "gate-alarms.md", text)
    print(text)


def _row(gates: Sequence[Gate], unchanged: Sequence[Gate], resamples: int) -> Figures:
    again = resampled(gates, resamples)
    pairs = against_baselines(gates, unchanged)
    seconds = [gate.seconds for gate in gates]
    rounds = [len(gate.log_ratios) for gate in gates]
    return {
        "condition": gates[0].condition,
        "slower": gates[0].slower,
        "live": _rates([gate.outcome for gate in gates]),
        "resampled": _rates([gate.outcome for gate in again]),
        "baseline": _rates(pairs) if pairs else None,
        "seconds": _spread(seconds),
        "rounds": _spread(rounds),
        "resampled_rounds": _spread([gate.rounds for gate in again]),
        "doubts": sum(bool(gate.doubts) for gate in gates),
        "resampled_doubts": sum(gate.doubt for gate in again) / len(again),
        "load": _spread([gate.load for gate in gates]),
        **_noise(gates),
    }


def _rates(outcomes: Sequence[str]) -> Figures:
    """Shares, and for failures Wilson's 95 % interval."""
    bounds = wilson(outcomes.count("fail"), len(outcomes))
    shares: Figures = {word: outcomes.count(word) / len(outcomes) for word in _WORDS}
    return {**shares, "gates": len(outcomes), "fail_interval": [bounds.low, bounds.high]}


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "most": max(values)}


def _noise(gates: Sequence[Gate]) -> Figures:
    """Standard deviations of log ratios, and the ratio they lie around."""
    rounds = [ratio_estimate([blocks] * 2)[0] for g in gates for blocks in g.log_ratios]
    whole = [ratio_estimate(gate.log_ratios)[0] for gate in gates]
    control = [ratio_estimate(gate.control)[0] for gate in gates]
    blocks = [statistics.stdev(found) for gate in gates for found in gate.log_ratios]
    return {
        "mean_log_ratio": statistics.mean(whole),
        "sd_block": statistics.median(blocks),
        "sd_round": statistics.stdev(rounds),
        "sd_gate": statistics.stdev(whole) if len(whole) > 1 else None,
        "sd_control": statistics.stdev(control) if len(control) > 1 else None,
    }


def _tables(rows: Sequence[Figures]) -> str:
    live = _table(
        ("cores", "made slower", "gates", "passed", "failed", "inconclusive", "sentinel's doubts",
         "seconds a gate: median, most", "process rounds"),
        map(_live, rows),
    )  # fmt: skip
    again = _table(
        ("cores", "made slower", "gates", "passed", "failed", "inconclusive", "sentinel's doubts",
         "process rounds"),
        map(_again, rows),
    )  # fmt: skip
    pairs = _table(
        ("cores", "made slower", "pairs", "passed", "failed", "inconclusive"),
        (_words(row, "baseline") for row in rows if row["baseline"]),
    )
    noise = _table(
        ("cores", "made slower", "mean ratio", "of a block", "of a process round", "of a gate",
         "of the sentinel"),
        map(_noises, rows),
    )  # fmt: skip
    every = "every recorded run against every other one of the model as it was"
    return (
        f"Live gates:\n\n{live}\nResampled from their recorded process rounds and blocks:\n\n"
        f"{again}\nAgainst a baseline ({every}, both relative to the reference):\n\n{pairs}\n"
        f"Standard deviations of the logarithm of the ratio:\n\n{noise}\n"
        f"Aims:\n\n{_table(('aim', 'live', 'resampled'), _aims(rows))}"
    )


def _live(row: Any) -> tuple[str, ...]:
    seconds = row["seconds"]
    rounds = row["rounds"]
    return (
        *_words(row, "live"),
        f"{row['doubts']}",
        f"{seconds['median']:.1f}, {seconds['most']:.1f}",
        f"{rounds['median']:.0f}, {rounds['most']}",
    )


def _again(row: Any) -> tuple[str, ...]:
    rounds = row["resampled_rounds"]
    return (
        *_words(row, "resampled"),
        f"{row['resampled_doubts']:.1%}",
        f"{rounds['median']:.0f}, {rounds['most']}",
    )


def _words(row: Any, which: str) -> tuple[str, ...]:
    rates = row[which]
    shares = (f"{rates[word]:.1%}" for word in _WORDS)
    return (row["condition"], f"{row['slower']:.0%}", str(rates["gates"]), *shares)


def _noises(row: Any) -> tuple[str, ...]:
    ratio = math.exp(row["mean_log_ratio"])
    names = ("sd_block", "sd_round", "sd_gate", "sd_control")
    spreads = ("-" if row[name] is None else f"{row[name]:.2%}" for name in names)
    return (row["condition"], f"{row['slower']:.0%}", f"{ratio:.4f}", *spreads)


def _aims(rows: Sequence[Figures]) -> Iterator[tuple[str, ...]]:
    """What was asked for beside what came out, condition by condition."""
    for condition in sorted({str(row["condition"]) for row in rows}):
        found: dict[float, Any] = {
            float(str(row["slower"])): row for row in rows if row["condition"] == condition
        }
        for slower, word, aim in (
            (0.0, "fail", "false failures at most 1 %"),
            (0.1, "fail", "10 % slower failed, at least 95 %"),
            (0.2, "fail", "20 % slower failed, always"),
            (0.0, "inconclusive", "inconclusive at most 10 % (asked of idle cores)"),
        ):
            if slower in found:
                shares = (f"{found[slower][which][word]:.1%}" for which in ("live", "resampled"))
                yield (f"{condition}: {aim}", *shares)
        most = max(row["seconds"]["most"] for row in found.values())
        yield (f"{condition}: a gate at most 60 s", f"{most:.0f} s", "")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
