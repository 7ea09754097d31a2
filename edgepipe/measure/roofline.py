"""What a machine gives at most, and the least time that this allows a model.

A model that multiplies matrices cannot take less time than its operations need at the peak rate
of a core, nor less than its weights need on their way from memory (Williams, Waterman and
Patterson 2009, "Roofline"). The share of that floor which a model reaches compares across machines;
its milliseconds do not.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from edgepipe.measure.child import Arm, Child, module, running
from edgepipe.measure.counts import per_text
from edgepipe.measure.records import Floor, Roofline
from edgepipe.measure.subject import subject
from edgepipe.measure.worker_peaks import FP32, INT8, OPERATIONS, READ

_SECONDS = 0.4
"""For each kernel."""
_CALLS = 5
"""At least, however slow the machine is."""
_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_BUFFER = (64 << 20, 512 << 20)
_NS = 1e-9


def measure(*, threads: int) -> Roofline:
    """What one core gives: the best of several calls in a child process of ``threads`` threads.

    Rates are operations or bytes a second of CPU time, summed over the threads, as the benchmark
    counts CPU time: with several threads they are those of a core whose neighbours work too.
    Raises StageError when the child fails.
    """
    size = _buffer_bytes(last_cache_bytes())
    command = (
        *module("edgepipe.measure.worker_peaks"),
        *("--threads", str(threads)),
        *("--buffer", str(size)),
    )
    with running(Arm("the roofline", command), threads=threads) as child:
        child.load("thread" if threads == 1 else "process")
        return Roofline(
            fp32_flops_per_s=OPERATIONS / _best_s(child, FP32),
            int8_ops_per_s=OPERATIONS / _best_s(child, INT8),
            bytes_per_s=size / _best_s(child, READ),
        )


def floor(
    folder: Path,
    variant_or_precision: str,
    lengths: Sequence[int],
    roofline: Roofline,
    cpu_p50_ms: float,
) -> Floor:
    """The least time for a mean text of ``lengths`` tokens, and its share of ``cpu_p50_ms``.

    Products and convolutions at their peak rates, or the weights' way from memory if that is
    longer. Weights that fit into the last cache may stay there from one text to the next, so only
    what exceeds it has to come anew (as far as the system tells how large it is). ``weight_bytes``
    are those that one text reads: of an embedding table its own rows. Raises BundleError and
    UsageError as ``runtime.load`` does, StageError when the graph cannot be counted.
    """
    found = per_text(subject(folder, variant_or_precision), lengths)
    compute = (
        found.fp32_flops / roofline.fp32_flops_per_s + found.int8_ops / roofline.int8_ops_per_s
    )
    travelling = max(0, found.weight_bytes - last_cache_bytes())
    ms = max(compute, travelling / roofline.bytes_per_s) * 1e3
    return Floor(
        fp32_flops=found.fp32_flops,
        int8_ops=found.int8_ops,
        weight_bytes=found.weight_bytes,
        ms=ms,
        share=ms / cpu_p50_ms,
    )


def last_cache_bytes(caches: Path = _CACHES) -> int:
    """The size of the largest cache of a core, others' share included; 0 where it is not told."""
    sizes = [0]
    for file in sorted(caches.glob("index*/size")):
        try:
            text = file.read_text(encoding="ascii").strip()
            sizes.append(int(text[:-1]) * _UNITS[text[-1]])
        except (OSError, ValueError, KeyError, IndexError):  # another system, another wording
            continue
    return max(sizes)


def _buffer_bytes(cache: int) -> int:
    """Twice the cache, within what any machine has to spare and what any cache cannot hold."""
    least, most = _BUFFER
    return min(max(2 * cache, least), most)


def _best_s(child: Child, kernel: str) -> float:
    """Seconds of CPU time of the fastest call."""
    found: list[int] = []
    end = time.monotonic() + _SECONDS
    while len(found) < _CALLS or time.monotonic() < end:
        found += child.block([kernel] * (1 + bool(not found)), int(not found)).cpu_ns
    return max(min(found), 1) * _NS
