"""Signatures of bundles by OpenSSF model-signing, with an elliptic-curve key of one's own.

``model.sig`` is a Sigstore bundle around an in-toto statement that names every file of the bundle
with its SHA-256; ``model_signing verify key`` reads it as well. Nothing here uses a network.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from edgepipe import disk
from edgepipe.errors import BundleError, MissingDependencyError, UsageError
from edgepipe.runtime.verify import MANIFEST_BYTES, SIGNATURE, verify


def sign(folder: Path, private_key: Path, *, passphrase: bytes | None = None) -> None:
    """``model.sig`` covers every other file of the bundle at ``folder``, which was verified first.

    Args:
        folder: the bundle; a signature that it has is replaced when the new one is there.
        private_key: PEM of an elliptic-curve key on P-256, P-384 or P-521.
        passphrase: of the key, when it is encrypted.

    Raises:
        UsageError: no such bundle or key, or a key or passphrase that does not fit.
        BundleError: the bundle is refused.
        MissingDependencyError: model-signing is not installed.
    """
    library = _library()
    _check_key(private_key)
    verify(folder)
    signer = library.signing.Config().set_hashing_config(_EveryFile(library))
    with _quiet(), _as_usage(f"{private_key} is no usable elliptic-curve private key in PEM"):
        signer.use_elliptic_key_signer(private_key=private_key, password=passphrase)
    with disk.scratch(Path(tempfile.gettempdir()), "edgepipe-sign-") as scratch:
        made = scratch / SIGNATURE
        with _quiet(), _as_bundle(f"{folder} cannot be signed"):
            signer.sign(folder, made)
        disk.copy_file(made, folder / SIGNATURE)


def check_signature(folder: Path, public_key: Path) -> None:
    """``model.sig`` was made with that key's other half over these very files, or BundleError.

    The files are verified against the manifest first. A signature that leaves out any file but
    itself is refused, even when it says so and was made with the right key. Raises UsageError when
    there is no such bundle or key, or the key does not fit, and MissingDependencyError.
    """
    library = _library()
    _check_key(public_key)
    verify(folder)
    signature = folder / SIGNATURE
    if not signature.exists():
        raise BundleError(f"{folder} is not signed: it has no {SIGNATURE}")
    if signature.stat().st_size > MANIFEST_BYTES:
        raise BundleError(f"{signature} is larger than {MANIFEST_BYTES} bytes: do not trust it")
    checker = library.verifying.Config().set_hashing_config(_EveryFile(library))
    with _quiet(), _as_usage(f"{public_key} is no usable elliptic-curve public key in PEM"):
        checker.use_elliptic_key_verifier(public_key=public_key)
    with _quiet(), _as_bundle(f"{signature} is not a signature of this bundle by {public_key}"):
        checker.verify(folder, signature)


def is_encrypted(private_key: Path) -> bool:
    """Whether the key needs a passphrase: PEM says so in its header (RFC 7468, RFC 1421)."""
    _check_key(private_key)
    with disk.translated("read", private_key):
        return b"ENCRYPTED" in private_key.read_bytes()


class _EveryFile:
    """The library's configuration of hashing, but for what a signature says it leaves out."""

    def __init__(self, library: ModuleType) -> None:
        self._config = library.hashing.Config().set_ignored_paths(
            paths=[SIGNATURE], ignore_git_paths=False
        )

    def hash(self, model_path: Path, *, files_to_hash: Iterable[Path] | None = None) -> Any:
        """The library's manifest of every file but the signature."""
        return self._config.hash(model_path, files_to_hash=files_to_hash)

    def add_ignored_paths(self, *, model_path: Path, paths: Iterable[Path]) -> None:
        """Nothing more is ignored."""


def _library() -> ModuleType:
    """model_signing, which imports half of sigstore: only when it is used."""
    try:
        import model_signing
    except ModuleNotFoundError as error:  # pyopenssl too, which it needs and does not declare
        missing = MissingDependencyError("model-signing", "sign", "a signature")
        raise missing from error
    return model_signing


def _check_key(path: Path) -> None:
    with disk.translated("read", path):
        if not path.is_file():
            raise UsageError(f"there is no key file {path}")


@contextlib.contextmanager
def _as_usage(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise UsageError(f"{what}: {_reason(error)}") from error


@contextlib.contextmanager
def _as_bundle(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # whatever the library and its parsers raise, it is not accepted
        raise BundleError(f"{what}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, AttributeError) and error.name == "curve":
        kind = type(error.obj).__name__.removesuffix("PublicKey").removesuffix("PrivateKey")
        return f"it is {kind}; an elliptic-curve key is needed"
    return " ".join(str(error).split())[:300] or type(error).__name__


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The library prints warnings about old signatures on stdout, which is for results."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
