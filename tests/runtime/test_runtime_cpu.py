from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgepipe.errors import UsageError
from edgepipe.runtime.cpu import concurrency, cpu_features, usable_cores


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def machine(root: Path, siblings: list[str], group: str = "0::/\n") -> tuple[Path, Path]:
    """A /proc and a /sys with one entry of ``siblings`` a CPU."""
    for cpu, text in enumerate(siblings):
        write(root / f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list", f"{text}\n")
    write(root / "proc/self/cgroup", group)
    return root / "proc", root / "sys"


@pytest.fixture
def affinity(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    cpus: set[int] = set()
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: cpus, raising=False)
    return cpus


def test_flags_of_x86(tmp_path: Path) -> None:
    text = "processor\t: 0\nvendor_id\t: X\nflags\t\t: fpu avx2 avx512_vnni\n\nflags : other\n"
    expected = frozenset({"fpu", "avx2", "avx512_vnni"})
    assert cpu_features(write(tmp_path / "cpuinfo", text)) == expected


def test_features_of_arm(tmp_path: Path) -> None:
    text = "processor\t: 0\nFeatures\t: fp asimd asimddp\n"
    assert cpu_features(write(tmp_path / "cpuinfo", text)) == frozenset({"fp", "asimd", "asimddp"})


def test_no_features_where_the_system_does_not_tell(tmp_path: Path) -> None:
    assert cpu_features(tmp_path / "absent") == frozenset()
    assert cpu_features(write(tmp_path / "cpuinfo", "processor : 0\n")) == frozenset()


def test_only_cores_of_the_affinity_count(tmp_path: Path, affinity: set[int]) -> None:
    affinity |= {0, 2, 3}
    assert usable_cores(*machine(tmp_path, ["0", "1", "2", "3"])) == 3


def test_two_threads_of_a_core_count_once(tmp_path: Path, affinity: set[int]) -> None:
    affinity |= {0, 1, 2, 3}
    assert usable_cores(*machine(tmp_path, ["0,2", "1,3", "0,2", "1,3"])) == 2


def test_without_a_topology_every_cpu_is_a_core(tmp_path: Path, affinity: set[int]) -> None:
    affinity |= {0, 1, 2}
    assert usable_cores(tmp_path / "proc", tmp_path / "sys") == 3


@pytest.mark.parametrize(
    ("limit", "cores"),
    [("max 100000", 4), ("200000 100000", 2), ("150000 100000", 2), ("10000 100000", 1)],
)
def test_the_quota_of_the_cgroup_bounds(
    tmp_path: Path, affinity: set[int], limit: str, cores: int
) -> None:
    affinity |= {0, 1, 2, 3}
    proc, sys = machine(tmp_path, ["0", "1", "2", "3"], "0::/a/b\n")
    write(sys / "fs/cgroup/a/b/cpu.max", f"{limit}\n")
    assert usable_cores(proc, sys) == cores


def test_a_cgroup_above_bounds_as_well(tmp_path: Path, affinity: set[int]) -> None:
    affinity |= {0, 1, 2, 3}
    proc, sys = machine(tmp_path, ["0", "1", "2", "3"], "0::/a/b\n")
    write(sys / "fs/cgroup/a/b/cpu.max", "max 100000\n")
    write(sys / "fs/cgroup/a/cpu.max", "300000 100000\n")
    assert usable_cores(proc, sys) == 3


def test_a_namespace_shows_its_limit_at_the_root(tmp_path: Path, affinity: set[int]) -> None:
    affinity |= {0, 1}
    proc, sys = machine(tmp_path, ["0", "1"], "0::/\n")
    write(sys / "fs/cgroup/cpu.max", "100000 100000\n")
    assert usable_cores(proc, sys) == 1


def old_limit(folder: Path, quota: int) -> None:
    write(folder / "cpu.cfs_quota_us", f"{quota}\n")
    write(folder / "cpu.cfs_period_us", "100000\n")


@pytest.mark.parametrize(("quota", "cores"), [(-1, 4), (200000, 2), (150000, 2), (10000, 1)])
@pytest.mark.parametrize("place", ["cpu/docker/a", "cpu,cpuacct/docker", "cpu,cpuacct"])
def test_a_quota_of_version_1(
    tmp_path: Path, affinity: set[int], place: str, quota: int, cores: int
) -> None:
    affinity |= {0, 1, 2, 3}
    group = "5:memory:/docker/a\n4:cpu,cpuacct:/docker/a\n1:name=systemd:/\n0::/\n"
    proc, sys = machine(tmp_path, ["0", "1", "2", "3"], group)
    old_limit(sys / "fs/cgroup/memory/docker/a", 100)  # no controller of CPUs
    old_limit(sys / "fs/cgroup" / place, quota)
    assert usable_cores(proc, sys) == cores


def test_without_affinity_all_cpus_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert usable_cores(tmp_path, tmp_path) == 6


@pytest.mark.parametrize(
    ("threads", "workers", "expected"),
    [
        (None, 1, (6, 1)),
        (None, None, (1, 6)),
        (None, 4, (1, 4)),
        (None, 7, (1, 7)),
        (2, None, (2, 3)),
        (9, None, (9, 1)),
        (3, 3, (3, 3)),
    ],
)
def test_threads_and_workers_of_six_cores(
    threads: int | None, workers: int | None, expected: tuple[int, int]
) -> None:
    assert concurrency(threads, workers, 6) == expected


@pytest.mark.parametrize("wrong", [0, -1, 1.5, 5000])
def test_threads_and_workers_are_whole_numbers_within_reason(wrong: float) -> None:
    with pytest.raises(UsageError, match=f"threads is {wrong}; it must be from 1"):
        concurrency(wrong, 1, 6)
    with pytest.raises(UsageError, match=f"workers is {wrong}; it must be from 1"):
        concurrency(1, wrong, 6)
