from __future__ import annotations

import sys
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from edgepipe.errors import UsageError
from edgepipe.sources import Source


class Settings(BaseModel):
    model: Source
    other: Source | None = None


def test_settings_read_it_from_a_string_and_write_it_back(tmp_path: Path) -> None:
    read = Settings.model_validate_json('{"model": "a/b"}', context={"base": tmp_path})
    assert read.model == Source("a/b", tmp_path)
    assert read.model_dump(mode="json") == {"model": "a/b", "other": None}
    assert str(read.model) == "a/b"
    assert Settings(model=Source("x")).model == Source("x")
    assert Settings.model_json_schema()["properties"]["model"]["type"] == "string"
    for wrong in ('{"model": ""}', '{"model": 3}', '{"model": null}'):
        with pytest.raises(ValidationError):
            Settings.model_validate_json(wrong)


def test_paths_are_relative_to_their_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path / "data")
    wanted = tmp_path / "data" / "a.csv"
    for source in (
        Source("data/a.csv", tmp_path),
        Source("../data/a.csv", tmp_path / "data"),
        Source(str(wanted), Path("/elsewhere")),
        Source("~/data/a.csv", Path("/elsewhere")),
        Source("a.csv"),
    ):
        assert source.locate() == wanted


@pytest.mark.parametrize("text", ["absent.csv", "a\x00b", "~nobody-of-that-name/x", "x" * 5000])
def test_what_is_not_there_or_no_path(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match=r"no such file or folder|is no path"):
        Source(text, tmp_path).locate()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that says so when anybody imports it."""
    folder = tmp_path / "shipped_model"
    (folder / "model").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise ImportError('nobody may import this')")
    (tmp_path / "shipped_module.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def test_a_package_ships_a_file_and_is_not_imported(package: Path) -> None:
    assert Source("pkg://shipped_model/model").locate() == package / "model"
    assert Source("pkg://shipped_model").locate() == package
    (package / "inner").mkdir()
    assert Source("pkg://shipped_model.inner/").locate() == package / "inner"
    assert "shipped_model" not in sys.modules
    with pytest.raises(UsageError, match=r"^pkg://shipped_model/absent: there is no such file"):
        Source("pkg://shipped_model/absent").locate()


@pytest.mark.parametrize(
    "text",
    ["pkg://not_installed_at_all/x", "pkg://", "pkg://.a/b", "pkg://shipped_module/x"],
)  # fmt: skip
def test_a_package_that_is_not_there_or_no_package(package: Path, text: str) -> None:
    name = text.removeprefix("pkg://").partition("/")[0]
    with pytest.raises(UsageError) as caught:
        Source(text).locate()
    assert str(caught.value) == f"{text}: the package {name!r} is not installed; pip install it"
    assert "shipped_model" not in sys.modules


def test_the_hub_is_asked_for_weights_and_texts_but_never_for_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str | None]] = []

    def snapshot_download(name: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        asked.append((name, revision))
        assert "*.safetensors" in allow_patterns
        assert not [p for p in allow_patterns if p.endswith((".py", ".bin", ".pkl", "*"))]
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    assert Source("hf://org/name").locate() == tmp_path
    assert Source("hf://org/name@v1.0").locate() == tmp_path
    assert asked == [("org/name", None), ("org/name", "v1.0")]
    assert Source("hf://org/name").is_remote
    assert not Source("pkg://org/name").is_remote


def test_no_network_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def snapshot_download(name: str, **_: object) -> str:
        raise ConnectionError("no way out")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    with pytest.raises(UsageError, match=r"^hf://org/name: could not be fetched: no way out$"):
        Source("hf://org/name").locate()


def test_a_missing_client_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UsageError, match=r"pip install 'edgepipe\[build\]'"):
        Source("hf://org/name").locate()
