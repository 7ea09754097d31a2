from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Run
from tests.runtime.tiny_onnx import Tiny, write_bundle

TINY = Tiny()


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "bundle", TINY)


def expected(text: str) -> tuple[str, float]:
    """By numpy."""
    logits = TINY.logits(text)
    shares = np.exp(logits - logits.max())
    best = int(logits.argmax())
    return TINY.labels[best], float(shares[best] / shares.sum())


def test_a_line_a_text(edgepipe: Run, bundle: Path) -> None:
    done = edgepipe("predict", bundle, "good film", "bad plot")
    assert done.code == 0
    lines = [line.split("\t") for line in done.out.splitlines()]
    assert [line[2] for line in lines] == ["good film", "bad plot"]
    for label, score, text in lines:
        wanted, share = expected(text)
        assert label == wanted
        assert float(score) == pytest.approx(share, abs=6e-5)


def test_an_object_a_text(edgepipe: Run, bundle: Path) -> None:
    done = edgepipe("predict", bundle, "--json", "good\nfilm", "naïve 日本")
    answers = [json.loads(line) for line in done.out.splitlines()]
    assert [answer["text"] for answer in answers] == ["good\nfilm", "naïve 日本"]
    for answer in answers:
        assert (answer["label"], answer["score"]) == (
            expected(answer["text"])[0],
            pytest.approx(expected(answer["text"])[1], abs=1e-5),
        )


def test_a_file_of_any_length_keeps_its_order(edgepipe: Run, bundle: Path, tmp_path: Path) -> None:
    words = ("good", "bad", "film", "the", "very")
    texts = [" ".join(words[(n * k) % 5] for k in range(1, 2 + n % 7)) for n in range(600)]
    texts[300] = ""
    (tmp_path / "texts.txt").write_text("\r\n".join(texts) + "\r\n")
    done = edgepipe("predict", bundle, "first", "--file", tmp_path / "texts.txt", "--json")
    answers = [json.loads(line) for line in done.out.splitlines()]
    assert [answer["text"] for answer in answers] == ["first", *texts]
    assert [answer["label"] for answer in answers[1:]] == [expected(text)[0] for text in texts]


def test_a_dash_is_standard_input(
    edgepipe: Run, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(b"good film\nbad plot\n"), encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", stdin)
    done = edgepipe("predict", bundle, "--file", "-")
    assert [line.split("\t")[2] for line in done.out.splitlines()] == ["good film", "bad plot"]


def test_texts_that_are_not_utf8_are_a_wrong_call(
    edgepipe: Run, bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "texts.txt").write_bytes(b"fine\ncaf\xe9\nfine\n")
    done = edgepipe("predict", bundle, "--file", tmp_path / "texts.txt")
    assert (done.code, done.out) == (2, "")
    assert "texts.txt:2: not UTF-8" in done.err


HOSTILE = "\x1b]0;owned\x07\x9b31m\u202egood\tfilm\U000e0001"
ESCAPED = r"\x1b]0;owned\x07\x9b31m\u202egood\tfilm\U000e0001"


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "hostile", Tiny(labels=(HOSTILE,) * 3))


def test_a_hostile_label_is_escaped_wherever_it_goes(edgepipe: Run, hostile: Path) -> None:
    """The text is the caller's own: out of a terminal it comes back as it went in."""
    done = edgepipe("predict", hostile, HOSTILE)
    assert done.out.startswith(f"{ESCAPED}\t0.")
    assert done.out.endswith(f"\t{HOSTILE}\n")


def test_a_terminal_gets_no_orders(
    edgepipe: Run, hostile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    done = edgepipe("predict", hostile, HOSTILE)
    assert done.out.replace("\t", "").strip().isprintable()
    assert done.out.endswith(f"\t{ESCAPED}\n")


def test_json_holds_what_was_there_and_is_harmless(edgepipe: Run, hostile: Path) -> None:
    done = edgepipe("predict", hostile, "--json", HOSTILE, "naïve 日本")
    assert done.out.replace("\n", "").isprintable()
    first, second = map(json.loads, done.out.splitlines())
    assert (first["text"], first["label"]) == (HOSTILE, HOSTILE)
    assert second["text"] == "naïve 日本"
    assert "naïve 日本" in done.out


def test_an_error_that_quotes_a_bundle_is_harmless(edgepipe: Run, bundle: Path) -> None:
    path = bundle / "edgepipe.json"
    path.write_text(path.read_text().replace('"fp32"', '"fp\\u001b[31m\\u202e"'))
    done = edgepipe("predict", bundle, "x", "--variant", "int9")
    assert done.code != 0
    assert done.err.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    ("args", "code", "told"),
    [
        (["--variant", "int9"], 2, "has no variant 'int9'"),
        (["--device", "tpu"], 2, "Invalid value for '--device'"),
        (["--file", "absent.txt"], 2, "Invalid value for '--file'"),
    ],
)
def test_a_wrong_option(edgepipe: Run, bundle: Path, args: list[str], code: int, told: str) -> None:
    done = edgepipe("predict", bundle, "x", *args)
    assert (done.code, done.out) == (code, "")
    assert told in done.err


def test_a_changed_bundle_is_refused(edgepipe: Run, bundle: Path) -> None:
    (bundle / "onnx" / "model.onnx").write_bytes(b"short")
    done = edgepipe("predict", bundle, "x")
    assert (done.code, done.out) == (3, "")
    assert "onnx/model.onnx" in done.err
