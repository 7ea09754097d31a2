"""WordPiece vocabularies that come out the same every time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from edgepipe.training.settings import TokenizerTable

SPECIAL = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
_INSIDE = "##"
_ALPHABET = 1000


def wordpiece(texts: Callable[[], Iterable[str]], table: TokenizerTable) -> Tokenizer:
    """A WordPiece tokenizer learned from ``texts()``, which is called twice.

    The trainer of ``tokenizers`` numbers the single characters inside words in the order of a hash
    table, which differs from process to process, and breaks ties between merges by those numbers.
    Here they are counted first and given to it in order, as if they were special.
    """
    tokenizer = _untrained(models.WordPiece(unk_token=SPECIAL["unk_token"]), table)
    first, inside = _characters(texts(), tokenizer)
    trainer = trainers.WordPieceTrainer(
        vocab_size=table.vocab_size,
        special_tokens=[*SPECIAL.values(), *(_INSIDE + character for character in inside)],
        initial_alphabet=first,
        limit_alphabet=len(first),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts(), trainer)
    model = models.WordPiece(tokenizer.get_vocab(), unk_token=SPECIAL["unk_token"])
    trained = _untrained(model, table)
    trained.add_special_tokens(list(SPECIAL.values()))
    return trained


def _untrained(model: models.WordPiece, table: TokenizerTable) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=table.lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix=_INSIDE)
    return tokenizer


def _characters(texts: Iterable[str], tokenizer: Tokenizer) -> tuple[list[str], list[str]]:
    """The 1,000 commonest characters, sorted, and those of them that stand inside words."""
    counts: Counter[str] = Counter()
    inside: set[str] = set()
    for text in texts:
        clean = tokenizer.normalizer.normalize_str(text)
        for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(clean):
            counts.update(word)
            inside.update(word[1:])
    kept = sorted(sorted(counts), key=lambda character: -counts[character])[:_ALPHABET]
    return sorted(kept), sorted(inside.intersection(kept))
