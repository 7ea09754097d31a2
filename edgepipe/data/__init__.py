"""Labelled texts on disk: CSV, TSV, JSONL, Parquet and ``datasets`` folders, read as streams."""

from edgepipe.data.build import Shares, build
from edgepipe.data.readers import Columns, examples, parts, rows
from edgepipe.data.texts import build_texts

__all__ = ["Columns", "Shares", "build", "build_texts", "examples", "parts", "rows"]
