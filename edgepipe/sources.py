"""Outside files as a pipeline file names them: a path, ``pkg://package/path`` or ``hf://org/name``."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, GetCoreSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, core_schema

from edgepipe.errors import UsageError

_HUB_FILES = ("*.json", "*.safetensors", "*.txt", "*.model", "onnx/*.onnx", "onnx/*.onnx_data")


@dataclass(frozen=True)
class Source:
    """A file or folder outside the project. ``str(source)`` is what the pipeline file says.

    In settings it is validated from a string; relative paths are relative to the pipeline file.
    """

    text: str
    base: Path = Path()

    def __str__(self) -> str:
        return self.text

    @property
    def is_remote(self) -> bool:
        """Whether ``locate`` may have to fetch it first."""
        return self.text.startswith("hf://")

    def locate(self) -> Path:
        """The file or folder on this disk; UsageError when it is not there."""
        try:
            path = self._path()
            found = path.exists()
        except (OSError, RuntimeError, ValueError) as error:  # "~nobody", a NUL, an endless name
            reason = getattr(error, "strerror", None) or error
            raise UsageError(f"{self.text}: is no path: {reason}") from error
        if not found:
            raise UsageError(f"{self.text}: there is no such file or folder ({path})")
        return path

    def _path(self) -> Path:
        if self.text.startswith("pkg://"):
            return _in_package(self.text)
        if self.is_remote:
            return _from_hub(self.text)
        return (self.base / Path(self.text).expanduser()).resolve()

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Strings in, strings out; the validation context may hold ``base``."""

        def build(text: str, info: ValidationInfo) -> Source:
            return cls(text, (info.context or {}).get("base", Path()))

        from_text = core_schema.with_info_after_validator_function(
            build, core_schema.str_schema(min_length=1)
        )
        return core_schema.json_or_python_schema(
            json_schema=from_text,
            python_schema=core_schema.union_schema(
                [core_schema.is_instance_schema(cls), from_text]
            ),
            serialization=core_schema.to_string_ser_schema(),
        )


def _in_package(text: str) -> Path:
    """A file that an installed package ships, found without importing the package."""
    package, _, inner = text.removeprefix("pkg://").partition("/")
    root, *deeper = package.split(".")  # to find "a.b", Python would import "a"
    try:
        spec = importlib.util.find_spec(root)
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise UsageError(f"{text}: the package {package!r} is not installed; pip install it")
    return Path(next(iter(spec.submodule_search_locations)), *deeper, inner)


def _from_hub(text: str) -> Path:
    """A snapshot of ``hf://org/name`` or ``hf://org/name@revision``: safetensors, never code."""
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise UsageError(f"{text}: needs huggingface_hub: pip install 'edgepipe[build]'") from error
    name, _, revision = text.removeprefix("hf://").partition("@")
    try:
        return Path(
            snapshot_download(name, revision=revision or None, allow_patterns=list(_HUB_FILES))
        )
    except Exception as error:  # the hub client raises a dozen unrelated types
        raise UsageError(f"{text}: could not be fetched: {error}") from error


def walk(model: BaseModel, prefix: str = "") -> Iterator[tuple[str, Source]]:
    """Every Source among the settings, nested tables included, with its dotted name."""
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, Source):
            yield prefix + name, value
        elif isinstance(value, BaseModel):
            yield from walk(value, f"{prefix}{name}.")
