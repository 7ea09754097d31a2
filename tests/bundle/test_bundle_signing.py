from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import model_signing
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from edgepipe import disk
from edgepipe.bundle.signing import check_signature, is_encrypted, sign
from edgepipe.errors import BundleError, DiskError, MissingDependencyError, UsageError
from tests.bundle.signed_bundles import SIGNATURE, Files, list_again, signed_files, write_key
from tests.bundle.zips import lay, snapshot


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_key(tmp_path_factory.mktemp("keys"), ec.generate_private_key(ec.SECP256R1()))


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_key(tmp_path_factory.mktemp("others"), ec.generate_private_key(ec.SECP256R1()))


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory, keys: tuple[Path, Path]) -> Files:
    """The files of a signed bundle."""
    return signed_files(tmp_path_factory.mktemp("signed") / "bundle", keys[0])


@pytest.fixture
def bundle(tmp_path: Path, signed: Files) -> Path:
    return lay(tmp_path / "bundle", signed)


# ---- the right key, the wrong statement -------------------------------------------------------


def envelope(payload: bytes, private: Path, payload_type: str) -> dict[str, Any]:
    """DSSE by hand: https://github.com/secure-systems-lab/dsse/blob/v1.0.0/protocol.md."""
    key = serialization.load_pem_private_key(private.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    kind = payload_type.encode()
    signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    made = key.sign(signed, ec.ECDSA(hashes.SHA256()))
    return {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": payload_type,
        "signatures": [{"sig": base64.b64encode(made).decode(), "keyid": ""}],
    }


def resign(
    folder: Path,
    private: Path,
    change: Callable[[dict[str, Any]], object],
    payload_type: str = "application/vnd.in-toto+json",
) -> None:
    """The statement changed, and signed by the same key again."""
    path = folder / SIGNATURE
    outer = json.loads(path.read_text())
    statement = json.loads(base64.b64decode(outer["dsseEnvelope"]["payload"]))
    change(statement)
    outer["dsseEnvelope"] = envelope(json.dumps(statement).encode(), private, payload_type)
    path.write_text(json.dumps(outer))


def drop(name: str) -> Callable[[dict[str, Any]], None]:
    """The statement does not name a file, and says that it leaves it out."""

    def change(statement: dict[str, Any]) -> None:
        predicate = statement["predicate"]
        kept = [r for r in predicate["resources"] if r["name"] != name]
        predicate["resources"] = kept
        predicate["serialization"]["ignore_paths"].append(name)
        total = hashlib.sha256(b"".join(bytes.fromhex(r["digest"]) for r in kept))
        statement["subject"][0]["digest"]["sha256"] = total.hexdigest()

    return change


def test_signing_by_hand_is_what_the_library_does(bundle: Path, keys: tuple[Path, Path]) -> None:
    """Else what follows would be refused for nothing."""
    resign(bundle, keys[0], lambda _: None)
    check_signature(bundle, keys[1])


@pytest.mark.parametrize("name", ["README.md", "edgepipe.json", "onnx/model.onnx"])
def test_a_signature_that_leaves_files_out(
    name: str, bundle: Path, keys: tuple[Path, Path]
) -> None:
    """The library by itself accepts it, whatever the file holds then."""
    resign(bundle, keys[0], drop(name))
    theirs = model_signing.verifying.Config().use_elliptic_key_verifier(public_key=keys[1])
    theirs.verify(bundle, bundle / SIGNATURE)
    with pytest.raises(BundleError, match=name):
        check_signature(bundle, keys[1])


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.update(predicateType="https://slsa.dev/provenance/v1"),
        lambda s: s.update(_type="https://in-toto.io/Statement/v0.1"),
        lambda s: s.pop("predicate"),
        lambda s: s.update(subject=[]),
        lambda s: s["predicate"].update(resources=[]),
        lambda s: s["predicate"]["serialization"].update(method="shards", shard_size=10),
    ],
)
def test_another_statement_by_the_same_key(
    change: Callable[[dict[str, Any]], object], bundle: Path, keys: tuple[Path, Path]
) -> None:
    resign(bundle, keys[0], change)
    with pytest.raises(BundleError, match="is not a signature of this bundle"):
        check_signature(bundle, keys[1])


