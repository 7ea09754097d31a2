"""Signatures of bundles by OpenSSF model-signing, with a key of one's own."""

from __future__ import annotations

from pathlib import Path


def sign(folder: Path, private_key: Path, *, passphrase: bytes | None = None) -> None:
    """``model.sig`` of the bundle at ``folder`` covers every other file of it."""
    raise NotImplementedError


def check_signature(folder: Path, public_key: Path) -> None:
    """``model.sig`` was made with that key's other half over these very files, or BundleError."""
    raise NotImplementedError
