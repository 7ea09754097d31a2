"""What stages hand to each other: a finished directory and a typed, frozen record of it.

An artifact is a directory plus ``artifact.json``. Nobody changes it after it is made. The record
lists every file with its size and SHA-256, and a digest over all of it, stored at commit.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgepipe import disk
from edgepipe.errors import BundleError, StageError

RECORD = "artifact.json"
SCHEMA = 1
Split = Literal["train", "validation", "test"]


class FileRecord(BaseModel):
    """Size and content of one file of an artifact."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    bytes: int
    sha256: str


class Artifact(BaseModel):
    """A finished directory. ``digest`` is empty until ``commit`` has stored it."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, ser_json_inf_nan="constants"
    )
    kind: ClassVar[str]

    path: Path = Field(exclude=True)
    digest: str = Field(default="", exclude=True)

    def commit(self) -> Self:
        """``artifact.json`` describes every file; the artifact returned carries its digest.

        Raises StageError when a field holds NaN or infinity: JSON has neither.
        """
        record = _Record(
            schema=SCHEMA,
            kind=self.kind,
            fields=self.model_dump(mode="json"),
            files={
                name.as_posix(): FileRecord(
                    bytes=(self.path / name).stat().st_size, sha256=disk.sha256(self.path / name)
                )
                for name in disk.files_under(self.path)
                if name.as_posix() != RECORD
            },
        )
        digest = record.expected_digest()
        content = record.model_copy(update={"digest": digest}).model_dump(
            mode="json", by_alias=True
        )
        try:
            disk.write_json(self.path / RECORD, content)
        except ValueError as error:
            raise StageError(f"the {self.kind} made holds NaN or infinity: {error}") from error
        return self.model_copy(update={"digest": digest})

    @classmethod
    def read(cls, path: Path) -> Self:
        """The artifact committed at ``path``.

        Raises BundleError when the record is missing, of another kind or schema, or when a file is
        missing or has another size; contents are compared by ``verify``.
        """
        record = _record(path)
        if record.kind != cls.kind:
            raise BundleError(f"{path} holds a {record.kind}, not a {cls.kind}")
        for name, file in record.files.items():
            if not (path / name).is_file() or (path / name).stat().st_size != file.bytes:
                raise BundleError(f"{path}: {name} is missing or was cut short")
        try:
            text = json.dumps({**record.fields, "path": str(path), "digest": record.digest})
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise BundleError(f"{path / RECORD} is damaged: {error}") from error

    def verify(self) -> None:
        """Raise BundleError when any file differs from what was committed, or one came or went."""
        record = _record(self.path)
        present = {f.as_posix() for f in disk.files_under(self.path)} - {RECORD}
        wrong = present ^ record.files.keys()
        wrong |= {
            name
            for name in present & record.files.keys()
            if disk.sha256(self.path / name) != record.files[name].sha256
        }
        if self.digest != record.digest or record.digest != record.expected_digest():
            wrong.add(RECORD)
        if wrong:
            raise BundleError(f"{self.path}: changed since it was made: {', '.join(sorted(wrong))}")


class _Record(BaseModel):
    """``artifact.json`` itself. NaN must not turn into null on its way there."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, ser_json_inf_nan="constants"
    )

    schema_version: int = Field(alias="schema")
    kind: str
    fields: dict[str, Any]
    files: dict[str, FileRecord]
    digest: str = ""

    def expected_digest(self) -> str:
        """Over everything but the digest itself."""
        record = self.model_dump(mode="json", by_alias=True, exclude={"digest"})
        return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _record(path: Path) -> _Record:
    try:
        found = json.loads((path / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(f"{path}: no readable {RECORD}: {error}") from error
    schema = found.get("schema") if isinstance(found, dict) else None
    if isinstance(schema, int) and schema != SCHEMA:
        raise BundleError(f"{path} has schema {schema}; this edgepipe reads schema {SCHEMA}")
    try:
        return _Record.model_validate(found)
    except ValidationError as error:
        raise BundleError(f"{path / RECORD} is damaged: {error}") from error


def _empty(columns: tuple[str, ...]) -> bool:
    return not columns


class SplitRecord(BaseModel):
    """One split of a dataset, kept as ``SPLIT.jsonl``: ``{"text": str, "label": int}`` a line.

    Where the dataset keeps columns, a line has ``"columns": {str: str}`` too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    rows: int
    label_counts: tuple[int, ...]


class Dataset(Artifact):
    """Labelled texts in JSONL files, one a split, labels as indices into ``labels``."""

    kind = "dataset"

    labels: tuple[str, ...]
    splits: dict[Split, SplitRecord]
    columns: tuple[str, ...] = Field(default=(), exclude_if=_empty)
    """Kept beside every text, to make slices by. In no record where there are none, so that a
    dataset without them has the digest that it always had."""
    notes: dict[str, int] = Field(default_factory=dict)
    """Counts worth reporting: duplicates across splits, and the like."""

    def file(self, split: Split) -> Path:
        """The JSONL file of a split; StageError when the dataset has no such split."""
        if split not in self.splits:
            raise StageError(f"the dataset {self.path} has no {split!r} split")
        return self.path / f"{split}.jsonl"


class Texts(Artifact):
    """Texts without labels, kept as ``texts.jsonl``: ``{"text": str}`` a line."""

    kind = "texts"

    rows: int
    notes: dict[str, int] = Field(default_factory=dict)
    """Counts worth reporting: rows passed over."""

    @property
    def file(self) -> Path:
        """The JSONL file."""
        return self.path / "texts.jsonl"


class Provenance(BaseModel):
    """Where weights came from."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    source: str
    """As written in the pipeline file."""
    sha256: str = ""
    licence: str = ""


class Checkpoint(Artifact):
    """A Hugging Face folder: config, model.safetensors, tokenizer.json, tokenizer_config.json."""

    kind = "checkpoint"

    task: str
    labels: tuple[str, ...]
    max_length: int
    """Tokens, special ones included; longer texts are truncated, in training and at run time."""
    model_type: str
    parameters: int
    provenance: Provenance
    notes: dict[str, float] = Field(default_factory=dict)
    """Figures worth reporting: validation accuracy, truncated texts, epochs."""


class SessionSettings(BaseModel):
    """onnxruntime session settings that belong to a graph."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    disabled_optimizers: tuple[str, ...] = ()
    graph_optimization_level: Literal["disable", "basic", "extended", "all"] = "all"
    config_entries: dict[str, str] = Field(default_factory=dict)


class GraphRecord(BaseModel):
    """One named graph of an OnnxModel."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    file: str
    """Relative to the artifact; external data lies beside it as ``FILE_data``."""
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    session: SessionSettings = SessionSettings()


class OnnxModel(Artifact):
    """Named ONNX graphs, tokenizer and ``edgepipe.json``: the runtime loads the folder as it is."""

    kind = "onnx-model"

    task: str
    labels: tuple[str, ...]
    max_length: int
    pad_token_id: int = 0
    precision: Literal["fp32", "fp16", "int8", "q4"] = "fp32"
    graphs: dict[str, GraphRecord]
    model_type: str = ""
    opset: int = 0
    provenance: Provenance
    notes: dict[str, Any] = Field(default_factory=dict)
    """What the report shows: parity error, fusions, timed candidates, layers left in float."""


class Report(Artifact):
    """Figures in ``report.json``; ``content`` names its schema in ``edgepipe.measure.records``."""

    kind = "report"

    content: Literal["validation", "benchmark", "counts"]


class Bundle(Artifact):
    """What an application gets: ``edgepipe.json`` names every file and variant."""

    kind = "bundle"

    name: str
    variants: tuple[str, ...]


KINDS: dict[str, type[Artifact]] = {
    cls.kind: cls for cls in (Dataset, Texts, Checkpoint, OnnxModel, Report, Bundle)
}
