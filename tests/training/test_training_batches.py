import numpy as np
import pytest
import torch

from edgepipe.training.batches import Batches, epoch_order
from edgepipe.training.encode import Encoded


def _lengths(count, seed=0):
    return np.random.default_rng(seed).integers(3, 60, count)


def _batches(lengths, batch_size):
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return Batches(
        encoded=Encoded(np.arange(1, offsets[-1] + 1, dtype=np.int32), offsets),
        labels=np.arange(len(lengths)) % 3,
        pad=0,
        batch_size=batch_size,
        seed=4,
        device=torch.device("cpu"),
    )


@pytest.mark.parametrize(("count", "batch_size"), [(1, 4), (32, 32), (33, 32), (500, 4)])
def test_an_epoch_has_every_row_once(count, batch_size):
    order = epoch_order(_lengths(count), batch_size, 0, 0)
    assert sorted(np.concatenate(order).tolist()) == list(range(count))
    assert sorted(map(len, order))[1:] == [batch_size] * (len(order) - 1)
    assert len(order) == _batches(_lengths(count), batch_size).per_epoch


def test_an_order_follows_from_seed_and_epoch_alone():
    def flat(seed, epoch):
        return np.concatenate(epoch_order(_lengths(300), 8, seed, epoch)).tolist()

    assert flat(1, 2) == flat(1, 2)
    assert flat(1, 2) != flat(1, 3)
    assert flat(1, 2) != flat(2, 2)


def test_batches_hold_texts_of_like_length_in_no_order_of_length():
    lengths = _lengths(3200)
    order = epoch_order(lengths, 32, 0, 0)
    padded = sum(len(rows) * lengths[rows].max() for rows in order)
    assert padded / lengths.sum() < 1.05
    longest = [lengths[rows].max() for rows in order]
    assert abs(np.corrcoef(longest, np.arange(len(longest)))[0, 1]) < 0.3


def test_an_epoch_can_be_entered_in_the_middle():
    batches = _batches(_lengths(50), 8)
    whole = [batch.index.tolist() for batch in batches.epoch(3)]
    assert [batch.index.tolist() for batch in batches.epoch(3, start=4)] == whole[4:]


def test_a_batch_is_padded_to_its_longest_row_and_masked():
    batch = _batches(np.array([2, 4, 1]), 3).gather(np.array([2, 0]))
    assert batch.input_ids.tolist() == [[7, 0], [1, 2]]
    assert batch.attention_mask.tolist() == [[1, 0], [1, 1]]
    assert batch.labels.tolist() == [2, 0]
