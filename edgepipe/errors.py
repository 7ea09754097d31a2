"""Every error a user can meet, and the exit code each one ends with."""

from __future__ import annotations

import enum
from collections.abc import Sequence


class ExitCode(enum.IntEnum):
    """How the program ended, for a shell or a CI job to act on."""

    OK = 0
    """It worked, and every gate passed."""
    BUG = 1
    """edgepipe itself is wrong; please report it."""
    USAGE = 2
    """The file or the call is wrong; nothing has run."""
    STAGE = 3
    """A stage could not work: bad input data, a missing extra or device, a full disk."""
    GATE_FAILED = 4
    """Everything worked, and the result is not good enough."""
    INCONCLUSIVE = 5
    """Everything worked, and the measurement cannot tell."""
    INTERRUPTED = 130
    """Ctrl-C."""


class EdgepipeError(Exception):
    """Base of every error raised on purpose; its message says what, where and how to mend it."""

    exit_code: ExitCode = ExitCode.BUG


class UsageError(EdgepipeError):
    """The call is wrong: an absent path, an argument that does not fit."""

    exit_code = ExitCode.USAGE


class ConfigError(UsageError):
    """A pipeline file is wrong. ``problems`` holds one line for each mistake, all of them."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class StageError(EdgepipeError):
    """A stage could not do its work."""

    exit_code = ExitCode.STAGE


class DataError(StageError):
    """A dataset cannot be used; the message names file and line."""


class DiskError(StageError):
    """The disk refused: no space left, no permission, a path in the way."""


class BundleError(StageError):
    """A bundle or a model directory is refused: changed, incomplete or of an unknown schema."""


class MissingDependencyError(StageError):
    """A package is not installed; the message holds the pip line that mends it."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs {package}, which is not installed: pip install 'edgepipe[{extra}]'"
        )
        self.package = package
        self.extra = extra


class DeviceError(StageError):
    """The device asked for cannot be used. There is no silent fallback to another one."""


class OverloadedError(StageError):
    """Too many texts are waiting: this one was not accepted, and nothing was computed for it."""


class DeadlineError(StageError):
    """The time allowed for an answer is over."""
