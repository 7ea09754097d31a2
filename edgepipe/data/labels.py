"""Labels as files write them, to indices."""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterable, Sequence

from edgepipe.data.readers import Example
from edgepipe.errors import DataError

_TWO = 2
_NUMBER = re.compile("0|[1-9][0-9]{0,8}")
"""An index as JSON writes it; 007 is a name."""


def label_names(seen: Iterable[str], asked: Sequence[str] | None) -> tuple[tuple[str, ...], bool]:
    """The label names in index order, and whether the files write indices instead of names.

    Files that write the integers 0 to n-1 write indices; ``asked`` then names them. Otherwise the
    labels are ``asked``, or the sorted distinct values. Raises DataError for a single class, for
    a gap among the integers, and for names that do not fit.
    """
    values = set(seen)
    numeric = bool(values) and all(_NUMBER.fullmatch(v) for v in values)
    if asked is not None and not (numeric and not values <= set(asked)):
        return _checked(tuple(asked)), False
    if not numeric:
        return _checked(tuple(sorted(values))), False
    highest = max(int(v) for v in values)
    if asked is not None:
        if len(asked) <= highest:
            raise DataError(f"the data has label {highest}, but only {len(asked)} labels are named")
        return _checked(tuple(asked)), True
    if len(values) != highest + 1:
        unseen = (str(n) for n in range(highest) if str(n) not in values)
        raise DataError(
            f"labels are numbers up to {highest}, but {', '.join(itertools.islice(unseen, 5))} "
            "never occur in the training split; if they are class names, give them all as "
            "labels = [...]"
        )
    return _checked(tuple(str(n) for n in range(highest + 1))), True


def _checked(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(names) < _TWO:
        raise DataError(f"classification needs two classes or more, the data has {list(names)}")
    if len(set(names)) != len(names) or not all(name.strip() for name in names):
        raise DataError(f"label names have to be distinct and not empty, got {list(names)}")
    return names


class LabelMap:
    """Turns the label of an example into its index; DataError names file and line otherwise."""

    def __init__(self, names: Sequence[str], *, numbers: bool) -> None:
        written = [str(n) for n in range(len(names))] if numbers else list(names)
        self._index = {label: n for n, label in enumerate(written)}

    def __call__(self, example: Example) -> int:
        """The index of the example's label."""
        try:
            return self._index[example.label]
        except KeyError:
            near = difflib.get_close_matches(example.label, list(self._index), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            have = ", ".join(list(self._index)[:10])
            raise DataError(
                f"{example.where}: unknown label {example.label!r} (labels: {have}){hint}"
            ) from None
