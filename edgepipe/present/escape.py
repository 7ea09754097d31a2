"""Text that anybody may have written, made harmless for Markdown as GitHub and GitLab show it."""

from __future__ import annotations

import re

from edgepipe.present import terminal

LONGEST = 240
"""Characters of one text."""
_PLAIN = re.compile(
    r"[A-Za-z0-9(](?:[A-Za-z0-9 ,;%()'+=/±-]|[.:](?=[ 0-9]|$)|(?<!`)`[A-Za-z0-9_]+`(?!`))*"
)
"""Letters, digits and punctuation that means nothing in Markdown and makes no link or mention;
and words that are code spans already."""
_LINKS = re.compile(r"www\.|://|\bgh-\d|\b(?=\d*[a-f])[0-9a-f]{7,}\b", re.IGNORECASE)
"""Also what GitHub takes for an issue or a commit."""
_RUNS = re.compile("`+")
_BAR = "\N{BROKEN BAR}"


def prose(text: str) -> str:
    """``text`` as it is where nothing in it could be taken for Markdown, else as ``code``.

    On one line.
    """
    line = _line(text, LONGEST * 4)
    harmless = _PLAIN.fullmatch(line) and not _LINKS.search(line)
    return line if harmless else _fenced(line)


def code(text: str, *, longest: int = LONGEST) -> str:
    """``text`` as a code span on one line: no HTML, link, mention or emphasis can come of it.

    A vertical bar, which no escape makes safe in every table, becomes a broken one. What is longer
    than ``longest`` characters is cut.
    """
    return _fenced(_line(text, longest))


def block(text: str) -> list[str]:
    """The lines of ``text`` as a fenced block that nothing in it can end."""
    fence = "`" * max(3, 1 + _longest_run(text))
    return [fence, *map(terminal.line, text.splitlines()), fence]


def _line(text: str, longest: int) -> str:
    line = terminal.inline(" ".join(text.split()))
    return line if len(line) <= longest else line[: longest - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _fenced(line: str) -> str:
    if not line:
        return "(empty)"
    fence = "`" * (1 + _longest_run(line))
    pad = " " if line[0] == "`" or line[-1] == "`" else ""
    return f"{fence}{pad}{line.replace('|', _BAR)}{pad}{fence}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in _RUNS.findall(text)), default=0)
