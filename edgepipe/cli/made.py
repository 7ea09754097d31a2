"""What a command that writes one thing says about it."""

from __future__ import annotations

from pathlib import Path

import click

from edgepipe.cli.console import emit


def tell(path: Path, digest_of: Path, *, as_json: bool) -> None:
    """Path, bytes and SHA-256 on stdout; the sum is that of the file ``digest_of``."""
    from edgepipe import disk

    shown, size, digest = click.format_filename(path), disk.size(path), disk.sha256(digest_of)
    which = "sha256" if digest_of == path else "manifest_sha256"
    if as_json:
        emit({"path": shown, "bytes": size, which: digest})
    else:
        click.echo(f"{shown}: {size} bytes, {which} {digest}")
