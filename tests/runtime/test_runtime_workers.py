from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading

import pytest

from edgepipe.runtime.workers import Workers

TIMEOUT = 60


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("items", [0, 1, 3, 100])
def test_every_item_is_done_once(count: int, items: int) -> None:
    done: list[int] = []
    Workers(count).run(done.append, range(items))
    assert sorted(done) == list(range(items))


@pytest.mark.parametrize("count", [1, 2, 4])
def test_as_many_run_at_once_as_there_are_workers(count: int) -> None:
    """All meet; the last ones of more than ``count`` would break the barrier."""
    meeting, lock = threading.Barrier(count), threading.Lock()
    now, most = 0, 0

    def meet(_: int) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        meeting.wait(TIMEOUT)
        with lock:
            now -= 1

    Workers(count).run(meet, range(3 * count))
    assert most == count


def test_the_calling_thread_is_one_of_them() -> None:
    workers, meeting = Workers(2), threading.Barrier(2)
    names: list[str] = []

    def note(_: int) -> None:
        meeting.wait(TIMEOUT)
        names.append(threading.current_thread().name)

    workers.run(note, range(2))
    assert threading.current_thread().name in names
    assert len(set(names)) == 2
    workers.close()


@pytest.mark.parametrize("wrong", [ZeroDivisionError, IndexError, KeyboardInterrupt])
@pytest.mark.parametrize("where", ["caller", "helper"])
def test_an_error_ends_the_others(wrong: type[BaseException], where: str) -> None:
    """The other thread is at work when one fails: it is waited for, and leaves the rest."""
    caller, meeting = threading.current_thread(), threading.Barrier(2)
    began: list[int] = []
    ended: list[int] = []

    def work(item: int) -> None:
        began.append(item)
        if item < 2:
            meeting.wait(TIMEOUT)
            if (threading.current_thread() is caller) == (where == "caller"):
                raise wrong("on purpose")
        ended.append(item)

    workers = Workers(2)
    with pytest.raises(wrong, match="on purpose"):
        workers.run(work, range(1_000_000))
    assert 2 <= len(began) < 1_000_000
    assert len(ended) == len(began) - 1
    done: list[int] = []
    workers.run(done.append, range(3))
    assert sorted(done) == [0, 1, 2]
    workers.close()


def helpers() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("edgepipe_")}


def test_after_close_no_thread_is_left() -> None:
    before = helpers()
    workers, meeting = Workers(3), threading.Barrier(3)
    workers.run(lambda _: meeting.wait(TIMEOUT), range(3))
    assert len(helpers() - before) == 2
    workers.close()
    workers.close()
    assert helpers() <= before


def test_several_threads_share_the_workers() -> None:
    workers, done = Workers(3), []
    callers = [
        threading.Thread(target=workers.run, args=(done.append, range(200))) for _ in range(8)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(TIMEOUT)
    assert sorted(done) == sorted([*range(200)] * 8)
    workers.close()


FORK = """
import os, sys
from edgepipe.runtime import load
classifier = load(sys.argv[1], threads=1, workers=2)
texts = ["the film is good"] * 200 + ["bad"] * 200
before = classifier.logits(texts).tolist()
assert classifier._workers._pool is not None
child = os.fork()
if child == 0:
    assert classifier.logits(texts).tolist() == before
    assert classifier._workers._pool[0] == os.getpid()
    classifier.close()
    sys.exit(7)  # through all destructors
assert classifier.logits(texts).tolist() == before
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows cannot fork")
def test_a_forked_child_starts_threads_of_its_own(bundle: object) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(FORK), str(bundle)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "7\n", "")
