"""Which words an answer hangs on, and whether two models put the same ones first."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgepipe.artifacts import Dataset, Split
from edgepipe.measure.logits import Predict
from edgepipe.measure.records import PROBABILITIES, Estimate, ExplainedText, Explanation
from edgepipe.measure.resample import mean_estimate
from edgepipe.measure.statistics import drop_bounds
from edgepipe.measure.texts import drawn

Floats = npt.NDArray[np.float64]
Weigh = Callable[[Predict, Sequence[str], int], Floats]
"""A model, the words of a text and an answer, to what each word weighs for it, float64 [words]."""
METHOD = "occlusion: the logit of the reference's answer lost without a word (captum)"
WORDS = 32
"""Parts that a text is explained by, at most."""
EXAMPLES = 5
"""Texts that a report shows."""
_FEWEST = 2
_DIGITS = 5


@dataclass(frozen=True, kw_only=True)
class Explained:
    """A text whose words are weighed, and its row in the split, from 0."""

    row: int
    words: tuple[str, ...]


def texts_to_explain(
    data: Dataset, split: Split, count: int, *, seed: int
) -> tuple[Explained, ...]:
    """``count`` texts drawn from the split, without those of a single word.

    Words are what white space parts, so that models with different tokenizers can be compared. A
    text of more than 32 is explained by 32 runs of words in a row: what it costs does not grow with
    its length.
    """
    found = (
        Explained(row=row, words=_parts(text.split()))
        for row, text in drawn(data, split, count, seed=seed)
    )
    return tuple(text for text in found if len(text.words) >= _FEWEST)


def _parts(words: Sequence[str]) -> tuple[str, ...]:
    if len(words) <= WORDS:
        return tuple(words)
    return tuple(" ".join(run) for run in np.array_split(np.array(words, object), WORDS))


def explanation(
    texts: Sequence[Explained],
    reference: Sequence[Floats],
    candidate: Sequence[Floats],
    *,
    resamples: int,
    seed: int,
) -> Explanation | None:
    """How alike two models weigh the words of ``texts``; None for fewer than two texts.

    Left out are texts whose words all weigh the same to the reference: they have no order.
    """
    found = [
        ExplainedText(
            text=" ".join(text.words),
            words=text.words,
            reference=tuple(map(float, old)),
            candidate=tuple(map(float, new)),
            rank_agreement=rank_agreement(old, new),
        )
        for text, old, new in zip(
            texts, map(_settled, reference), map(_settled, candidate), strict=True
        )
        if np.ptp(old) > 0
    ]
    if len(found) < _FEWEST:
        return None
    agreements = [text.rank_agreement for text in found]
    same = [np.argmax(text.reference) == np.argmax(text.candidate) for text in found]
    return Explanation(
        method=METHOD,
        texts=len(found),
        rank_agreement=_widened(
            mean_estimate(agreements, resamples=resamples, seed=seed), len(found)
        ),
        same_top_word=float(np.mean(same)),
        examples=tuple(sorted(found, key=lambda text: text.rank_agreement)[:EXAMPLES]),
    )


def _widened(found: Estimate, texts: int) -> Estimate:
    """With lower bounds no nearer than what texts that were not drawn could cost, all unseen.

    A bootstrap of texts that all agree is a point. Of ``texts`` without any that disagree, a share
    of up to ``drop_bounds(0, 0, texts)`` may, and each may cost the whole range of correlations, 2.
    """
    levels = [p for p in PROBABILITIES if p < 0.5]  # noqa: PLR2004 (the middle)
    lows = [
        max(-1.0, min(low, found.value - 2 * drop_bounds(0, 0, texts, confidence=1 - p).high))
        for low, p in zip(found.quantiles, levels, strict=False)
    ]
    return Estimate(value=found.value, quantiles=(*lows, *found.quantiles[len(lows) :]))


def rank_agreement(reference: Floats, candidate: Floats) -> float:
    """Spearman's correlation of two weightings, ties sharing their mean rank; between -1 and 1.

    0 where either weighs all words the same: it shares no order with anything.
    """
    old, new = _ranks(reference), _ranks(candidate)
    spread = float(np.sqrt((old @ old) * (new @ new)))
    return max(-1.0, min(1.0, float(old @ new) / spread)) if spread > 0 else 0.0


def _settled(weights: Floats) -> Floats:
    """To five digits of the largest: what lies below is rounding, and puts no words in order."""
    largest = float(np.abs(weights).max())
    if largest == 0:
        return weights
    return np.round(weights, _DIGITS - 1 - math.floor(math.log10(largest)))


def _ranks(values: Floats) -> Floats:
    """Ranks around their mean, float64."""
    _, where, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    return np.asarray(ranks[where] - (len(values) + 1) / 2, np.float64)
