"""Every disk operation of a run, killed or failed in turn: the next run has to finish the same."""

from __future__ import annotations

import errno
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from edgepipe import disk
from edgepipe.artifacts import RECORD
from edgepipe.errors import DiskError
from edgepipe.pipeline import job
from edgepipe.pipeline.run import Listener
from tests.pipeline import toys


def run(root: Path) -> str:
    job.run(toys.chain(), root, Listener())
    return disk.digest(root / "toy" / "bundle")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, int]:
    """The digest of an undisturbed run, and how many disk operations it takes."""
    count = 0

    def counting(name: str, path: Path) -> None:
        nonlocal count
        count += 1

    root = tmp_path_factory.mktemp("undisturbed")
    with disk.hooked(counting):
        digest = run(root)
    return digest, count


def at(number: int, act: Callable[[], None]) -> disk.Hook:
    seen = 0

    def hook(name: str, path: Path) -> None:
        nonlocal seen
        seen += 1
        if seen == number:
            act()

    return hook


def no_space() -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def in_child(work: Callable[[], None]) -> int:
    """The wait status of a forked child that did ``work``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a fork beside threads: the child touches none of them
        child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return os.waitpid(child, 0)[1]


def killed_at(number: int, root: Path) -> None:
    with disk.hooked(at(number, lambda: os.kill(os.getpid(), 9))):
        run(root)


def test_a_kill_at_every_operation_is_survived(
    tmp_path: Path, undisturbed: tuple[str, int], capsys: pytest.CaptureFixture[str]
) -> None:
    digest, count = undisturbed
    survived = 0
    for number in range(1, count + 1):
        root = tmp_path / str(number)
        status = in_child(lambda number=number, root=root: killed_at(number, root))
        assert os.WIFSIGNALED(status), f"operation {number} was never reached"
        assert run(root) == digest, f"killed at operation {number}"
        survived += 1
    with capsys.disabled():
        print(f"\nkilled at every disk operation: {survived} of {count} survived")
    assert survived == count > 30


def test_a_full_disk_at_every_operation_is_one_clear_error_and_survived(
    tmp_path: Path, undisturbed: tuple[str, int], capsys: pytest.CaptureFixture[str]
) -> None:
    digest, count = undisturbed
    survived = 0
    for number in range(1, count + 1):
        root = tmp_path / str(number)
        with disk.hooked(at(number, no_space)), pytest.raises(DiskError, match="no space left"):
            run(root)
        assert run(root) == digest, f"disk full at operation {number}"
        survived += 1
    with capsys.disabled():
        print(f"\ndisk full at every disk operation: {survived} of {count} survived")
    assert survived == count


def test_an_earlier_bundle_survives_whatever_stops_the_next_one(
    tmp_path: Path, undisturbed: tuple[str, int]
) -> None:
    _, count = undisturbed
    job.run(toys.chain(5), tmp_path / "out", Listener())
    before = disk.digest(tmp_path / "out" / "toy" / "bundle")
    for number in range(1, count + 20):
        with disk.hooked(at(number, no_space)):
            try:
                job.run(toys.chain(6), tmp_path / "out", Listener())
            except DiskError:
                disk.recover(tmp_path / "out" / "toy" / "bundle")
                assert (tmp_path / "out" / "toy" / "bundle" / RECORD).exists() is False
                after = disk.digest(tmp_path / "out" / "toy" / "bundle")
                assert (
                    after == before
                    or (tmp_path / "out" / "toy" / "bundle" / "number").read_text() == "6"
                )
