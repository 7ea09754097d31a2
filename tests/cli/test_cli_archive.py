from __future__ import annotations

import hashlib
import io
import json
import sys
import zipfile
from pathlib import Path

import model_signing
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.bundle.signed_bundles import write_key
from tests.bundle.zips import files_of, snapshot
from tests.cli.conftest import Run
from tests.runtime.tiny_onnx import Tiny, write_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "bundle", Tiny())


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_key(tmp_path_factory.mktemp("keys"), ec.generate_private_key(ec.SECP256R1()))


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_there_and_back(edgepipe: Run, bundle: Path, tmp_path: Path) -> None:
    packed = tmp_path / "bundle.zip"
    done = edgepipe("pack", "bundle")
    assert done.code == 0
    assert done.out == f"bundle.zip: {packed.stat().st_size} bytes, sha256 {sha256(packed)}\n"
    with zipfile.ZipFile(packed) as theirs:
        assert set(theirs.namelist()) == files_of(bundle).keys()

    packed.rename(tmp_path / "other.zip")
    done = edgepipe("unpack", "other.zip")
    assert done.code == 0
    size = sum(map(len, files_of(bundle).values()))
    digest = sha256(bundle / "edgepipe.json")
    assert done.out == f"other: {size} bytes, manifest_sha256 {digest}\n"
    assert files_of(tmp_path / "other") == files_of(bundle)


def test_for_programs(edgepipe: Run, bundle: Path, tmp_path: Path, keys: tuple[Path, Path]) -> None:
    signature = bundle / "model.sig"
    done = edgepipe("sign", bundle, "--key", keys[0], "--json")
    assert json.loads(done.out) == {
        "path": str(signature),
        "bytes": signature.stat().st_size,
        "sha256": sha256(signature),
    }
    packed = tmp_path / "a" / "b.zip"
    done = edgepipe("pack", bundle, "-o", packed, "--json")
    assert json.loads(done.out) == {
        "path": str(packed),
        "bytes": packed.stat().st_size,
        "sha256": sha256(packed),
    }
    done = edgepipe("unpack", packed, "--output", tmp_path / "c", "--json")
    assert json.loads(done.out) == {
        "path": str(tmp_path / "c"),
        "bytes": sum(map(len, files_of(bundle).values())),
        "manifest_sha256": sha256(bundle / "edgepipe.json"),
    }


def test_packing_the_folder_one_is_in(
    edgepipe: Run, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bundle)
    assert edgepipe("pack", ".").code == 0
    assert (bundle.parent / "bundle.zip").is_file()


def test_force_replaces(edgepipe: Run, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "bundle.zip").write_text("old")
    assert edgepipe("pack", bundle).code == 2
    assert edgepipe("pack", bundle, "--force").code == 0
    (bundle / "tokenizer.json").write_text("evil")
    assert edgepipe("unpack", "bundle.zip").code == 2
    assert edgepipe("unpack", "bundle.zip", "--force").code == 0
    assert (bundle / "tokenizer.json").read_text() != "evil"


def test_the_passphrase_is_taken_from_the_environment(
    edgepipe: Run, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())  # nobody to ask
    private, public = write_key(tmp_path, ec.generate_private_key(ec.SECP256R1()), b"sesame")
    done = edgepipe("sign", bundle, "--key", private)
    assert done.code == 2
    assert "EDGEPIPE_KEY_PASSPHRASE" in done.err
    monkeypatch.setenv("EDGEPIPE_KEY_PASSPHRASE", "wrong")
    assert edgepipe("sign", bundle, "--key", private).code == 2
    monkeypatch.setenv("EDGEPIPE_KEY_PASSPHRASE", "sesame")
    assert edgepipe("sign", bundle, "--key", private).code == 0
    theirs = model_signing.verifying.Config().use_elliptic_key_verifier(public_key=public)
    theirs.verify(bundle, bundle / "model.sig")


def test_a_passphrase_for_a_key_that_needs_none(
    edgepipe: Run, bundle: Path, keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEPIPE_KEY_PASSPHRASE", "sesame")
    assert edgepipe("sign", bundle, "--key", keys[0]).code == 0


LONG = "x" * 300
WRONG: list[tuple[list[str], int]] = [
    (["pack", "absent"], 2),
    (["pack", "KEY"], 3),
    (["pack", "."], 3),
    (["pack", "/"], 3),
    (["pack", "BUNDLE", "-o", "BUNDLE/a.zip"], 2),
    (["pack", "BUNDLE", "-o", "."], 2),
    (["pack", "BUNDLE", "-o", "KEY/a.zip"], 3),
    (["pack", "BUNDLE", "-o", LONG], 3),
    (["pack", LONG], 3),
    (["pack", "BROKEN"], 3),
    (["pack"], 2),
    (["unpack", "absent.zip"], 2),
    (["unpack", "absent"], 2),
    (["unpack", "BUNDLE", "-o", "a"], 2),
    (["unpack", "KEY"], 2),
    (["unpack", "KEY", "-o", "a"], 3),
    (["unpack", "."], 2),
    (["unpack", ".."], 2),
    (["unpack", "/"], 2),
    (["unpack", ""], 2),
    (["unpack", ".zip"], 2),
    (["unpack", "..zip"], 2),
    (["unpack", "EMPTY.zip"], 3),
    (["unpack", "EMPTY.zip", "-o", "BUNDLE"], 2),
    (["unpack", "EMPTY.zip", "-o", "/", "--force"], 2),
    (["unpack", "EMPTY.zip", "-o", LONG], 3),
    (["unpack", f"{LONG}.zip"], 3),
    (["unpack", "/", "-o", "a"], 2),
    (["sign", "BUNDLE"], 2),
    (["sign", "BUNDLE", "--key", "absent"], 2),
    (["sign", "BUNDLE", "--key", LONG], 3),
    (["sign", "BUNDLE", "--key", "EMPTY.zip"], 2),
    (["sign", "absent", "--key", "KEY"], 2),
    (["sign", "BROKEN", "--key", "KEY"], 3),
]


@pytest.mark.parametrize(("words", "code"), WRONG)
def test_wrong_calls_say_so_and_change_nothing(
    words: list[str], code: int, edgepipe: Run, bundle: Path, keys: tuple[Path, Path]
) -> None:
    root = bundle.parent
    (root / "EMPTY.zip").write_bytes(b"")
    (root / "KEY").write_bytes(keys[0].read_bytes())
    write_bundle(root / "BROKEN", Tiny())
    (root / "BROKEN" / "tokenizer.json").write_text("{}")
    bundle.rename(root / "BUNDLE")
    before = snapshot(root)
    done = edgepipe(*words)
    assert done.code == code
    assert done.out == ""
    assert "Traceback" not in done.err
    assert done.err.lower().startswith(("error: ", "usage: "))
    assert snapshot(root) == before
