"""What a graph says about itself, so that it makes sense without the files around it.

ONNX metadata properties (``ModelProto.metadata_props``) of every graph in a bundle; onnxruntime
gives them as ``session.get_modelmeta().custom_metadata_map``:

==============================  ====================================================================
key                             value
==============================  ====================================================================
``edgepipe.schema``             ``1``: the version of this table
``edgepipe.task``               ``text-classification``
``edgepipe.problem_type``       as in config.json: single_label_classification, …
``edgepipe.labels``             JSON list of text, in the order of the logits
``edgepipe.max_length``         tokens of a text, special ones included; longer ones are truncated
``edgepipe.pad_token_id``       fills up shorter texts of a batch, at mask 0
``edgepipe.tokenizer_sha256``   hex digest of the ``tokenizer.json`` the ids have to come from
==============================  ====================================================================

The version of edgepipe is not among them: equal models have equal bytes, whoever wrote them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from edgepipe.bundle.manifest import Manifest

PREFIX = "edgepipe."
SCHEMA = 1


def properties(made: Manifest) -> dict[str, str]:
    """The table above for one bundle, whose manifest lists the tokenizer among its files."""
    values = {
        "schema": str(SCHEMA),
        "task": made.task,
        "problem_type": made.problem_type,
        "labels": json.dumps(made.labels, ensure_ascii=False),
        "max_length": str(made.max_length),
        "pad_token_id": str(made.pad_token_id),
        "tokenizer_sha256": made.files[made.tokenizer].sha256,
    }
    return {PREFIX + key: value for key, value in values.items()}


def stamp(model: Any, values: Mapping[str, str]) -> None:
    """The ModelProto carries ``values`` in sorted order, and nothing older under our prefix."""
    foreign = [entry for entry in model.metadata_props if not entry.key.startswith(PREFIX)]
    del model.metadata_props[:]
    model.metadata_props.extend(foreign)
    for key in sorted(values):
        model.metadata_props.add(key=key, value=values[key])
