from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_file_beside_the_code_is_installed_with_it() -> None:
    """A page or a style sheet that only the source tree has is missing after ``pip install``."""
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    shipped = {
        path
        for package, patterns in tool["package-data"].items()
        for pattern in patterns
        for path in (ROOT / package.replace(".", "/")).glob(pattern)
    }
    there = {
        path
        for path in (ROOT / "edgepipe").rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"}
    }
    assert there == shipped
