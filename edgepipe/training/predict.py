"""The reference answers: a checkpoint run by torch, eager attention, float32."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from transformers import PreTrainedModel

from edgepipe.training.device import moved, torch_device
from edgepipe.training.encode import Encoded, encode, padded, plain_tokenizer
from edgepipe.training.load import load_model

Logits = npt.NDArray[np.float32]
BATCH = 32


def logits(folder: Path, texts: Sequence[str], *, max_length: int, device: str = "cpu") -> Logits:
    """The checkpoint's answers: float32 [texts, labels], in the order of ``texts``.

    Runs in batches of 32 texts of like length, with eager attention, on torch's current number of
    threads. Raises StageError when the folder cannot be loaded, DeviceError for an absent device.
    """
    place = torch_device(device)
    model = moved(load_model(folder), place)
    encoded = encode(texts, plain_tokenizer(folder), max_length)
    return run(model, encoded, pad_id(model))


def run(model: PreTrainedModel, encoded: Encoded, pad: int, batch_size: int = BATCH) -> Logits:
    """The model's logits for every text, float32 [texts, labels], in the order of ``encoded``.

    The model is in evaluation mode meanwhile and returns to the mode it was in.
    """
    answers = np.zeros((len(encoded), model.config.num_labels or 0), np.float32)
    training = model.training
    model.train(mode=False)
    try:
        for rows in by_length(encoded, batch_size):
            answers[rows] = forward(model, [encoded[row] for row in rows], pad)
    finally:
        model.train(mode=training)
    return answers


def forward(model: PreTrainedModel, rows: Sequence[npt.NDArray[np.int32]], pad: int) -> Logits:
    """Logits of one padded batch, float32 [rows, labels]."""
    input_ids, mask = padded(rows, pad)
    with torch.inference_mode():
        answer = model(
            input_ids=torch.from_numpy(input_ids).to(model.device),
            attention_mask=torch.from_numpy(mask).to(model.device),
        )
    values: Logits = answer.logits.float().cpu().numpy()
    return values


def by_length(encoded: Encoded, batch_size: int) -> Iterator[npt.NDArray[np.int64]]:
    """Indices of texts of like length, a batch at a time, the longest first."""
    order = np.argsort(-encoded.lengths, kind="stable")
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def pad_id(model: PreTrainedModel) -> int:
    """The id that fills up shorter rows; the mask hides it, so 0 serves where none is set."""
    known = model.config.pad_token_id
    return 0 if known is None else int(known)
