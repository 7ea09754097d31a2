from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer, models

from edgepipe.errors import BundleError, UsageError
from edgepipe.runtime.tokenize import TextTokenizer
from tests.runtime.tiny_onnx import token_ids


@pytest.fixture(scope="module")
def tokenizer(bundle: Path) -> TextTokenizer:
    """Its file asks for padding to 40 tokens and truncation at 5."""
    return TextTokenizer(bundle / "tokenizer.json", 8)


@pytest.mark.parametrize("text", ["the film", "the film is good", "", "very " * 5, "very " * 30])
def test_ids_are_those_by_hand(tokenizer: TextTokenizer, text: str) -> None:
    ids, types = tokenizer.encode(text)
    assert ids == token_ids(text, 8)
    assert types == [0, *[1] * (len(ids) - 2), 0]


@pytest.mark.parametrize("bad", [None, b"film", 3, ["a", "film"], ("a", "film"), {"text": "a"}])
def test_what_is_no_text_is_named(tokenizer: TextTokenizer, bad: object) -> None:
    kind = type(bad).__name__
    with pytest.raises(UsageError, match=f"text 7 is of type {kind}, not str"):
        tokenizer.encode(bad, 7)


def test_a_lone_surrogate_is_named(tokenizer: TextTokenizer) -> None:
    with pytest.raises(UsageError, match="text 2 holds a lone surrogate"):
        tokenizer.encode("caf\udce9", 2)


def test_a_damaged_tokenizer(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text('{"version": "1.0"')
    with pytest.raises(BundleError, match=r"tokenizer.json is not a tokenizer: .*make"):
        TextTokenizer(tmp_path / "tokenizer.json", 8)


def test_a_text_without_tokens_is_named(tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    Tokenizer(models.WordLevel({"a": 0})).save(str(file))
    with pytest.raises(UsageError, match="text 4 has no tokens"):
        TextTokenizer(file, 8).encode("", 4)


def test_a_length_that_leaves_no_room_for_special_tokens(bundle: Path) -> None:
    with pytest.raises(BundleError, match="max_length 1 is too short"):
        TextTokenizer(bundle / "tokenizer.json", 1)
