"""A bundle as one zip of reproducible bytes, and back from a zip that nobody trusts yet."""

from __future__ import annotations

from pathlib import Path


def pack(folder: Path, target: Path, *, force: bool = False) -> None:
    """``target`` is one zip of the bundle at ``folder``, which was verified first."""
    raise NotImplementedError


def unpack(archive: Path, into: Path, *, force: bool = False) -> None:
    """``into`` is the bundle that ``archive`` holds, verified; or nothing has changed."""
    raise NotImplementedError
