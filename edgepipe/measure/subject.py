"""One graph of a bundle or OnnxModel folder, and the tokens that it is counted on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgepipe.errors import BundleError, StageError, UsageError
from edgepipe.runtime.choose import AUTO
from edgepipe.runtime.manifest import Graph, Manifest, Variant, needed, read
from edgepipe.runtime.tokenize import TextTokenizer

Feed = Mapping[str, npt.NDArray[np.int64]]
_GRAPH = "model"
_WORD = "a"


@dataclass(frozen=True)
class Subject:
    """What is counted."""

    folder: Path
    variant: Variant
    graph: Graph
    tokenizer: Path
    max_length: int

    @property
    def file(self) -> Path:
        """The ONNX file; external data lies beside it."""
        return self.folder / self.graph.file

    def text(self, tokens: int) -> str:
        """A text of ``tokens`` tokens, special ones included, where a word is one token."""
        special = len(self._encoder().encode(_WORD).ids) - 1
        return " ".join([_WORD] * max(1, tokens - special))

    def feed(self, tokens: int) -> Feed:
        """Inputs by name, int64 [1, tokens]: words between special tokens, no padding.

        Raises UsageError beyond ``max_length``, StageError for a tokenizer that knows no words.
        """
        if not 1 <= tokens <= self.max_length:
            raise UsageError(f"{self.folder} takes 1 to {self.max_length} tokens, not {tokens}")
        row = self._encoder().encode(" ".join([_WORD] * tokens))
        if len(row.ids) < tokens:
            raise StageError(f"{self.tokenizer} makes {len(row.ids)} tokens of {tokens} words")
        keep = [*range(tokens - 1), len(row.ids) - 1]
        known = {
            "input_ids": [row.ids[index] for index in keep],
            "attention_mask": [1] * tokens,
            "token_type_ids": [row.types[index] for index in keep],
        }
        unknown = [name for name in self.graph.inputs if name not in known]
        if unknown:
            raise BundleError(f"{self.file} takes {', '.join(unknown)}, which is no input of texts")
        return {name: np.array([known[name]], np.int64) for name in self.graph.inputs}

    def _encoder(self) -> TextTokenizer:
        return TextTokenizer(self.tokenizer, self.max_length)


def subject(folder: Path, variant: str = AUTO) -> Subject:
    """The graph of a variant, asked for by its name or precision; ``auto`` is the first of all.

    Raises UsageError when there is no such folder or variant, BundleError when it is damaged.
    """
    manifest = read(folder)
    chosen = _chosen(folder, manifest, variant)
    if _GRAPH not in chosen.graphs:
        raise BundleError(f"{folder}: the variant {chosen.name!r} has no graph {_GRAPH!r}")
    needed(folder, manifest, chosen)
    tokenizer = folder / manifest.tokenizer
    return Subject(folder, chosen, chosen.graphs[_GRAPH], tokenizer, manifest.max_length)


def _chosen(folder: Path, manifest: Manifest, name: str) -> Variant:
    for known in ("name", "precision"):
        for variant in manifest.variants:
            if name in (AUTO, getattr(variant, known)):
                return variant
    names = ", ".join(variant.name for variant in manifest.variants)
    raise UsageError(f"{folder} has no variant {name!r}; it has {names}")
