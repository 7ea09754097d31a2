"""Pages that are drawn from the code are as the code is now."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

from edgepipe import cli
from edgepipe.config import load
from edgepipe.stages import STAGES

ROOT = Path(__file__).parents[2]


def test_the_reference_is_what_the_code_says() -> None:
    script = runpy.run_path(str(ROOT / "docs" / "reference.py"))
    assert (ROOT / "docs" / "reference.md").read_text() == script["render"]()


def test_every_setting_is_explained_or_speaks_for_itself() -> None:
    page = (ROOT / "docs" / "reference.md").read_text()
    assert all(f'## `use = "{use}"`' in page for use in STAGES)


def test_the_readme_names_every_command_and_every_place_of_the_tree() -> None:
    readme = (ROOT / "README.md").read_text()
    for name in cli.COMMANDS:
        assert f"`edgepipe {name}" in readme
    tree = readme.partition("## The tree")[2].partition("```\n")[2].partition("```")[0]
    named = set(re.findall(r"^  (\w+(?:\.py|/))", tree, re.MULTILINE))
    present = {f"{p.name}/" for p in (ROOT / "edgepipe").iterdir() if (p / "__init__.py").exists()}
    present |= {p.name for p in (ROOT / "edgepipe").glob("*.py") if not p.name.startswith("__")}
    assert named == present


def test_every_shipped_pipeline_loads() -> None:
    for file in (ROOT / "pipelines").glob("*.toml"):
        assert load(file).steps
