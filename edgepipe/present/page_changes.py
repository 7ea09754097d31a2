"""The page's comparison: what changed since the baseline, and what cannot be compared."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from edgepipe.pipeline.report import RunReport
from edgepipe.present.changes import ANSWERS, Change, changes, missing
from edgepipe.present.page_parts import Table, plural, table

_ROWS = 200
_SAME = "same"


@dataclass(frozen=True, kw_only=True)
class ChangesView:
    """The report beside an earlier one."""

    about: str
    figures: Table | None
    operators: Table | None
    apart: tuple[str, ...]


def changes_view(report: RunReport, baseline: RunReport | None) -> ChangesView | None:
    """None without a baseline."""
    if baseline is None:
        return None
    found = changes(report, baseline)
    differ = [c for c in found if not c.why and c.difference != _SAME]
    counted = [c for c in differ if c.unit == "count" and c.what != ANSWERS]
    figures = [c for c in differ if c not in counted]
    same = sum(c.difference == _SAME for c in found)
    apart = [f"{c.model}, {c.what}: {c.why}" for c in found if c.why]
    return ChangesView(
        about=(
            f"The baseline is {baseline.name} of {baseline.created}: {baseline.verdict}. "
            f"{plural(len(differ), 'figure')} changed, {same:,} did not. Differences of clocks "
            "and shares may be noise: only the gates are tests."
        ),
        figures=_table("figure", figures),
        operators=_table("nodes", counted),
        apart=tuple((*missing(report, baseline), *apart)[:_ROWS]),
    )


def _table(what: str, found: Sequence[Change]) -> Table | None:
    if not found:
        return None
    rows = ((c.model, c.what, c.shown(c.before), c.shown(c.after), c.difference) for c in found)
    more = f"{len(found) - _ROWS:,} more" if len(found) > _ROWS else ""
    columns = ("model", what, "baseline", "now", "change")
    return table(columns, itertools.islice(rows, _ROWS), words=2, more=more)
