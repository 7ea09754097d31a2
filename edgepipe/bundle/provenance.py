"""``provenance.json``: what the model was made from, as an unsigned in-toto statement.

Statement v1 (https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md) with the SLSA
provenance v1 predicate (https://slsa.dev/spec/v1.1/provenance). It claims no SLSA level: nobody but
the machine that built the bundle vouches for it. Clocks are left out, so that equal bundles have
equal bytes.
"""

from __future__ import annotations

import hashlib
import re
import urllib.parse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import edgepipe
from edgepipe import disk
from edgepipe.bundle.manifest import Manifest

FILE = "provenance.json"
Json = dict[str, Any]
_BUILDER = "pkg:pypi/edgepipe"


def render(made: Manifest, config: Mapping[str, Any]) -> Json:
    """The statement about the files that ``made`` lists; ``config`` is ``config.json``."""
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            {"name": name, "digest": {"sha256": record.sha256}}
            for name, record in sorted(made.files.items())
        ],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": f"{_BUILDER}#package/v1",
                "externalParameters": {
                    "name": made.name,
                    "task": made.task,
                    "variants": [variant.name for variant in made.variants],
                },
                "resolvedDependencies": [_base(made), *_data(made), _code(), *_tools(made, config)],
            },
            "runDetails": {
                "builder": {"id": _BUILDER, "version": {"edgepipe": edgepipe.__version__}}
            },
        },
    }


def code_digest() -> str:
    """SHA-256 over the names and SHA-256 of every ``*.py`` file of this package, sorted by name."""
    root = Path(edgepipe.__file__).parent
    total = hashlib.sha256()
    for name in sorted(file.relative_to(root).as_posix() for file in root.rglob("*.py")):
        total.update(f"{name}\0{disk.sha256(root / name)}\n".encode())
    return total.hexdigest()


def public(source: str) -> str:
    """``source`` without folders of the machine it was named on; hub and package names whole."""
    return source if "://" in source else re.split(r"[\\/]", source.rstrip("\\/"))[-1]


def hub_model(source: str) -> str:
    """``org/name`` for a model of the Hugging Face hub, else nothing."""
    return source.removeprefix("hf://").partition("@")[0] if source.startswith("hf://") else ""


def hub_url(source: str) -> str:
    """The package URL of a model of the Hugging Face hub, with its revision; else nothing.

    https://github.com/package-url/purl-spec, type ``huggingface``.
    """
    if not hub_model(source):
        return ""
    _, at, revision = source.partition("@")
    return (
        f"pkg:huggingface/{urllib.parse.quote(hub_model(source))}{at}{urllib.parse.quote(revision)}"
    )


def _base(made: Manifest) -> Json:
    origin = made.provenance
    return {
        "name": origin.source,
        **({"uri": url} if (url := hub_url(origin.source)) else {}),
        **({"digest": {"sha256": origin.sha256}} if origin.sha256 else {}),
        "annotations": {"role": "base model", "licence": origin.licence or "unknown"},
    }


def _data(made: Manifest) -> Iterator[Json]:
    if made.data:
        of = "artifact.json of the dataset: name, size and SHA-256 of every file, as sorted JSON"
        annotations = {"role": "training, validation and test data", "digestOf": of}
        yield {"name": "dataset", "digest": {"sha256": made.data}, "annotations": annotations}


def _code() -> Json:
    of = "a line `name NUL SHA-256` for every .py file of the package edgepipe, sorted by name"
    return {
        "name": "edgepipe",
        "uri": f"{_BUILDER}@{edgepipe.__version__}",
        "digest": {"sha256": code_digest()},
        "annotations": {"role": "code that assembled the bundle", "digestOf": of},
    }


def _tools(made: Manifest, config: Mapping[str, Any]) -> Iterator[Json]:
    """Those that assembled the bundle, and the transformers that wrote ``config.json``."""
    versions = {"transformers": str(config.get("transformers_version", "")), **made.tools}
    for name, version in sorted(versions.items()):
        if version and name != "edgepipe":
            yield {"name": name, "annotations": {"role": "tool", "version": version}}
