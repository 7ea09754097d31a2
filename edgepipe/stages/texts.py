"""File to Texts: texts that nobody labelled, to see whether two models answer them alike."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from edgepipe.artifacts import Texts
from edgepipe.sources import Source
from edgepipe.stage import Stage, Work


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Nothing: an outside file enters here."""


class ImportTexts(Stage[Inputs, Texts]):
    """Read CSV, TSV, JSONL, Parquet, a ``datasets`` folder, or a .txt file with one text a line.

    Streamed: memory does not grow with the file.
    """

    inputs = Inputs
    makes = Texts

    file: Source
    text_column: str = "text"
    limit: Annotated[int, Field(gt=0)] | None = None
    """Take the first ones, at most so many."""
    bad_rows: Literal["refuse", "skip"] = "refuse"
    """What to do with a row that has no text; skipped ones are counted."""

    def run(self, inputs: Inputs, into: Path, work: Work) -> Texts:  # noqa: ARG002
        """Check every row and write ``texts.jsonl``."""
        from edgepipe import data

        return data.build_texts(
            self.file.locate(),
            into,
            column=self.text_column,
            limit=self.limit,
            skip_bad_rows=self.bad_rows == "skip",
        )
