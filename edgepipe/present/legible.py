"""Text from anywhere, made fit for a page: nothing in it is acted on instead of being shown."""

from __future__ import annotations

import re

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters, but for tabs and line ends
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # overrides of the direction
    "\u2028\u2029\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"  # separators, annotations, tags
    "\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"  # what is no character
)


def legible(text: str) -> str:
    r"""``text`` with escapes like ``\u202e`` for what controls a page or is no character.

    Line ends are kept. Joiners are, too: emoji and whole scripts need them.
    """
    text = text.replace("\r\n", "\n")
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def shortened(text: str, most: int = 48) -> str:
    """``text`` without its middle where it is longer than ``most`` characters."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[: most - half - 1]}…{text[-half:]}"


def clipped(text: str, most: int = 600) -> str:
    """The first ``most`` characters of ``text``, and how many more there are."""
    if len(text) <= most:
        return text
    return f"{text[:most]}… (and {len(text) - most:,} more characters)"
