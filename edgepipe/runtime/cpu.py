"""What the processor can do, and how many cores this process may use."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import NamedTuple

from edgepipe.errors import UsageError

_PROC = Path("/proc")
_SYS = Path("/sys")
_MOST = 4096
"""Threads or workers; more than any machine has."""


def cpu_features(cpuinfo: Path = _PROC / "cpuinfo") -> frozenset[str]:
    """Features of the first core as the Linux kernel spells them; none where it does not tell.

    Without them no variant that asks for a feature is chosen: slower, and never wrong.
    """
    try:
        lines = cpuinfo.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return frozenset()
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):  # x86 says flags, ARM says Features
            return frozenset(value.split())
    return frozenset()


def usable_cores(proc: Path = _PROC, sys: Path = _SYS) -> int:
    """Physical cores that this process may use, within its CPU affinity and cgroup quota; ≥ 1.

    Two hardware threads of one core share its arithmetic units, so they count once.
    """
    if hasattr(os, "sched_getaffinity"):
        cpus = os.sched_getaffinity(0)
    else:
        cpus = set(range(os.cpu_count() or 1))
    cores = len({_siblings(sys, cpu) for cpu in cpus})
    return max(1, math.ceil(min(cores, _quota(proc, sys))))


def _siblings(sys: Path, cpu: int) -> str:
    """The hardware threads that share a core with ``cpu``, itself among them."""
    path = sys / f"devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return str(cpu)


def _quota(proc: Path, sys: Path) -> float:
    """CPUs that the cgroups of this process grant it; infinity without a limit."""
    try:
        lines = (proc / "self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return math.inf
    limits = [math.inf]
    for line in lines:
        _, controllers, group = line.split(":", 2)  # man 7 cgroups, /proc/[pid]/cgroup
        if not controllers:
            limits += map(_limit_v2, _upwards(sys / "fs/cgroup", group))
        elif "cpu" in controllers.split(","):
            for mount in {"cpu", controllers}:
                limits += map(_limit_v1, _upwards(sys / "fs/cgroup" / mount, group))
    return min(limits)


def _upwards(root: Path, group: str) -> list[Path]:
    """The folder of a group and of every group around it; inside a container only ``root`` is."""
    folder = root / group.lstrip("/")
    return [one for one in (folder, *folder.parents) if one.is_relative_to(root)]


def _limit_v2(folder: Path) -> float:
    """``cpu.max`` holds "max 100000" or "quota period", in microseconds."""
    try:
        quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
        return float(quota) / float(period)  # float("max") is a ValueError: no limit
    except (OSError, ValueError):
        return math.inf


def _limit_v1(folder: Path) -> float:
    """Two files hold quota and period, in microseconds; a quota of -1 is no limit."""
    try:
        quota = float((folder / "cpu.cfs_quota_us").read_text(encoding="ascii"))
        period = float((folder / "cpu.cfs_period_us").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return math.inf
    return quota / period if quota > 0 else math.inf


class Concurrency(NamedTuple):
    """How one classifier uses the cores."""

    threads: int
    """Of one inference."""
    workers: int
    """Inferences of one call at the same time."""


def concurrency(threads: int | None, workers: int | None, cores: int) -> Concurrency:
    """Both numbers, where None takes what ``cores`` leave; UsageError for one below 1.

    With both None every core gets a worker of one thread, which no answer has to wait for.
    """
    for name, given in (("threads", threads), ("workers", workers)):
        if given is not None and not (isinstance(given, int) and 1 <= given <= _MOST):
            raise UsageError(
                f"{name} is {given!r}; it must be from 1 to {_MOST}, or None for every core"
            )
    if threads is None:
        threads = 1 if workers is None else max(1, cores // workers)
    return Concurrency(threads, workers or max(1, cores // threads))
