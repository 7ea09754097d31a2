from __future__ import annotations

import json
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from edgepipe import disk
from edgepipe.artifacts import Bundle, Dataset
from edgepipe.errors import DiskError
from edgepipe.pipeline import job
from edgepipe.pipeline.cache import Cache, History
from edgepipe.pipeline.key import key_digest
from edgepipe.pipeline.run import Listener, Runner
from tests.pipeline import toys

KEY = {"stage": "number", "setting value": "3"}


def make(cache: Cache, text: str = "3") -> Dataset:
    with cache.making(KEY) as (into, _):
        return cache.commit(toys.dataset(into, text).commit(), KEY)


def everything(root: Path) -> list[str]:
    return sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())


def test_what_is_filed_is_found_by_its_key_alone(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    assert cache.find(Dataset, KEY) is None
    made = make(cache)
    assert cache.find(Dataset, dict(reversed(KEY.items()))) == made
    assert cache.find(Dataset, {**KEY, "seed": "1"}) is None
    place = tmp_path / "number" / key_digest(KEY)
    assert made.path == place / "artifact"
    assert json.loads((place / "key.json").read_text()) == KEY


def test_an_entry_of_another_kind_is_no_hit(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    make(cache)
    assert cache.find(Bundle, KEY) is None


def cut(made: Dataset) -> None:
    made.file("train").write_text("")


def gone(made: Dataset) -> None:
    (made.path / "artifact.json").unlink()


def odd(made: Dataset) -> None:
    (made.path / "artifact.json").write_text('{"schema": 1, "files": []}')


@pytest.mark.parametrize("damage", [cut, gone, odd])
def test_a_damaged_entry_is_set_aside_and_made_again(
    tmp_path: Path, damage: Callable[[Dataset], None]
) -> None:
    cache = Cache(tmp_path)
    damage(make(cache))
    assert cache.find(Dataset, KEY) is None
    again = make(cache)
    assert cache.find(Dataset, KEY) == again
    again.verify()
    assert len(list((tmp_path / "damaged").iterdir())) == 1


def test_whoever_is_second_uses_what_the_first_has_filed(tmp_path: Path) -> None:
    """As two processes would that both ran the step, were there no lock."""
    cache = Cache(tmp_path)
    entries = [disk.make_folder(tmp_path / "made" / name / "artifact") for name in ("a", "b")]
    first, second = (
        cache.commit(toys.dataset(entry, text).commit(), KEY)
        for entry, text in zip(entries, ("first", "second"), strict=True)
    )
    assert first == second
    assert second.file("train").read_text() == "first"


def broken_off(cache: Cache, error: Exception) -> None:
    with cache.making(KEY) as (into, work):
        (into / "half").write_text("x")
        (work / "checkpoint").write_text("half-way")
        raise error


@pytest.mark.parametrize("error", [FileNotFoundError("a file of the stage's own"), ValueError()])
def test_a_failure_files_nothing_and_passes_as_it_is(tmp_path: Path, error: Exception) -> None:
    cache = Cache(tmp_path)
    with pytest.raises(type(error)) as caught:
        broken_off(cache, error)
    assert caught.value is error
    assert cache.find(Dataset, KEY) is None
    name = key_digest(KEY)
    assert set(everything(tmp_path)) == {f"locks/{name}", f"work/{name}/checkpoint"}


def test_a_lock_that_cannot_be_had_is_an_error_of_the_disk(tmp_path: Path) -> None:
    disk.make_folder(tmp_path / "locks" / key_digest(KEY))
    with pytest.raises(DiskError, match="lock"):
        make(Cache(tmp_path))


def test_what_a_killed_process_left_half_made_is_swept_away(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    stale = tmp_path / "unfinished" / key_digest(KEY) / "stale" / "artifact"
    disk.write_text(stale / "half", "x")
    make(cache)
    assert not [name for name in everything(tmp_path) if "half" in name]


def test_work_is_kept_until_the_step_is_done(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    with pytest.raises(KeyError):
        broken_off(cache, KeyError())
    with cache.making(KEY) as (into, work):
        assert (work / "checkpoint").read_text() == "half-way"
        cache.commit(toys.dataset(into, "3").commit(), KEY)
    assert not work.exists()


def in_children(count: int, work: Callable[[], None]) -> list[int]:
    """Wait statuses of forked children that did ``work`` at the same time."""
    children = []
    for _ in range(count):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a fork beside threads: the child touches none of them
            child = os.fork()
        if child == 0:
            status = 1
            try:
                signal.alarm(60)
                work()
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    return [os.waitpid(child, 0)[1] for child in children]


def cacheable(value: int):
    steps = toys.chain(value).steps
    return toys.pipeline(*(step for step in steps if step.stage.cached))


def test_processes_that_make_the_same_at_once_all_succeed(tmp_path: Path) -> None:
    def run() -> None:
        for value in range(5):
            list(Runner(pipeline=cacheable(value), root=tmp_path).execute())

    assert in_children(4, run) == [0] * 4
    for value in range(5):
        results = list(Runner(pipeline=cacheable(value), root=tmp_path).execute())
        assert {result.outcome.value for result in results} == {"reused"}
        for result in results:
            result.artifact.verify()


def test_runs_of_one_pipeline_at_once_all_succeed(tmp_path: Path) -> None:
    """They share a report, a bundle and what is measured anew."""

    def run() -> None:
        for value in range(5):
            job.run(toys.chain(value), tmp_path, Listener())

    assert in_children(4, run) == [0] * 4
    finished = job.run(toys.chain(4), tmp_path, Listener())
    assert (tmp_path / "toy" / "bundle" / "double").read_text() == "8"
    assert finished.steps[0].outcome.value == "reused"


def test_whoever_waits_says_for_what(tmp_path: Path) -> None:
    told: list[str] = []
    cache = Cache(tmp_path / "cache")

    def first() -> None:
        with cache.locked("run-toy", lambda: None):
            (tmp_path / "taken").touch()
            time.sleep(0.3)

    holder = threading.Thread(target=first)
    holder.start()
    while not (tmp_path / "taken").exists():
        time.sleep(0.001)
    job.run(toys.chain(), tmp_path, Listener(waiting=told.append))
    holder.join()
    assert told == ["runs 'toy'"]


# ---- history ------------------------------------------------------------------------------------


def test_the_last_key_of_every_step_is_remembered(tmp_path: Path) -> None:
    history = History(tmp_path / "state.json")
    assert history.read() == {}
    history.record("a", {"seed": "1"})
    history.record("b", {"seed": "2"})
    history.record("a", {"seed": "3"})
    assert History(tmp_path / "state.json").read() == {"a": {"seed": "3"}, "b": {"seed": "2"}}


@pytest.mark.parametrize("damage", ["", "[]", '{"number": 3}', '{"number": [1]}', "\x00"])
def test_a_damaged_history_costs_an_explanation_and_nothing_else(
    tmp_path: Path, damage: str
) -> None:
    job.run(toys.chain(3), tmp_path, Listener())
    (tmp_path / "toy" / "state.json").write_text(damage)
    plan = Runner(pipeline=toys.chain(4), root=tmp_path).plan()
    assert plan[0].why == ("never run",)
    job.run(toys.chain(4), tmp_path, Listener())
    assert set(History(tmp_path / "toy" / "state.json").read()) == {
        "number", "double", "wrapped", "clock",
    }  # fmt: skip
