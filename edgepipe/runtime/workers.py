"""The batches of one call, worked off by several threads at once."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

T = TypeVar("T")


class Workers:
    """``count`` threads, the calling one among them; the others are started when first needed.

    May be used by several threads at once, and in a forked process, which starts threads anew.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool: tuple[int, ThreadPoolExecutor] | None = None

    def run(self, work: Callable[[T], None], items: Iterable[T]) -> None:
        """``work`` is done for every item; or an error of it is raised, and nothing runs any more.

        Items that were not begun when the error came are left alone.
        """
        left = deque(items)
        helpers = min(self.count, len(left)) - 1
        if helpers < 1:
            _work_off(left, work)
            return
        from concurrent.futures import wait

        pool = self._started()
        futures = [pool.submit(_work_off, left, work) for _ in range(helpers)]
        try:
            _work_off(left, work)
        finally:
            left.clear()
            wait(futures)
        for future in futures:
            future.result()

    def close(self) -> None:
        """The threads have ended; a later ``run`` starts others."""
        pool, self._pool = self._pool, None
        if pool is not None and pool[0] == os.getpid():
            pool[1].shutdown()

    def _started(self) -> ThreadPoolExecutor:
        """The pool of this process.

        Without a lock, which a forked child might find locked forever: two threads may make a pool
        each, and the threads of the one that is replaced end after their work.
        """
        from concurrent.futures import ThreadPoolExecutor

        pool = self._pool
        if pool is None or pool[0] != os.getpid():
            self._pool = pool = (os.getpid(), ThreadPoolExecutor(self.count - 1, "edgepipe"))
        return pool[1]


def _work_off(left: deque[T], work: Callable[[T], None]) -> None:
    """Take items until none is left. An error leaves none for the other threads either."""
    while left:
        try:
            item = left.popleft()
        except IndexError:  # another thread was quicker
            return
        try:
            work(item)
        except BaseException:
            left.clear()
            raise
