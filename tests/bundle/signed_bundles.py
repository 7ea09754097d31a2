"""A signed bundle to tamper with, and keys to sign it with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization

from edgepipe.bundle.signing import sign
from tests.bundle.zips import files_of
from tests.runtime.tiny_onnx import Tiny, records, write_bundle

SIGNATURE = "model.sig"
PEM = serialization.Encoding.PEM

Files = dict[str, bytes]


def write_key(folder: Path, key: Any, passphrase: bytes | None = None) -> tuple[Path, Path]:
    """The private and the public half, as openssl writes them."""
    folder.mkdir(exist_ok=True, parents=True)
    locked = serialization.BestAvailableEncryption(passphrase) if passphrase else None
    private = key.private_bytes(
        PEM, serialization.PrivateFormat.PKCS8, locked or serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / "private.pem").write_bytes(private)
    (folder / "public.pem").write_bytes(public)
    return folder / "private.pem", folder / "public.pem"


def list_again(folder: Path) -> None:
    """The manifest fits the files that are there now."""
    manifest = json.loads((folder / "edgepipe.json").read_text())
    manifest["files"] = {k: v for k, v in records(folder).items() if k != SIGNATURE}
    (folder / "edgepipe.json").write_text(json.dumps(manifest))


def signed_files(folder: Path, private: Path) -> Files:
    """The files of a bundle made at ``folder`` and signed."""
    folder = write_bundle(folder, Tiny())
    (folder / "config.json").write_text('{"model_type": "tiny"}')
    (folder / "README.md").write_text("# tiny\n")
    (folder / "onnx" / "model.onnx_data").write_bytes(bytes(range(256)))
    list_again(folder)
    sign(folder, private)
    return files_of(folder)
