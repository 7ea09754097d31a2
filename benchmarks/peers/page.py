"""Draw docs/peers.md and benchmarks/results/peers.md from benchmarks/results/peers.json.

    python -m benchmarks.peers.page

Prose is in ``page.md.txt``, and what it would take to match a peer in ``better.md``. A test holds
the page to the results.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.peers import tables
from benchmarks.peers.ahead import ahead
from benchmarks.peers.goals import goals_table
from benchmarks.peers.records import Results, read
from edgepipe import disk
from edgepipe.errors import EdgepipeError, UsageError

_HERE = Path(__file__).resolve().parent
_ROOT = _HERE.parents[1]
RESULTS = _ROOT / "benchmarks" / "results" / "peers.json"
PAGE = _ROOT / "docs" / "peers.md"


def page(results: Results) -> str:
    """docs/peers.md: the prose with tables and verdicts of these results."""
    better = (_HERE / "better.md").read_text(encoding="utf-8")
    if not better.strip():
        raise UsageError("better.md is empty: it has to say what it would take to match the peers")
    failures = tables.crashes(results)
    prose = (_HERE / "page.md.txt").read_text(encoding="utf-8")
    return prose.format(
        provenance=tables.provenance(results),
        goals=goals_table(results),
        tools=tables.tools(results),
        calls=tables.calls(results),
        same_file=tables.same_file(results),
        shapes=tables.shapes(results),
        endings=tables.endings(results),
        crashes=f"## What else failed\n\n{failures}\n" if failures else "",
        ahead=ahead(results),
        better=better,
        environments=tables.environments(results),
    )


def main() -> int:
    """The exit code of drawing both files anew."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.page", description=__doc__)
    parser.add_argument("results", type=Path, nargs="?", default=RESULTS)
    parser.add_argument("--page", type=Path, default=PAGE)
    given = parser.parse_args()
    try:
        results = read(given.results)
        if results.quick:
            raise UsageError(f"{given.results} is a quick run: its figures are no page")
        disk.write_text(given.results.with_suffix(".md"), tables.results_page(results))
        disk.write_text(given.page, page(results))
    except EdgepipeError as error:
        print(f"error: {error}", file=sys.stderr)
        return int(error.exit_code)
    print(given.page)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
