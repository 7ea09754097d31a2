import json

import numpy as np
import pytest
from tokenizers import Tokenizer

from edgepipe.errors import DataError, StageError
from edgepipe.training.data import checked_length, fitting_length, read_split, unknown_share
from edgepipe.training.encode import encode, padded, plain_tokenizer, read_rows
from tests.training.toy_reviews import VOCABULARY, tokenizer, write_split


def _words(*counts):
    return [(" ".join(["film"] * count), 0) for count in counts]


def test_ids_are_those_of_the_tokenizer_and_cut_ones_are_counted():
    texts = ["the film was lovely", "dull", "a quite rather awful plot"]
    encoded = encode(texts, tokenizer().backend_tokenizer, 5)
    expected = [tokenizer()(text, truncation=True, max_length=5)["input_ids"] for text in texts]
    assert [encoded[row].tolist() for row in range(3)] == expected
    assert encoded.truncated == 2
    assert encoded.lengths.tolist() == [5, 3, 5]
    assert encoded.ids.dtype == np.int32


def test_many_texts_keep_their_order():
    texts = [" ".join(["film"] * (1 + n % 7)) for n in range(3000)]
    encoded = encode(iter(texts), tokenizer().backend_tokenizer)
    assert encoded.lengths.tolist() == [3 + n % 7 for n in range(3000)]
    assert encoded.truncated == 0


@pytest.mark.parametrize(
    ("counts", "limit", "length"),
    [
        ([6] * 200, 512, 8),
        ([7] * 200, 512, 16),
        ([6] * 199 + [300], 512, 8),  # one in two hundred may be cut
        ([6] * 198 + [300] * 2, 512, 304),
        ([300] * 10, 30, 30),
    ],
)
def test_the_length_covers_all_but_few_texts(tmp_path, counts, limit, length):
    write_split(tmp_path / "train.jsonl", _words(*counts))
    found = fitting_length(tmp_path / "train.jsonl", tokenizer().backend_tokenizer, limit)
    assert found == length


def test_a_split_is_read_with_its_labels(tmp_path):
    write_split(tmp_path / "s.jsonl", [("the film", 1), ("dull", 0), ("strange dull", 1)])
    split = read_split(tmp_path / "s.jsonl", tokenizer().backend_tokenizer, 8)
    assert split.labels.tolist() == [1, 0, 1]
    assert split.encoded.lengths.tolist() == [4, 3, 4]
    assert unknown_share(split.encoded, VOCABULARY.index("[UNK]")) == pytest.approx(1 / 11)
    assert unknown_share(split.encoded, None) == 0


def test_a_bad_row_is_named(tmp_path):
    file = tmp_path / "s.jsonl"
    file.write_text(json.dumps({"text": "a", "label": 0}) + "\n{}\n")
    with pytest.raises(DataError, match=r"s\.jsonl:2"):
        list(read_rows(file))


def test_an_empty_split_is_refused(tmp_path):
    (tmp_path / "s.jsonl").write_text("")
    with pytest.raises(DataError, match="no rows"):
        read_split(tmp_path / "s.jsonl", tokenizer().backend_tokenizer, 8)


def test_a_length_beyond_the_model_is_refused():
    assert checked_length(30, 30) == 30
    with pytest.raises(StageError, match="at most 30"):
        checked_length(31, 30)


def test_rows_are_padded_on_the_right():
    ids, mask = padded([np.array([5, 6], np.int32), np.array([7], np.int32)], pad=9)
    assert ids.tolist() == [[5, 6], [7, 9]]
    assert mask.tolist() == [[1, 1], [1, 0]]


def test_a_tokenizer_that_pads_and_cuts_is_told_not_to(tmp_path):
    file = tokenizer().backend_tokenizer
    file.enable_padding(length=20)
    file.enable_truncation(3)
    file.save(str(tmp_path / "tokenizer.json"))
    assert len(Tokenizer.from_file(str(tmp_path / "tokenizer.json")).encode("a").ids) == 20
    assert len(plain_tokenizer(tmp_path).encode("a film").ids) == 4


def test_a_damaged_tokenizer_is_named(tmp_path):
    with pytest.raises(StageError, match=r"no tokenizer\.json"):
        plain_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(StageError, match=r"tokenizer\.json cannot be read"):
        plain_tokenizer(tmp_path)
