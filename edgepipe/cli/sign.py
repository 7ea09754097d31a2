"""``edgepipe sign BUNDLE``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from edgepipe.cli.console import json_option, say
from edgepipe.cli.made import tell
from edgepipe.errors import UsageError

_PASSPHRASE = "EDGEPIPE_KEY_PASSPHRASE"  # noqa: S105 - the name of a variable


@click.command("sign")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--key",
    type=click.Path(path_type=Path),
    required=True,
    metavar="PRIVATE.pem",
    help="Elliptic-curve key on P-256, P-384 or P-521.",
)
@json_option
def command(bundle: Path, key: Path, as_json: bool) -> None:  # noqa: FBT001
    """Verify BUNDLE and write model.sig into it, an OpenSSF model signature of all its files.

    The passphrase of an encrypted key is read from EDGEPIPE_KEY_PASSPHRASE, or asked for. Give
    away the public half, never the key; `edgepipe verify BUNDLE --key PUBLIC.pem` checks with it.

    \b
    Make a pair of keys:
      openssl ecparam -name prime256v1 -genkey -noout -out PRIVATE.pem
      openssl ec -in PRIVATE.pem -pubout -out PUBLIC.pem
    """  # noqa: D301 - click wants the character
    from edgepipe.bundle import signing
    from edgepipe.runtime.verify import SIGNATURE

    passphrase = _passphrase(key) if signing.is_encrypted(key) else None
    path = bundle / SIGNATURE
    had_one = path.exists()
    signing.sign(bundle, key, passphrase=passphrase)
    tell(path, path, as_json=as_json)
    if had_one:
        (say if as_json else click.echo)("an earlier signature was replaced")


def _passphrase(key: Path) -> bytes:
    known = os.environ.get(_PASSPHRASE)
    if known is None and sys.stdin.isatty():
        known = click.prompt(f"Passphrase of {key}", hide_input=True, err=True)
    if not known:
        raise UsageError(f"{key} is encrypted; put its passphrase into {_PASSPHRASE}")
    return os.fsencode(known)
