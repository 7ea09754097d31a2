"""The texts of a comparison: what is trained on, what is answered, how long it is."""

from __future__ import annotations

import json
import random
import statistics
from collections.abc import Sequence
from pathlib import Path

from edgepipe.errors import DataError

MOST_JOINED = 8


def rows(file: Path) -> list[tuple[str, int | str]]:
    """Text and label of every line of a JSON Lines file; DataError where it is none."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
        found = [(str(row["text"]), row["label"]) for row in map(json.loads, lines)]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f'{file} has to hold lines like {{"text": …, "label": …}}: {error}'
        ) from error
    if not found:
        raise DataError(f"{file} holds no line")
    return found


def label_names(labels: Sequence[int | str], checkpoint: Path) -> list[str]:
    """Labels by the names that the checkpoint's config.json has for them."""
    config = json.loads((checkpoint / "config.json").read_text("utf-8"))
    names: dict[str, str] = config.get("id2label", {})
    return [
        # without names transformers calls them so
        names.get(str(label), f"LABEL_{label}") if isinstance(label, int) else label
        for label in labels
    ]


def natural(pool: Sequence[str], count: int, *, seed: int) -> list[str]:
    """``count`` of the texts as they are, in random order; all of them if they are fewer."""
    return random.Random(seed).sample(list(pool), min(count, len(pool)))  # noqa: S311 (no secret)


def joined(pool: Sequence[str], count: int, *, seed: int) -> list[str]:
    """``count`` texts of 1 to 8 of the pool's, k of them with a chance in proportion to 1/k²."""
    draw = random.Random(seed)  # noqa: S311 (reproducible, no secret)
    sizes = range(1, MOST_JOINED + 1)
    counts = draw.choices(sizes, [1 / k**2 for k in sizes], k=count)
    return [" ".join(draw.sample(list(pool), k)) for k in counts]


def lengths(texts: Sequence[str], checkpoint: Path, max_length: int) -> str:
    """How long the texts are in a model's tokens after its cut, as a line to read."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length)
    found = sorted(len(row.ids) for row in tokenizer.encode_batch(list(texts)))
    p50, p90 = (found[int(share * (len(found) - 1))] for share in (0.5, 0.9))
    return (
        f"{len(found):,} texts of {statistics.fmean(found):.1f} tokens in the mean "
        f"(median {p50}, 90 % {p90}, at most {found[-1]}; cut at {max_length})"
    )
