import json

import numpy as np
import pytest

from edgepipe.artifacts import Dataset, SplitRecord
from edgepipe.measure.paired import slice_figures
from edgepipe.measure.records import unpacked
from edgepipe.measure.slices import by_label, by_length, by_value, slices


def parts(cut, count):
    return [cut.names[part] for part in unpacked(cut.parts, count)]


def test_quarters_of_the_lengths_by_hand():
    lengths = np.array([7, 1, 3, 2, 8, 5, 4, 6])
    cut = by_length(lengths)
    assert cut.names == ("1 to 2 tokens", "3 to 4 tokens", "5 to 6 tokens", "7 to 8 tokens")
    assert parts(cut, 8)[:3] == ["7 to 8 tokens", "1 to 2 tokens", "3 to 4 tokens"]


def test_names_are_lengths_that_occur():
    cut = by_length(np.array([3, 3, 10, 12, 40, 41, 90, 100]))
    assert cut.names == ("3 tokens", "10 to 12 tokens", "40 to 41 tokens", "90 to 100 tokens")


@pytest.mark.parametrize(
    ("lengths", "names"),
    [
        ([5, 5, 5, 5], ("5 tokens",)),
        ([5] * 9 + [7], ("5 tokens", "7 tokens")),
        ([4], ("4 tokens",)),
        ([2, 9], ("2 tokens", "9 tokens")),
    ],
)
def test_equal_lengths_stay_together(lengths, names):
    cut = by_length(np.array(lengths))
    assert cut.names == names
    assert set(unpacked(cut.parts, len(lengths))) == set(range(len(names)))


def test_every_text_is_in_the_range_that_its_part_is_named_after():
    lengths = np.random.default_rng(0).geometric(0.05, 500)
    cut = by_length(lengths)
    sizes = np.bincount(unpacked(cut.parts, 500))
    assert len(cut.names) == 4
    assert sizes.min() > 90
    for length, name in zip(lengths, parts(cut, 500), strict=True):
        low, high = name.removesuffix(" tokens").split(" to ")
        assert int(low) <= length <= int(high)


def test_only_labels_that_occur_are_parts():
    cut = by_label(np.array([2, 0, 2]), ("no", "maybe", "yes"))
    assert cut.names == ("no", "yes")
    assert parts(cut, 3) == ["yes", "no", "yes"]


def test_the_most_frequent_values_come_first_and_the_rest_is_one_part():
    values = [f"v{n}" for n in range(25) for _ in range(30 - n)]
    cut = by_value("source", iter(values))
    assert cut.by == "source"
    assert cut.names == (*(f"v{n}" for n in range(20)), "other")
    expected = [v if int(v[1:]) < 20 else "other" for v in values]
    assert parts(cut, len(values)) == expected


def test_few_values_need_no_rest():
    cut = by_value("source", ["b", "a", "", "b"])
    assert cut.names == ("b", "a", "(none)")
    assert parts(cut, 4) == ["b", "a", "(none)", "b"]


def test_a_value_called_other_is_not_the_rest():
    values = ["other"] * 3 + [str(n) for n in range(30)]
    cut = by_value("source", values)
    assert (cut.names[0], cut.names[-1]) == ("other", "other values")
    assert len(set(cut.names)) == len(cut.names) == 21


def test_figures_of_a_column_are_those_of_its_texts_alone(tmp_path):
    random = np.random.default_rng(0)
    truth, old, new = random.integers(0, 2, (3, 90))
    lines = [
        json.dumps({"text": "", "label": int(label), "columns": {"source": "ab"[n % 2]}})
        for n, label in enumerate(truth)
    ]
    (tmp_path / "test.jsonl").write_text("\n".join(lines))
    record = SplitRecord(rows=90, label_counts=())
    data = Dataset(path=tmp_path, labels=("no", "yes"), splits={"test": record})
    lengths = np.arange(90)
    ways = ("label", "source", "length")
    found = slices(ways, data, "test", truth=truth, lengths=lengths)
    assert [cut.by for cut in found] == list(ways)
    for name, figures in zip("ab", slice_figures(found[1], truth, old, new), strict=True):
        mine = np.arange(90) % 2 == "ab".index(name)
        right, rival = (old == truth)[mine], (new == truth)[mine]
        assert (figures.name, figures.examples) == (name, 45)
        assert figures.reference_accuracy == pytest.approx(right.mean())
        assert figures.drop == pytest.approx(right.mean() - rival.mean())
