"""The torch side of a benchmark: ``python -m edgepipe.training.worker_torch --checkpoint …``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from edgepipe.worker import serve

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedModel

    from edgepipe.training.load import Attention


class TorchAnswerer:
    """A checkpoint in torch, as its documentation recommends: inference mode, no needless padding.

    Tokenization runs through the same Rust tokenizer as the runtime, so that a comparison sees the
    models and not transformers' Python around the tokenizer.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: Tokenizer, max_length: int) -> None:
        from edgepipe.training.predict import forward, pad_id, run

        tokenizer.enable_truncation(max_length)
        self.model, self.tokenizer, self.max_length = model, tokenizer, max_length
        self.pad = pad_id(model)
        self._forward, self._run = forward, run

    def one(self, text: str) -> int:
        """The label of one text, run alone at its own length."""
        ids = np.asarray(self.tokenizer.encode(text).ids, np.int32)
        return int(self._forward(self.model, [ids], self.pad)[0].argmax())

    def many(self, texts: Sequence[str]) -> list[int]:
        """The labels of all texts, in batches of 32 of like length."""
        from edgepipe.training.encode import encode

        encoded = encode(texts, self.tokenizer, self.max_length)
        return [int(label) for label in self._run(self.model, encoded, self.pad).argmax(axis=1)]


def load(
    checkpoint: Path, *, max_length: int, threads: int, device: str, attention: Attention
) -> TorchAnswerer:
    """A model ready to answer, and torch on ``threads`` threads."""
    import torch

    from edgepipe.training.device import moved, torch_device
    from edgepipe.training.encode import plain_tokenizer
    from edgepipe.training.load import load_model

    torch.set_num_threads(threads)
    model = moved(load_model(checkpoint, attention=attention), torch_device(device))
    return TorchAnswerer(model, plain_tokenizer(checkpoint), max_length)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve one checkpoint until the parent has done with it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--max-length", type=int, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--attention", choices=("eager", "sdpa"), default="eager")
    given = parser.parse_args(arguments)

    def loaded() -> TorchAnswerer:
        return load(
            given.checkpoint,
            max_length=given.max_length,
            threads=given.threads,
            device=given.device,
            attention=cast("Attention", given.attention),
        )

    return serve(loaded, stdin=sys.stdin, stdout=sys.stdout)


if __name__ == "__main__":
    raise SystemExit(main())
