"""What each word of a text weighs for an answer, by captum."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from captum.attr import FeatureAblation

Predict = Callable[[Sequence[str]], npt.NDArray[np.float32]]


def occlusion(predict: Predict, words: Sequence[str], answer: int) -> npt.NDArray[np.float64]:
    """How much of the logit of ``answer`` is lost without each word, float64 [words].

    Words are left out one at a time (Zeiler and Fergus, "Visualizing and understanding
    convolutional networks", ECCV 2014; leave-one-out by Li, Monroe and Jurafsky, "Understanding
    neural networks through representation erasure", 2016) from a mask of ones, by captum's
    ``FeatureAblation``. ``predict`` is called twice, with the whole text and with all the others;
    nothing is random. Any model can be asked: only its logits are looked at.
    """

    def without(masks: torch.Tensor) -> torch.Tensor:
        texts = [" ".join(itertools.compress(words, mask)) for mask in masks.tolist()]
        return torch.from_numpy(predict(texts)[:, answer].astype(np.float64))

    whole = torch.ones(1, len(words), dtype=torch.float64)
    lost = FeatureAblation(without).attribute(whole, perturbations_per_eval=len(words))
    return np.asarray(lost[0].numpy(), np.float64)
