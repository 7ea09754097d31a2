"""The page's texts: those answered differently, and what single words weigh for an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgepipe.measure.records import Comparison, ExplainedText, Explanation, Flip
from edgepipe.present.legible import clipped
from edgepipe.present.page_parts import between, percent
from edgepipe.present.words import figure

FLIPS = 50
_TEXTS = 5
_WORDS = 60
_LEVELS = 5
"""Shades on either side of nothing."""


@dataclass(frozen=True, kw_only=True)
class FlipView:
    """A text that is answered differently now."""

    row: int
    text: str
    label: str
    reference: str
    candidate: str
    reference_sure: str
    candidate_sure: str
    outcome: str
    """Of the change: mended, broken, or another mistake."""


@dataclass(frozen=True, kw_only=True)
class Word:
    """A word of a text, its weight in figures and as a shade."""

    text: str
    weight: str
    shade: str


@dataclass(frozen=True, kw_only=True)
class TextView:
    """One text as both models weigh it."""

    agreement: str
    reference: tuple[Word, ...]
    candidate: tuple[Word, ...]
    more: int
    """Words that are left out."""


@dataclass(frozen=True, kw_only=True)
class ExplainView:
    """Whether the candidate answers for the same reasons."""

    about: str
    texts: tuple[TextView, ...]


def flip_views(found: Comparison) -> tuple[FlipView, ...]:
    """At most ``FLIPS`` of the texts that are answered differently."""
    return tuple(map(_flip, found.flips[:FLIPS]))


def _flip(flip: Flip) -> FlipView:
    outcome = {flip.reference: "broken", flip.candidate: "mended"}.get(flip.label, "still wrong")
    return FlipView(
        row=flip.row,
        text=clipped(flip.text),
        label=clipped(flip.label, 80),
        reference=clipped(flip.reference, 80),
        candidate=clipped(flip.candidate, 80),
        reference_sure=f"{flip.reference_confidence:.0%}",
        candidate_sure=f"{flip.candidate_confidence:.0%}",
        outcome=outcome,
    )


def explain_view(found: Explanation) -> ExplainView:
    """The texts that agree least, a few words of each weighed by both."""
    rank = found.rank_agreement
    return ExplainView(
        about=(
            f"By {found.method}, on {found.texts:,} texts: Spearman's correlation of the words' "
            f"weights {figure(rank.value, 'correlation')} "
            f"({between(rank.bounds(0.975), 'correlation')}); "
            f"the weightiest word is the same in {percent(found.same_top_word)}."
        ),
        texts=tuple(map(_text, found.examples[:_TEXTS])),
    )


def _text(found: ExplainedText) -> TextView:
    return TextView(
        agreement=figure(found.rank_agreement, "correlation"),
        reference=_weighed(found.words, found.reference),
        candidate=_weighed(found.words, found.candidate),
        more=max(len(found.words) - _WORDS, 0),
    )


def _weighed(words: Sequence[str], weights: Sequence[float]) -> tuple[Word, ...]:
    """Shades relative to the weightiest word of this model and text."""
    most = max(map(abs, weights), default=0.0) or 1.0
    pairs = list(zip(words, weights, strict=False))[:_WORDS]
    return tuple(
        Word(text=clipped(word, 60), weight=_weight(weight), shade=_shade(weight / most))
        for word, weight in pairs
    )


def _weight(value: float) -> str:
    text = f"{value:+.2f}"
    return text if float(text) else "0.00"


def _shade(share: float) -> str:
    """The class of a weight that is this share of the largest: ``for1`` to ``against5``, or ""."""
    level = round(abs(share) * _LEVELS)
    return f"{'for' if share > 0 else 'against'}{level}" if level else ""
