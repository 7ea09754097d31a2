"""Long texts are cut before they are tokenized: that never changes a token."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from edgepipe.errors import BundleError, UsageError
from edgepipe.runtime import tokenize
from edgepipe.runtime.tokenize import TextTokenizer

CORPUS = [
    "the quick brown fox jumps over the lazy dog 1234567890 , . ! ? ' - ( )",
    "Zürich café naïve façade ÅNGSTRÖM Σίσυφος 中文字符 ☃ emoji 😀 don't we'll they've",
    "runs  of   spaces    and     more      of       them  too   and    so     on",
    "a e i o u an in on at un re ing ed ly tion ness",
]
LENGTH = 12


def special() -> processors.PostProcessor:
    return processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 0), ("[SEP]", 1)]
    )


def wordpiece() -> Tokenizer:
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokens = ["[CLS]", "[SEP]", "[UNK]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=160, special_tokens=tokens, show_progress=False)
    made.train_from_iterator(CORPUS, trainer)
    made.post_processor = special()
    return made


def byte_level() -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["[CLS]", "[SEP]"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(CORPUS, trainer)
    made.post_processor = special()
    return made


def cut_differently() -> Tokenizer:
    made = byte_level()
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Punctuation(), pre_tokenizers.ByteLevel(use_regex=False)]
    )
    return made


def with_a_phrase() -> Tokenizer:
    made = wordpiece()
    made.add_tokens(["brown fox"])
    return made


def normalized_first() -> Tokenizer:
    made = byte_level()
    made.normalizer = normalizers.Replace("o f", "of")
    return made


def saved(made: Tokenizer, folder: Path) -> Path:
    made.save(str(folder / "tokenizer.json"))
    return folder / "tokenizer.json"


PIECES = [
    *" ".join(CORPUS).split(),
    *"abcxyz.,!-'\"0",
    *(" ", "  ", "   ", "\t", "\n", "\r\n", " \n ", "\u00a0", "\u2003", "\u200b", "\x00", "\x1d"),
    *(
        "\u0301",
        " \u0301",
        "e\u0301",
        "\u0327\u0301",
        "Σ",
        "ΣΑΣ",
        "ß",
        "İ",
        "中",
        "\ufffd",
        "\ufeff",
    ),
    *("[MASK]", "[CLS]", "[UNK]", "[MASK] ", " [SEP]", "'s", "'ll", "'re", " 's", "ǆ", "ﬁ"),
    *("brown fox", "of", "o f", "x" * 120, "1" * 50, "?!" * 20),
]


def some_text(rng: random.Random) -> str:
    between = rng.choice([" ", " ", "", "  "])
    return between.join(rng.choices(PIECES, k=rng.choice([5, 20, 60, 200])))


def at_the_limit() -> list[str]:
    """What reaches over a space comes as the last token that fits, and the cut is in its middle."""
    return [
        f"{'a ' * words}{' ' * spaces}{phrase} {phrase}"
        for words in range(6, 11)
        for spaces in range(30)
        for phrase in ("brown fox", "o f", "a     b")
    ]


@pytest.mark.parametrize(
    "make", [wordpiece, byte_level, cut_differently, with_a_phrase, normalized_first]
)
@pytest.mark.parametrize("ample", [1, 2, 8])
def test_tokens_are_those_of_the_whole_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[], Tokenizer], ample: int
) -> None:
    monkeypatch.setattr(tokenize, "_AMPLE", ample)
    file = saved(make(), tmp_path)  # once: two trainings of one corpus may differ
    ours, whole = TextTokenizer(file, LENGTH), Tokenizer.from_file(str(file))
    whole.enable_truncation(LENGTH)
    rng = random.Random(ample)  # noqa: S311 - texts, not secrets
    for text in [*(some_text(rng) for _ in range(300)), *at_the_limit()]:
        assert ours.encode(text).ids == whole.encode(text).ids, text


@pytest.mark.parametrize(
    ("make", "cut"),
    [
        (wordpiece, True),
        (byte_level, True),
        (cut_differently, False),
        (with_a_phrase, False),
        (normalized_first, False),
    ],
)
def test_only_tokenizers_that_split_at_spaces_see_less_than_all(
    tmp_path: Path, make: Callable[[], Tokenizer], cut
) -> None:
    """``cut`` also guards the test above: it would pass if no text were ever cut."""
    ours = TextTokenizer(saved(make(), tmp_path), LENGTH)
    seen = spy(ours)
    ours.encode("the quick brown fox " * 1000)
    assert (max(seen) < 200) == cut


def spy(tokenizer: TextTokenizer) -> list[int]:
    """Lengths of the texts that reach the tokenizer itself."""
    seen: list[int] = []

    class Spy:
        def __init__(self, inner: Tokenizer) -> None:
            self.inner = inner

        def encode(self, text: str) -> object:
            seen.append(len(text))
            return self.inner.encode(text)

    tokenizer._tokenizer = Spy(tokenizer._tokenizer)
    return seen


@pytest.mark.parametrize("text", [" " * 10_000, "the " + " " * 10_000, "\t\n " * 3000])
def test_a_long_text_of_few_tokens_is_read_at_most_twice(tmp_path: Path, text: str) -> None:
    ours = TextTokenizer(saved(wordpiece(), tmp_path), LENGTH)
    seen = spy(ours)
    assert len(ours.encode(text).ids) in (2, 3)
    assert sum(seen) <= 2 * len(text) + LENGTH * tokenize._AMPLE


def test_one_long_word_is_not_cut(tmp_path: Path) -> None:
    ours = TextTokenizer(saved(byte_level(), tmp_path), LENGTH)
    seen = spy(ours)
    ours.encode("x" * 5000)
    assert seen == [5000]


def test_a_lone_surrogate_behind_what_is_read(tmp_path: Path) -> None:
    ours = TextTokenizer(saved(wordpiece(), tmp_path), LENGTH)
    with pytest.raises(UsageError, match="text 3 holds a lone surrogate"):
        ours.encode("the quick brown fox " * 100 + "\udce9", 3)


def test_a_word_that_the_tokenizer_cannot_take(tmp_path: Path) -> None:
    made = Tokenizer(models.WordLevel({"a": 0}, unk_token="[UNK]"))  # and no such token
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    with pytest.raises(BundleError, match="text 5 is more than this tokenizer can do"):
        TextTokenizer(saved(made, tmp_path), LENGTH).encode("a b", 5)
