"""Where the weights in a folder come from."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from edgepipe import disk
from edgepipe.artifacts import Provenance

_LICENCE = re.compile(r"^license:\s*(\S+)\s*$", re.MULTILINE)


def provenance(source: str, folder: Path) -> Provenance:
    """The name under which the weights were asked for, their SHA-256, and the card's licence.

    Weights in several files get the digest of their digests. No README.md, or none with a
    ``license:`` line in its head, gives an empty licence.
    """
    digests = [disk.sha256(file) for file in sorted(folder.glob("*.safetensors"))]
    whole = (
        digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    )
    return Provenance(source=source, sha256=whole, licence=_licence(folder / "README.md"))


def _licence(card: Path) -> str:
    """From the YAML between the first two lines of three dashes."""
    if not card.is_file():
        return ""
    parts = card.read_text(encoding="utf-8", errors="replace").split("---\n", 2)
    found = _LICENCE.search(parts[1]) if len(parts) > 1 and not parts[0].strip() else None
    return found.group(1) if found else ""
