"""``bom.cdx.json``: the bundle as a CycloneDX 1.6 bill of materials for machine learning.

https://cyclonedx.org/docs/1.6/json/ Written by hand: cyclonedx-python-lib knows no model cards. It
holds no clock, and its serial number follows from its content, so that equal bundles have equal
bytes.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from edgepipe.bundle import card
from edgepipe.bundle.manifest import Manifest
from edgepipe.bundle.provenance import hub_url

FILE = "bom.cdx.json"
Json = dict[str, Any]
_MODEL, _BASE, _DATA = "model", "base-model", "dataset"
_SPDX = {
    name.lower(): name
    for name in (
        "AFL-3.0", "AGPL-3.0-only", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC-BY-4.0",
        "CC-BY-NC-4.0", "CC-BY-SA-4.0", "CC0-1.0", "GPL-3.0-only", "LGPL-3.0-only", "MIT",
        "MPL-2.0", "Unlicense",
    )
}  # fmt: skip
"""Licences of the hub that are those of SPDX in lower case; any other goes by its name."""


def render(made: Manifest, config: Mapping[str, Any]) -> Json:
    """The bill of materials for the files that ``made`` lists; ``config`` is ``config.json``."""
    document: Json = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "tools": {"components": [_tool(*tool) for tool in sorted(made.tools.items())]},
            "component": _model(made, config),
        },
        "components": [*_files(made), *_data(made)],
        "dependencies": _dependencies(made),
    }
    seed = json.dumps(document, sort_keys=True)
    return {**document, "serialNumber": uuid.uuid5(uuid.NAMESPACE_OID, seed).urn}


def _model(made: Manifest, config: Mapping[str, Any]) -> Json:
    return {
        "type": "machine-learning-model",
        "bom-ref": _MODEL,
        "name": made.name,
        **_licences(made),
        "pedigree": {"ancestors": [_base(made)]},
        "modelCard": {
            "modelParameters": _parameters(made, config),
            "quantitativeAnalysis": {"performanceMetrics": list(_metrics(made))},
            "considerations": {"technicalLimitations": list(card.limits(made))},
            "properties": [
                _property("max_length", str(made.max_length)),
                _property("problem_type", made.problem_type),
                *(_property("label", label) for label in made.labels),
            ],
        },
    }


def _parameters(made: Manifest, config: Mapping[str, Any]) -> Json:
    family, architectures = config.get("model_type"), config.get("architectures") or []
    return {
        "approach": {"type": "supervised"},
        "task": made.task,
        **({"architectureFamily": str(family)} if family else {}),
        **({"modelArchitecture": ", ".join(map(str, architectures))} if architectures else {}),
        **({"datasets": [{"ref": _DATA}]} if made.data else {}),
        "inputs": [{"format": "text"}],
        "outputs": [{"format": f"label and score, of {len(made.labels)} labels"}],
    }


def _metrics(made: Manifest) -> Iterator[Json]:
    for variant in made.variants:
        a = variant.accuracy
        if a is None:
            continue
        where = {"slice": f"{a.split} split, {a.examples} texts, variant {variant.name}"}
        bounds = {"lowerBound": f"{a.low:.6f}", "upperBound": f"{a.high:.6f}"}
        accuracy = {"type": "accuracy", "value": f"{a.accuracy:.6f}", **where}
        yield {**accuracy, "confidenceInterval": bounds}
        yield {"type": "agreement with the reference", "value": f"{a.agreement:.6f}", **where}


def _files(made: Manifest) -> Iterator[Json]:
    owners = {g.file: v.name for v in made.variants for g in v.graphs.values()}
    for name, record in sorted(made.files.items()):
        owner = owners.get(name) or owners.get(name.removesuffix("_data"))
        yield {
            "type": "file",
            "bom-ref": f"file:{name}",
            "name": name,
            "hashes": [_sha256(record.sha256)],
            **({"properties": [_property("variant", owner)]} if owner else {}),
        }


def _data(made: Manifest) -> Iterator[Json]:
    if made.data:
        yield {
            "type": "data",
            "bom-ref": _DATA,
            "name": "dataset",
            "description": "Labelled texts; the hash is that of edgepipe's record of its files.",
            "hashes": [_sha256(made.data)],
            "data": [{"type": "dataset", "name": "train, validation and test split"}],
        }


def _base(made: Manifest) -> Json:
    origin = made.provenance
    return {
        "type": "machine-learning-model",
        "bom-ref": _BASE,
        "name": origin.source,
        **_licences(made),
        **({"hashes": [_sha256(origin.sha256)]} if origin.sha256 else {}),
        **({"purl": url} if (url := hub_url(origin.source)) else {}),
    }


def _dependencies(made: Manifest) -> list[Json]:
    on = [f"file:{name}" for name in sorted(made.files)]
    return [{"ref": _MODEL, "dependsOn": [*on, *([_DATA] if made.data else [])]}]


def _licences(made: Manifest) -> Json:
    licence = made.provenance.licence
    if not licence:
        return {}
    known = _SPDX.get(licence.lower())
    return {"licenses": [{"license": {"id": known} if known else {"name": licence}}]}


def _tool(name: str, version: str) -> Json:
    return {"type": "application", "name": name, "version": version}


def _sha256(digest: str) -> Json:
    return {"alg": "SHA-256", "content": digest}


def _property(name: str, value: str) -> Json:
    return {"name": f"edgepipe:{name}", "value": value}