def test_another_type_of_payload(bundle: Path, keys: tuple[Path, Path]) -> None:
    resign(bundle, keys[0], lambda _: None, "application/json")
    with pytest.raises(BundleError, match="is not a signature of this bundle"):
        check_signature(bundle, keys[1])


def test_an_old_signature_without_the_hash_of_its_key_prints_nothing(
    bundle: Path, keys: tuple[Path, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    path = bundle / SIGNATURE
    outer = json.loads(path.read_text())
    outer["verificationMaterial"]["publicKey"].pop("hint")
    path.write_text(json.dumps(outer))
    check_signature(bundle, keys[1])
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "is not a signature"),
        (b"\xff", "is not a signature"),
        (b"null", "is not a signature"),
        (b"[" * 100_000, "is not a signature"),
        (b" " * ((16 << 20) + 1), "larger than"),
    ],
)
def test_what_is_no_signature(
    content: bytes, word: str, bundle: Path, keys: tuple[Path, Path]
) -> None:
    (bundle / SIGNATURE).write_bytes(content)
    with pytest.raises(BundleError, match=word):
        check_signature(bundle, keys[1])


def test_no_signature(bundle: Path, keys: tuple[Path, Path]) -> None:
    (bundle / SIGNATURE).unlink()
    with pytest.raises(BundleError, match="is not signed"):
        check_signature(bundle, keys[1])


# ---- keys -------------------------------------------------------------------------------------


def test_another_key(bundle: Path, keys: tuple[Path, Path], others: tuple[Path, Path]) -> None:
    with pytest.raises(BundleError, match="Key mismatch"):
        check_signature(bundle, others[1])
    ours = (bundle / SIGNATURE).read_bytes()
    sign(bundle, others[0])
    check_signature(bundle, others[1])
    theirs = json.loads((bundle / SIGNATURE).read_bytes())
    theirs["verificationMaterial"] = json.loads(ours)["verificationMaterial"]
    (bundle / SIGNATURE).write_text(json.dumps(theirs))
    with pytest.raises(BundleError, match="is not a signature of this bundle"):
        check_signature(bundle, keys[1])


@pytest.mark.parametrize("curve", [ec.SECP256R1, ec.SECP384R1, ec.SECP521R1])
def test_the_curves_that_work(
    curve: Callable[[], ec.EllipticCurve], bundle: Path, tmp_path: Path
) -> None:
    private, public = write_key(tmp_path / "keys", ec.generate_private_key(curve()))
    sign(bundle, private)
    check_signature(bundle, public)


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: rsa.generate_private_key(65537, 2048), "it is RSA; an elliptic-curve key"),
        (ed25519.Ed25519PrivateKey.generate, "it is Ed25519; an elliptic-curve key"),
        (lambda: ec.generate_private_key(ec.SECP256K1()), "secp256k1"),
    ],
)
def test_keys_of_other_kinds(
    make: Callable[[], Any], kind: str, bundle: Path, tmp_path: Path
) -> None:
    private, public = write_key(tmp_path / "keys", make())
    before = snapshot(bundle)
    with pytest.raises(UsageError, match=f"no usable elliptic-curve private key.*{kind}"):
        sign(bundle, private)
    with pytest.raises(UsageError, match=f"no usable elliptic-curve public key.*{kind}"):
        check_signature(bundle, public)
    assert snapshot(bundle) == before


def test_halves_swapped_texts_and_nothing(bundle: Path, keys: tuple[Path, Path]) -> None:
    private, public = keys
    with pytest.raises(UsageError, match="private key"):
        sign(bundle, public)
    with pytest.raises(UsageError, match="public key"):
        check_signature(bundle, private)
    for path in (bundle / "README.md", bundle / SIGNATURE):
        with pytest.raises(UsageError, match="public key"):
            check_signature(bundle, path)
    for path in (bundle / "absent", bundle):
        with pytest.raises(UsageError, match="there is no key file"):
            sign(bundle, path)
        with pytest.raises(UsageError, match="there is no key file"):
            check_signature(bundle, path)


