"""Text that may come from a bundle, made fit for a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """``text`` with every character escaped that a terminal might act on instead of showing it.

    Control characters, escape sequences, direction overrides, line separators, lone surrogates.
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
