from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgepipe.errors import BundleError, UsageError
from edgepipe.runtime.manifest import read
from edgepipe.runtime.verify import clashes, name_problem, verify, verify_files
from tests.runtime.tiny_onnx import Tiny, write_bundle

MODEL, TOKENIZER = "onnx/model.onnx", "tokenizer.json"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "bundle", Tiny())


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "edgepipe.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def linked(path: Path) -> None:
    """A link to the same bytes, elsewhere."""
    real = path.rename(path.parents[2] / f"real-{path.name}")
    path.symlink_to(real)


def by_a_folder(folder: Path) -> None:
    real = (folder / "onnx").rename(folder.parent / "real")
    (folder / "onnx").symlink_to(real, target_is_directory=True)


def socket_at(path: Path) -> None:
    path.unlink()
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(path))  # the name of a socket has to be short


def pipe_at(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


TAMPERED: dict[str, tuple[Callable[[Path], object], str]] = {
    "changed": (lambda b: flip(b / MODEL), "onnx/model.onnx has changed"),
    "cut": (lambda b: (b / MODEL).write_bytes(b"x"), "has 1 bytes instead of"),
    "emptied": (lambda b: (b / TOKENIZER).write_bytes(b""), "tokenizer.json has 0 bytes"),
    "missing": (lambda b: (b / TOKENIZER).unlink(), "tokenizer.json is missing"),
    "folder missing": (lambda b: shutil.rmtree(b / "onnx"), "onnx/model.onnx is missing"),
    "file where a folder was": (
        lambda b: (shutil.rmtree(b / "onnx"), (b / "onnx").write_text("x")),
        "onnx is not named.*onnx/model.onnx is missing",
    ),
    "folder where a file was": (
        lambda b: ((b / TOKENIZER).unlink(), (b / TOKENIZER).mkdir()),
        "tokenizer.json is a link or no plain file",
    ),
    "renamed": (
        lambda b: (b / TOKENIZER).rename(b / "Tokenizer.json"),
        "Tokenizer.json is not named.*tokenizer.json is missing",
    ),
    "extra": (lambda b: (b / "evil.so").write_text("x"), "evil.so is not named"),
    "extra beside a model": (
        lambda b: (b / "onnx" / "evil.onnx_data").write_text("x"),
        "onnx/evil.onnx_data is not named",
    ),
    "hidden": (lambda b: (b / ".evil").write_text("x"), "[.]evil is not named"),
    "empty folder": (lambda b: (b / "evil").mkdir(), "evil is not named"),
    "folder with files": (
        lambda b: ((b / "a" / "b").mkdir(parents=True), (b / "a" / "b" / "c").write_text("")),
        ": a is not named by the manifest: copy",
    ),
    "unprintable": (lambda b: (b / "a\nb\x1b").write_text("x"), r"'a\\nb\\x1b' is not named"),
    "not even UTF-8": (
        lambda b: Path(os.fsdecode(os.fsencode(b) + b"/\xff")).write_text("x"),
        r"'\\udcff' is not named",
    ),
    "linked file": (lambda b: linked(b / MODEL), "onnx/model.onnx is a link"),
    "linked within": (
        lambda b: ((b / TOKENIZER).unlink(), (b / TOKENIZER).symlink_to(MODEL)),
        "tokenizer.json is a link",
    ),
    "linked folder": (by_a_folder, "onnx is a link; onnx/model.onnx is reached by a link"),
    "extra link": (lambda b: (b / "evil").symlink_to("/etc/passwd"), "evil is a link"),
    "broken link": (lambda b: (b / "evil").symlink_to("nowhere"), "evil is a link"),
    "link to itself": (lambda b: (b / "evil").symlink_to("evil"), "evil is a link"),
    "extra pipe": (lambda b: pipe_at(b / "evil"), "evil is not named"),
    "pipe": (lambda b: pipe_at(b / MODEL), "onnx/model.onnx is a link or no plain file"),
    "socket": (lambda b: socket_at(b / TOKENIZER), "tokenizer.json is a link or no plain file"),
    "manifest missing": (lambda b: (b / "edgepipe.json").unlink(), "no edgepipe.json"),
    "manifest linked": (lambda b: linked(b / "onnx" / ".." / "edgepipe.json"), "is a link or no"),
    "manifest a pipe": (lambda b: pipe_at(b / "edgepipe.json"), "is a link or no plain file"),
    "manifest a folder": (
        lambda b: ((b / "edgepipe.json").unlink(), (b / "edgepipe.json").mkdir()),
        "is a link or no plain file",
    ),
    "signature a link": (lambda b: (b / "model.sig").symlink_to(TOKENIZER), "model.sig is a link"),
    "signature a pipe": (lambda b: pipe_at(b / "model.sig"), "model.sig is a link or no plain"),
    "signature a folder": (lambda b: (b / "model.sig").mkdir(), "model.sig is a link or no plain"),
    "manifest too deep": (
        lambda b: (b / "edgepipe.json").write_text("[" * 100_000 + "]" * 100_000),
        "nested too deeply|damaged",
    ),
    "manifest too large": (
        lambda b: os.truncate(b / "edgepipe.json", (16 << 20) + 1),
        "is larger than",
    ),
    "listed: the manifest itself": (
        lambda b: edit(b, lambda m: m["files"].update({"edgepipe.json": m["files"][MODEL]})),
        "edgepipe.json does not belong in the list",
    ),
    "listed: outside": (
        lambda b: edit(b, lambda m: m["files"].update({"../x": m["files"][MODEL]})),
        "outside the bundle",
    ),
    "listed: deep": (
        lambda b: edit(b, lambda m: m["files"].update({"a/" * 16 + "a": m["files"][MODEL]})),
        "is more than 16 names deep",
    ),
    "listed: too many": (
        lambda b: edit(
            b, lambda m: m["files"].update({f"{n}": m["files"][MODEL] for n in range(999)})
        ),
        "lists 1001 files; a bundle has 1000 at most",
    ),
    "listed: not plain": (
        lambda b: edit(b, lambda m: m["files"].update({"onnx//model.onnx": m["files"][MODEL]})),
        "onnx//model.onnx is no plain relative path",
    ),
    "listed: by case": (
        lambda b: edit(b, lambda m: m["files"].update({"ONNX/model.onnx": m["files"][MODEL]})),
        "clashes with",
    ),
    "listed: file and folder": (
        lambda b: edit(b, lambda m: m["files"].update({"onnx": m["files"][MODEL]})),
        "clashes with onnx",
    ),
    "listed: negative size": (
        lambda b: edit(b, lambda m: m["files"][MODEL].update(bytes=-1)),
        "instead of -1",
    ),
    "listed: other sum": (
        lambda b: edit(b, lambda m: m["files"][MODEL].update(sha256="0" * 64)),
        "onnx/model.onnx has changed",
    ),
    "listed: no sum": (
        lambda b: edit(b, lambda m: m["files"][MODEL].update(sha256="")),
        "onnx/model.onnx has changed",
    ),
}


def test_an_untouched_bundle_is_accepted(bundle: Path) -> None:
    assert verify(bundle) == read(bundle)


@pytest.mark.parametrize("case", TAMPERED)
def test_a_bundle_that_was_tampered_with_is_refused(
    case: str, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tamper, word = TAMPERED[case]
    monkeypatch.chdir(bundle)
    tamper(bundle)
    with pytest.raises(BundleError, match=word) as caught:
        verify(bundle)
    assert str(caught.value).isprintable()


def test_what_may_differ(bundle: Path, tmp_path: Path) -> None:
    """A signature, hard links, modes, times, and a link that the caller names."""
    (bundle / "model.sig").write_text("{}")
    os.link(bundle / TOKENIZER, tmp_path / "hard")
    (bundle / MODEL).chmod(0o600)
    os.utime(bundle / MODEL, (0, 0))
    (tmp_path / "current").symlink_to("bundle")
    assert verify(tmp_path / "current") == verify(bundle)


def test_all_that_is_wrong_is_said_at_once_up_to_a_dozen(bundle: Path) -> None:
    flip(bundle / MODEL)
    (bundle / TOKENIZER).unlink()
    for n in range(20):
        (bundle / f"extra{n:02}").write_text("")
    with pytest.raises(BundleError) as caught:
        verify(bundle)
    parts = str(caught.value).partition(": ")[2].split("; ")
    assert parts[:-1] == [f"extra{n:02} is not named by the manifest" for n in range(12)]
    assert parts[-1] == "and 10 more: copy or make the bundle again"


def test_no_such_bundle(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no bundle"):
        verify(tmp_path / "absent")


def test_a_name_that_is_no_name_of_a_file(tmp_path: Path) -> None:
    with pytest.raises((BundleError, UsageError)):
        verify(tmp_path / ("x" * 5000))


def test_a_file_that_may_not_be_read(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is for a user who is not root."""

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(BundleError, match=r"tokenizer.json cannot be read: Permission denied"):
        verify(bundle)


def test_a_link_put_in_place_after_the_look_is_not_followed(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine = os.open

    def swapped(path: Path, flags: int) -> int:
        copy = shutil.copy(path, tmp_path / "copy")
        Path(path).unlink()
        Path(path).symlink_to(copy)
        return genuine(path, flags)

    monkeypatch.setattr(os, "open", swapped)
    with pytest.raises(BundleError, match="cannot be read"):
        verify(bundle)


# ---- some files -------------------------------------------------------------------------------


def test_only_the_files_asked_for_are_compared(bundle: Path) -> None:
    manifest = read(bundle)
    flip(bundle / MODEL)
    (bundle / "extra").write_text("x")
    verify_files(bundle, manifest, [TOKENIZER])
    verify_files(bundle, manifest, [])
    with pytest.raises(BundleError, match=r"onnx/model.onnx has changed"):
        verify_files(bundle, manifest, [TOKENIZER, MODEL, MODEL])


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("config.json", "is not named"),
        ("../secret", "no plain relative path"),
        ("/etc/passwd", "no plain relative path"),
        ("edgepipe.json", "is not named"),
    ],
)
def test_a_file_that_is_not_the_bundles_own(name: str, word: str, bundle: Path) -> None:
    (bundle / "config.json").write_text("{}")
    with pytest.raises(BundleError, match=word):
        verify_files(bundle, read(bundle), [name])


@pytest.mark.parametrize("tamper", [by_a_folder, lambda b: linked(b / MODEL)])
def test_a_file_behind_a_link(tamper: Callable[[Path], object], bundle: Path) -> None:
    tamper(bundle)
    with pytest.raises(BundleError, match="link"):
        verify_files(bundle, read(bundle), [MODEL])


def test_more_files_than_anyone_needs(bundle: Path) -> None:
    manifest = read(bundle)
    files = {**manifest.files, **{f"{n}": manifest.files[MODEL] for n in range(999)}}
    with pytest.raises(BundleError, match="lists 1001 files; a bundle has 1000 at most"):
        verify_files(bundle, replace(manifest, files=files), [MODEL])


# ---- names ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "a",
        "onnx/model.onnx",
        ".hidden",
        "a b.txt",
        "naïve 日本.txt",
        "x" * 200,
        "...a",
        "console",
        "a/" * 15 + "a",
    ],
)
def test_names_that_any_system_takes(name: str) -> None:
    assert name_problem(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "..", "/a", "a/", "a//b", "./a", "a/..", "../a", "a\\b", "C:a", "a:b", "a?", "a*",
        "a\0", "a\n", "a\x7f", "a\u202eb", "a\u200bb", "\ud800", "a.", "a ", "a./b", "nul",
        "NUL.tar.gz", "com1", "Lpt9.x", "aux .txt", "x" * 201, "é" * 101, "a/" * 500 + "a",
        "a/" * 16 + "a",
    ],
)  # fmt: skip
def test_names_that_some_system_does_not_take(name: str) -> None:
    assert name_problem(name)


@pytest.mark.parametrize(
    ("names", "clash"),
    [
        (["a", "b", "A/b"], "A/b"),
        (["a", "A"], "A"),
        (["straße", "STRASSE"], "STRASSE"),
        (["caf\u00e9", "cafe\u0301"], "cafe\u0301"),
        (["a/b", "A/c"], "A/c"),
        (["a/b", "a"], "a"),
        (["a", "a/b"], "a/b"),
        (["a/b/c", "a/B/d"], "a/B/d"),
    ],
)
def test_names_that_are_one_file_elsewhere(names: list[str], clash: str) -> None:
    assert next(name for name, _ in clashes(names)) == clash


def test_names_that_are_not() -> None:
    assert not list(clashes(["a", "b", "c/a", "c/b", "d/a", "ab", "a.b"]))