def test_an_encrypted_key(bundle: Path, tmp_path: Path, keys: tuple[Path, Path]) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    private, public = write_key(tmp_path / "locked", key, b"open sesame")
    assert is_encrypted(private)
    assert not is_encrypted(keys[0])
    for wrong in (None, b"", b"open"):
        with pytest.raises(UsageError, match="private key"):
            sign(bundle, private, passphrase=wrong)
    sign(bundle, private, passphrase=b"open sesame")
    check_signature(bundle, public)


# ---- signing ----------------------------------------------------------------------------------


def test_a_bundle_that_is_refused_is_not_signed(bundle: Path, keys: tuple[Path, Path]) -> None:
    (bundle / "evil").write_text("x")
    before = snapshot(bundle)
    with pytest.raises(BundleError, match="evil is not named"):
        sign(bundle, keys[0])
    assert snapshot(bundle) == before


def test_a_new_signature_replaces_the_old_one(bundle: Path, keys: tuple[Path, Path]) -> None:
    (bundle / "README.md").write_text("# another\n")
    list_again(bundle)
    with pytest.raises(BundleError, match=r"README.md"):
        check_signature(bundle, keys[1])
    sign(bundle, keys[0])
    check_signature(bundle, keys[1])


@pytest.mark.parametrize("operation", ["create", "write", "rename"])
def test_a_full_disk_keeps_the_old_signature(
    operation: str, bundle: Path, keys: tuple[Path, Path]
) -> None:
    def full(name: str, _: Path) -> None:
        if name == operation:
            raise OSError(28, "No space left on device")

    before = snapshot(bundle)
    with disk.hooked(full), pytest.raises(DiskError, match="no space"):
        sign(bundle, keys[0])
    assert snapshot(bundle) == before


def test_the_library_is_missing(
    bundle: Path, keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "model_signing", None)
    with pytest.raises(MissingDependencyError, match=r"edgepipe\[sign\]"):
        sign(bundle, keys[0])
    with pytest.raises(MissingDependencyError, match=r"edgepipe\[sign\]"):
        check_signature(bundle, keys[1])


def test_nothing_is_imported_before_it_is_used() -> None:
    code = (
        "import sys, edgepipe.bundle.signing\n"
        "print([m for m in ('model_signing', 'sigstore', 'cryptography') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# ---- their program ----------------------------------------------------------------------------


def model_signing_cli(*words: str | Path) -> int:
    command = [sys.executable, "-W", "ignore", "-m", "model_signing", *map(str, words)]
    return subprocess.run(command, capture_output=True, check=False).returncode


def test_their_program_accepts_ours(bundle: Path, keys: tuple[Path, Path]) -> None:
    words = ["verify", "key", bundle, "--signature", bundle / SIGNATURE, "--public_key", keys[1]]
    assert model_signing_cli(*words) == 0
    (bundle / "README.md").write_text("# changed\n")
    assert model_signing_cli(*words) != 0


def test_we_accept_theirs(bundle: Path, keys: tuple[Path, Path], others: tuple[Path, Path]) -> None:
    (bundle / SIGNATURE).unlink()
    words = ["sign", "key", bundle, "--signature", bundle / SIGNATURE, "--private_key", keys[0]]
    assert model_signing_cli(*words) == 0
    check_signature(bundle, keys[1])
    with pytest.raises(BundleError):
        check_signature(bundle, others[1])


def test_we_accept_theirs_made_elsewhere(
    bundle: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    (bundle / SIGNATURE).unlink()
    theirs = model_signing.signing.Config().use_elliptic_key_signer(private_key=keys[0])
    theirs.sign(bundle, tmp_path / "elsewhere.sig")
    shutil.move(tmp_path / "elsewhere.sig", bundle / SIGNATURE)
    check_signature(bundle, keys[1])
