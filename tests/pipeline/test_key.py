from __future__ import annotations

import ast
from pathlib import Path

import pytest
from pydantic import BaseModel

import edgepipe
from edgepipe.artifacts import Dataset
from edgepipe.measure.machine import machine_id
from edgepipe.pipeline import key as keys
from edgepipe.pipeline.key import changes, code_hash, key_digest, key_of
from edgepipe.pipeline.settings import RunSettings
from edgepipe.sources import Source
from edgepipe.stage import Stage
from edgepipe.stages import STAGES, stage_class
from tests.pipeline import toys

RUN = RunSettings(seed=7, device="cpu", threads=3)


class Table(BaseModel):
    inner: Source
    size: int = 1


class Reader(Stage[toys.Nothing, Dataset]):
    inputs = toys.Nothing
    makes = Dataset
    tools = ("pytest", "no-such-distribution")
    measures = True
    version = "4"

    plain: Source
    table: Table
    left_open: Source | None = None
    count: int = 2

    def run(self, inputs, into, work):
        raise NotImplementedError


def data(digest: str) -> Dataset:
    return Dataset(path=Path("anywhere"), digest=digest, labels=("a",), splits={})


def reader(folder: Path, **settings: object) -> toys.Step:
    (folder / "file").write_text("content")
    given = {"plain": Source("file", folder), "table": Table(inner=Source("file", folder))}
    return toys.step("reader", Reader(**{**given, **settings}))


def test_the_key_of_a_step_has_a_named_part_for_everything(tmp_path: Path) -> None:
    found = key_of(reader(tmp_path), {}, RUN, "pipeline")
    assert list(found) == [
        "stage", "version", "code", "setting table", "setting left_open", "setting count",
        "source plain", "source table.inner", "tool pytest", "tool no-such-distribution",
        "device", "machine", "threads",
    ]  # fmt: skip
    assert found["version"] == "4"
    assert found["setting count"] == "2"
    assert found["tool pytest"] == pytest.__version__
    assert found["tool no-such-distribution"] == "not installed"
    assert (found["machine"], found["threads"]) == (machine_id(), "3")
    # SHA-256 of the seven bytes "content", by coreutils
    sha = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"
    assert found["source plain"] == found["source table.inner"] == sha


def test_inputs_enter_by_digest_name_and_order() -> None:
    step = toys.step("w", toys.Wrap(), parts=("a", "b"))

    def digest(**parts: Dataset) -> str:
        return key_of(step, {"parts": parts, "note": None}, RUN, "x")["input parts"]

    one, two = data("1"), data("2")
    found = {
        digest(a=one, b=two),
        digest(b=two, a=one),
        digest(a=one, b=one),
        digest(a=one, c=two),
        digest(a=one),
    }
    assert len(found) == 5
    assert key_of(step, {"parts": {}, "note": None}, RUN, "x")["input note"] == "absent"
    single = toys.step("d", toys.Double(), number="n")
    assert key_of(single, {"number": one}, RUN, "x")["input number"] == "1"


def test_only_what_a_stage_depends_on_is_in_its_key() -> None:
    number = key_of(toys.step("n", toys.Number()), {}, RUN, "x")
    double = key_of(toys.step("d", toys.Double()), {}, RUN, "x")
    assert {"seed", "device", "threads", "machine", "name", "cpu"}.isdisjoint(number)
    assert double["seed"] == "7"
    named = type("Named_", (toys.Number,), {"depends": frozenset({"name", "device", "cpu"})})
    found = key_of(toys.step("n", named()), {}, RUN, "x")
    assert (found["name"], found["device"]) == ("x", "cpu")
    assert "cpu" in found


def test_the_digest_of_a_key_does_not_depend_on_the_order_of_its_parts() -> None:
    assert key_digest({"a": "1", "b": "2"}) == key_digest({"b": "2", "a": "1"})
    assert key_digest({"a": "1", "b": "2"}) != key_digest({"a": "2", "b": "1"})
    assert len(key_digest({})) == 32


def test_a_miss_names_every_part_that_changed() -> None:
    old = {"stage": "x", "setting a": "1", "code": "old", "seed": "0", "input data": "d"}
    new = {"stage": "x", "setting b": "2", "code": "new", "seed": "1", "input data": "e"}
    assert changes(old, new) == [
        "code changed",
        "input data changed",
        "seed: 0 -> 1",
        "setting a: 1 -> absent",
        "setting b: absent -> 2",
    ]
    assert changes(old, old) == []


# ---- code ---------------------------------------------------------------------------------------


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that takes the place of edgepipe's own files."""
    root = tmp_path / "edgepipe"
    for folder in ("pipeline", "stages", "toolkit"):
        (root / folder).mkdir(parents=True)
        (root / folder / "__init__.py").write_text('"""A package."""\n')
    (root / "errors.py").write_text("class Oops(Exception): ...\n")
    (root / "stages" / "x.py").write_text(
        "from edgepipe.errors import Oops\nimport json, torch\n"
        "def run():\n    from edgepipe.toolkit import deep\n    return deep.value()\n"
    )
    (root / "toolkit" / "deep.py").write_text(
        "from edgepipe.toolkit.deeper import two\ndef value(): return two\n"
    )
    (root / "toolkit" / "deeper.py").write_text("two = 2\n")
    (root / "toolkit" / "aside.py").write_text("three = 3\n")
    monkeypatch.setattr(keys, "__file__", str(root / "pipeline" / "key.py"))
    return root


def hashed(stage: str = "edgepipe.stages.x") -> str:
    code_hash.cache_clear()
    try:
        return code_hash(stage)
    finally:
        code_hash.cache_clear()


@pytest.mark.parametrize(
    ("file", "text", "counts"),
    [
        ("stages/x.py", "# a comment\n", False),
        ("stages/x.py", "\n\n\n", False),
        ("stages/x.py", "y = 1\n", True),
        ("toolkit/deep.py", "y = 1\n", True),
        ("toolkit/deeper.py", "y = 1\n", True),
        ("toolkit/deeper.py", "# a comment\n", False),
        ("toolkit/__init__.py", "y = 1\n", True),
        ("toolkit/aside.py", "y = 1\n", False),
        ("errors.py", "y = 1\n", False),
        ("pipeline/__init__.py", "y = 1\n", False),
    ],
)
def test_code_that_a_stage_reaches_counts_and_comments_do_not(
    package: Path, file: str, text: str, *, counts: bool
) -> None:
    before = hashed()
    with (package / file).open("a") as opened:
        opened.write(text)
    assert (hashed() != before) is counts


def test_a_changed_number_counts_and_moving_the_file_does_not(package: Path) -> None:
    before = hashed()
    (package / "toolkit" / "deeper.py").write_text("two   =   2  # twice one\n")
    assert hashed() == before
    (package / "toolkit" / "deeper.py").write_text("two = 3\n")
    assert hashed() != before


@pytest.mark.parametrize("use", STAGES)
def test_every_real_stage_reaches_its_own_module(use: str) -> None:
    module = stage_class(use).__module__
    assert module in keys._reachable(module)


def test_no_module_imports_relatively() -> None:
    """``code_hash`` follows absolute names alone."""
    root = Path(edgepipe.__file__).parent
    for file in root.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            assert not (isinstance(node, ast.ImportFrom) and node.level), f"{file}:{node.lineno}"
