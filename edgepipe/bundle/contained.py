"""A process that may die, hang or chatter without end, and how it ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

from edgepipe.errors import StageError

OUTPUT_BYTES = 8 << 20
"""Of standard output and standard error each; a process that writes more is killed."""
_GRACE_S = 10.0


@dataclass(frozen=True)
class Ended:
    """How a process came to its end."""

    code: int
    """As ``subprocess`` gives it: negative for a signal."""
    late: bool
    """It was killed because its time was over."""
    output: bytes | None
    """Of standard output; None: it was killed for writing too much."""
    noise: bytes | None
    """The same of standard error."""

    @property
    def signal(self) -> str:
        """The name of the signal that killed it, like SIGSEGV; empty when none did."""
        if self.code >= 0:
            return ""
        try:
            return signal.Signals(-self.code).name
        except ValueError:
            return f"signal {-self.code}"


def run(command: Sequence[str], environment: Mapping[str, str], seconds: float) -> Ended:
    """The process has ended, and on POSIX with it whatever stayed in its process group.

    A descendant that moved to a group of its own is not found, and lives on. The process has no
    standard input, and starts in the root folder. StageError when it cannot be started.
    """
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=os.sep,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        raise StageError(f"{command[0]} could not be started: {error}") from error
    output, noise = (
        _Reader(pipe, lambda: _kill(process)) for pipe in (process.stdout, process.stderr)
    )
    late = False
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        late = True
    finally:
        _kill(process)
        process.wait()
    return Ended(process.returncode, late, output.found(), noise.found())


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


class _Reader:
    """A thread that reads a pipe to its end, and calls ``stop`` when that is too far away."""

    def __init__(self, pipe: IO[bytes] | None, stop: Callable[[], None]) -> None:
        self._pipe, self._stop = pipe, stop
        self._content: bytes | None = None
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        if self._pipe is None:
            return
        with self._pipe as pipe:
            content = pipe.read(OUTPUT_BYTES + 1)
            if len(content) <= OUTPUT_BYTES:
                self._content = content
            else:
                self._stop()

    def found(self) -> bytes | None:
        """All of it; None when it was too much, or something that fled still holds the pipe."""
        self._thread.join(_GRACE_S)
        return self._content
