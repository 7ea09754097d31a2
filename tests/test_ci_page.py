"""What docs/ci.md shows is what works."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from edgepipe.config.policy import parse_policy
from edgepipe.errors import ExitCode

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "ci.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_every_policy_on_the_page_is_one(tmp_path: Path) -> None:
    (policy,) = blocks("toml")
    found = parse_policy(policy, tmp_path / "policy.toml")
    assert [gate.measure for gate in found.gates] == [
        "operators", "size", "accuracy", "accuracy", "latency",
    ]  # fmt: skip
    assert found.baseline == tmp_path / "artifacts" / "baselines"


def test_the_github_recipe_gives_the_action_inputs_that_it_has() -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    steps = yaml.safe_load(blocks("yaml")[0])["jobs"]["gate"]["steps"]
    (given,) = [step["with"] for step in steps if step["uses"].startswith("OWNER/edgepipe@")]
    assert set(given) <= set(action["inputs"])
    assert given["report"]
    assert "reports" in yaml.safe_load(blocks("yaml")[2])["gate"]["artifacts"]


def test_shell_and_python_are_such() -> None:
    for script in blocks("bash"):
        subprocess.run(["bash", "-n", "-c", script], check=True)
    for code in blocks("python"):
        compile(code, "ci.md", "exec")


def test_the_comment_shows_what_was_judged_and_judges_nothing_itself() -> None:
    steps = yaml.safe_load(blocks("yaml")[0])["jobs"]["gate"]["steps"]
    (given,) = [step["with"] for step in steps if step["uses"].startswith("OWNER/edgepipe@")]
    (comment,) = yaml.safe_load(blocks("yaml")[1])
    assert comment["if"].startswith("always()")
    assert given["markdown"] in comment["run"]
    assert given["markdown-limit"] < 65_536
    assert "edgepipe gate" not in comment["run"]
    assert "${{" not in comment["run"]
    subprocess.run(["bash", "-n", "-c", comment["run"]], check=True)


@pytest.mark.parametrize("code", [0, 2, 4, 5])
def test_the_shell_recipe_ends_as_the_gate_does(tmp_path: Path, code: int) -> None:
    """Under ``set -e`` too, as CI runs it."""
    (recipe,) = [script for script in blocks("bash") if "edgepipe gate" in script]
    stub = f"edgepipe() {{ return {code}; }}\n"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", stub + recipe],
        cwd=tmp_path, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == code
    assert (done.stdout == "release\n") == (code == 0)


@pytest.mark.parametrize("code", [c for c in ExitCode if c < 128], ids=lambda c: c.name)
def test_every_exit_code_is_explained(code: ExitCode) -> None:
    assert f"\n| {code.value} | " in PAGE
