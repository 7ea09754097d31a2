"""``edgepipe.json``: what the runtime reads, as versioned models that write it.

``edgepipe.runtime.manifest`` reads the same file with the standard library alone; a contract test
holds the two together.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
)

from edgepipe import disk
from edgepipe.artifacts import RECORD, FileRecord, GraphRecord, OnnxModel, Provenance, Split
from edgepipe.errors import BundleError, UsageError
from edgepipe.runtime.choose import AUTO

MANIFEST = "edgepipe.json"
SCHEMA: Literal[1] = 1
ProblemType = Literal["single_label_classification", "multi_label_classification", "regression"]
"""As transformers writes it to config.json: scores are softmax, the logistic function, or logits.

A single label gets the logistic function unless the problem is a regression.
"""
_PROBLEM_TYPE: TypeAdapter[ProblemType] = TypeAdapter(ProblemType)
Precision = Literal["fp32", "fp16", "int8", "q4"]


class Accuracy(BaseModel):
    """What the final validation measured for a variant."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    accuracy: float
    low: float
    high: float
    """Wilson's interval at 95 %."""
    split: Split = "test"
    examples: int
    agreement: float
    """Share of test texts on which the variant and the reference answer alike."""


class Variant(BaseModel):
    """One precision of the model.

    Variants stand in order of preference: ``auto`` takes the first one whose ``devices`` and
    ``cpu_features`` fit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str
    precision: Precision
    graphs: dict[str, GraphRecord]
    devices: tuple[Literal["cpu", "cuda"], ...] = ("cpu", "cuda")
    cpu_features: tuple[str, ...] = ()
    """All needed, as /proc/cpuinfo spells them; empty: any CPU."""
    batch_invariant: bool = True
    """False when an answer depends on its batch mates (dynamic int8 takes ranges per batch)."""
    tolerance: float | None = None
    """How far logits may lie from ``golden.jsonl``, text by text, at exact length and batch 1."""
    accuracy: Accuracy | None = None


class Manifest(BaseModel):
    """The whole ``edgepipe.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)

    schema_version: Literal[1] = Field(default=SCHEMA, alias="schema")
    name: str
    task: str
    problem_type: ProblemType = "single_label_classification"
    labels: tuple[str, ...]
    max_length: int
    pad_token_id: int
    tokenizer: str = "tokenizer.json"
    variants: tuple[Variant, ...]
    files: dict[str, FileRecord]
    """Every file of the folder but this one and ``artifact.json``."""
    provenance: Provenance
    data: str = ""
    """Digest of the dataset the figures come from."""
    tools: dict[str, str] = Field(default_factory=dict)

    @field_validator("variants")
    @classmethod
    def _names_mean_one_variant(cls, variants: tuple[Variant, ...]) -> tuple[Variant, ...]:
        """Else ``--variant`` would run another one than the one it names."""
        names = [variant.name for variant in variants]
        if AUTO in names:
            raise ValueError(f"no variant may be called {AUTO!r}: that asks for any of them")
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"two variants are called {twice!r:.120}")
        return variants


def variant_of(model: OnnxModel, name: str, accuracy: Accuracy | None = None) -> Variant:
    """The manifest's entry for one OnnxModel."""
    return Variant(
        name=name,
        precision=model.precision,
        graphs=model.graphs,
        devices=("cpu",) if model.precision == "int8" else ("cpu", "cuda"),
        batch_invariant=model.precision != "int8",
        accuracy=accuracy,
    )


def problem_type_of(folder: Path) -> ProblemType:
    """What ``config.json`` in ``folder`` says; single label where it says nothing or is absent.

    Raises BundleError when it says something unknown, or is no JSON.
    """
    file = folder / "config.json"
    if not file.exists():
        return "single_label_classification"
    try:
        said = json.loads(file.read_text(encoding="utf-8")).get("problem_type")
        return _PROBLEM_TYPE.validate_python(said or "single_label_classification")
    except (OSError, ValueError, AttributeError) as error:  # ValidationError is a ValueError
        raise BundleError(f"{file}: no readable problem_type: {error}") from error


def describe(model: OnnxModel) -> None:
    """Write ``edgepipe.json`` into the folder of one OnnxModel, so that the runtime loads it.

    Call it last, when every other file is in place.
    """
    manifest = Manifest(
        name=model.precision,
        task=model.task,
        problem_type=problem_type_of(model.path),
        labels=model.labels,
        max_length=model.max_length,
        pad_token_id=model.pad_token_id,
        variants=(variant_of(model, model.precision),),
        files=file_records(model.path),
        provenance=model.provenance,
    )
    write(manifest, model.path)


def write(manifest: Manifest, folder: Path) -> None:
    """``folder/edgepipe.json`` holds ``manifest``."""
    disk.write_json(folder / MANIFEST, manifest.model_dump(mode="json", by_alias=True))


def file_records(folder: Path, names: Iterable[str] | None = None) -> dict[str, FileRecord]:
    """Size and SHA-256 of ``names``, by default of every file that a manifest has to list."""
    if names is None:
        found = (file.as_posix() for file in disk.files_under(folder))
        names = (name for name in found if name not in (MANIFEST, RECORD))
    return {
        name: FileRecord(bytes=(folder / name).stat().st_size, sha256=disk.sha256(folder / name))
        for name in names
    }


def read(folder: Path) -> Manifest:
    """The manifest of ``folder``.

    Raises UsageError when there is no such folder, BundleError when it holds no manifest, or one
    that is damaged or of an unknown schema.
    """
    if not folder.exists():
        raise UsageError(f"there is no bundle at {folder}")
    try:
        return Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except OSError as error:
        raise BundleError(f"{folder}: not a bundle: no readable {MANIFEST}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or MANIFEST
        raise BundleError(f"{folder / MANIFEST}: {where}: {first['msg']}") from error
