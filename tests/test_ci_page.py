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


@pytest.mark.parametrize("code", [c for c in ExitCode if c < 128], ids=lambda c: c.name)
def test_every_exit_code_is_explained(code: ExitCode) -> None:
    assert f"\n| {code.value} | " in PAGE
