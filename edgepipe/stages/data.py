"""Files to Dataset: labelled texts, checked row by row, with every split that later steps need."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from edgepipe.artifacts import Dataset
from edgepipe.errors import StageError
from edgepipe.sources import Source
from edgepipe.stage import Stage, Work

Share = Annotated[float, Field(ge=0.0, le=0.5)]


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Nothing: outside files enter here."""


class Data(Stage[Inputs, Dataset]):
    """Read CSV, TSV, JSONL, Parquet or a ``datasets`` folder; make the splits that are missing.

    Missing validation and test splits are taken from the training file, stratified by label and
    seeded; equal texts stay in one split. Files are streamed, in a few passes; memory grows by
    some 200 bytes a row, whatever the length of the texts.
    """

    inputs = Inputs
    makes = Dataset
    tools = ("numpy",)
    depends = frozenset({"seed"})

    train: Source
    """A file, or a saved ``DatasetDict`` that holds the other splits too."""
    validation: Source | None = None
    """Its own file; else taken from ``train``."""
    test: Source | None = None
    """Its own file; else taken from ``train``."""
    text_column: str = "text"
    label_column: str = "label"
    """Names, or the numbers from 0."""
    keep: tuple[str, ...] = ()
    """Further columns that go along with every text, for a validate step to make slices by."""
    labels: tuple[str, ...] | None = None
    """Names in index order; default: what the data says."""
    validation_share: Share = 0.1
    """Of all rows, when there is no validation split."""
    test_share: Share = 0.2
    """Of all rows, when there is no test split."""
    bad_rows: Literal["refuse", "skip"] = "refuse"
    """What to do with a row that has no text or no label; skipped ones are counted."""

    @model_validator(mode="after")
    def _something_is_left(self) -> Data:
        if self.validation_share + self.test_share >= 1:
            raise ValueError("validation_share and test_share leave nothing to train on")
        return self

    @model_validator(mode="after")
    def _slices_have_one_meaning(self) -> Data:
        if len(set(self.keep)) != len(self.keep):
            raise ValueError(f"keep names a column twice: {', '.join(self.keep)}")
        for taken in ("length", "label"):
            if taken in self.keep:
                raise ValueError(
                    f"keep: slices by {taken!r} are made of every split anyway; a column to keep "
                    "needs another name"
                )
        return self

    def run(self, inputs: Inputs, into: Path, work: Work) -> Dataset:  # noqa: ARG002
        """Check every row, then write ``SPLIT.jsonl`` for each split."""
        from edgepipe import data

        use = data.Columns(
            text=self.text_column,
            label=self.label_column,
            keep=self.keep,
            skip_bad_rows=self.bad_rows == "skip",
        )
        shares = data.Shares(validation=self.validation_share, test=self.test_share)
        return data.build(
            self._files(),
            into,
            use=use,
            labels=self.labels,
            shares=shares,
            seed=work.seed,
            progress=work.progress,
        )

    def _files(self) -> dict[str, Path]:
        """A file for each split there is: named here, or held by a saved DatasetDict."""
        from edgepipe.data import parts

        files = parts(self.train.locate())
        for split, source in (("validation", self.validation), ("test", self.test)):
            if source is not None:
                files[split] = source.locate()
        return files

    def ensures(self, made: Dataset) -> None:
        """Every class can be learnt, and something is there to choose and to judge by."""
        for split in ("train", "validation"):
            if split not in made.splits:
                raise StageError(f"the dataset has no {split} split, and its share is 0")
        for name, count in zip(made.labels, made.splits["train"].label_counts, strict=True):
            if count == 0:
                raise StageError(f"label {name!r} never occurs in the training split")
