"""Text that may come from a report, made fit for the log of a CI job: a terminal that obeys lines.

GitHub's runner obeys ``::command::`` at the start of a line and ``##[command]`` anywhere in it,
Azure's ``##vso[command]``. Who may name a model or write a text of the test set must not give it
orders.
"""

from __future__ import annotations

import re

from edgepipe.bundle.printable import printable

_ANYWHERE = re.compile(r"##(?=\[|vso\[)", re.IGNORECASE)
_AT_START = re.compile(r"^(\s*)::", re.MULTILINE)


def line(text: str) -> str:
    r"""``text`` on one line, with ``\x23`` and ``\x3a`` where a terminal or a runner would act."""
    return _AT_START.sub(r"\1\\x3a:", inline(text))


def inline(text: str) -> str:
    """The same for a text that stands behind others on its line, where ``::`` is no command."""
    return _ANYWHERE.sub(r"#\\x23", printable(text))


def json_lines(text: str) -> str:
    r"""The JSON ``text`` with the same values, its commands broken by ``\u0023``.

    Lines of JSON begin with no colon, and two number signs stand only in strings.
    """
    return _ANYWHERE.sub(r"#\\u0023", text)


def markup_lines(text: str) -> str:
    """The XML or HTML ``text`` with the same content, its commands broken by character references.

    Style sheets, which know no such references, must hold none.
    """
    return _AT_START.sub(r"\1&#58;:", _ANYWHERE.sub("#&#35;", text))
