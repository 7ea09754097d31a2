"""The plugin in pytest processes of their own, as a project that installed edgepipe has it."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from tests.cli import reports

pytest_plugins = ["pytester"]
ROOT = Path(__file__).parents[1]


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """An empty project with reports, policies and strict settings."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    reports.write(pytester.path)
    pytester.makeini("[pytest]\naddopts = --strict-markers --strict-config\nfilterwarnings = error")
    return pytester


def run(project: pytest.Pytester, *args: str) -> pytest.RunResult:
    return project.runpytest_subprocess("-p", "edgepipe.pytest_plugin", "-rA", *args)


def test_a_test_ends_as_its_gates_do(project: pytest.Pytester) -> None:
    (project.path / "sub").mkdir()
    (project.path / "sub" / "test_release.py").write_text(
        """
import pytest
from pathlib import Path

REPORT = "new.json"

@pytest.mark.edgepipe_gate(report=REPORT, policy="pass.toml")
def test_passes(edgepipe_gate):
    assert edgepipe_gate.report.name == "reviews"
    assert [v.outcome for v in edgepipe_gate.report.verdicts] == ["pass"]

@pytest.mark.edgepipe_gate(REPORT, policy=Path("pass.toml"), baseline="old.json")
def test_marker_alone():
    print("the body ran")

@pytest.mark.edgepipe_gate(REPORT, policy="pass.toml")
def test_body_decides_too(edgepipe_gate):
    assert edgepipe_gate.report.name == "other"

@pytest.mark.edgepipe_gate(REPORT, policy="fail.toml")
def test_fails(edgepipe_gate):
    raise SystemExit("the body must not run")

@pytest.mark.edgepipe_gate(REPORT, policy="inconclusive.toml")
def test_open():
    raise SystemExit("the body must not run")

@pytest.mark.edgepipe_gate(REPORT, policy="inconclusive.toml", inconclusive="skip")
def test_open_skipped(edgepipe_gate):
    raise SystemExit("the body must not run")

@pytest.mark.edgepipe_gate(REPORT, policy="fail.toml", inconclusive="skip")
def test_fails_all_the_same():
    raise SystemExit("the body must not run")

@pytest.mark.edgepipe_gate("absent.json")
def test_absent():
    raise SystemExit("the body must not run")

def test_unmarked(edgepipe_gate):
    raise SystemExit("the body must not run")

def test_of_another_kind():
    pass
"""
    )
    result = run(project)
    result.assert_outcomes(passed=3, failed=5, skipped=1, errors=1)
    result.stdout.fnmatch_lines_random(
        [
            "PASSED sub/test_release.py::test_passes",
            "PASSED sub/test_release.py::test_marker_alone",
            "FAILED sub/test_release.py::test_fails - Failed: FAIL: 1 of 1 gate failed*",
            "FAILED sub/test_release.py::test_open - Failed: INCONCLUSIVE: 1 of 1 gate cannot be*",
            "SKIPPED * INCONCLUSIVE: 1 of 1 gate cannot be decided*",
            "FAIL         int8 against teacher: accuracy drop 3.00 points*",
            "INCONCLUSIVE int8 against teacher: accuracy drop 3.00 points*",
            "FAILED *::test_absent - Failed: *absent.json: there is no such report*",
            "ERROR *::test_unmarked - *needs a marker on its test: @pytest.mark.*",
        ]
    )
    assert "the body must not run" not in result.stdout.str().partition("short test summary")[2]
    assert "Traceback" not in result.stdout.str()


def test_the_ini_option_decides_for_all_and_a_marker_for_itself(project: pytest.Pytester) -> None:
    project.makeini("[pytest]\naddopts = --strict-markers\nedgepipe_inconclusive = skip")
    project.makepyfile(
        """
        import pytest
        mark = pytest.mark.edgepipe_gate

        @mark("new.json", policy="inconclusive.toml")
        def test_skipped(): pass

        @mark("new.json", policy="inconclusive.toml", inconclusive="fail")
        def test_failed(): pass

        @mark("new.json", policy="fail.toml")
        def test_failed_too(): pass
        """
    )
    run(project).assert_outcomes(skipped=1, failed=2)


def test_every_marker_is_judged_and_not_the_closest_alone(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest
        mark = pytest.mark.edgepipe_gate
        good = mark("new.json", policy="pass.toml")
        bad = mark("new.json", policy="fail.toml")
        unsure = mark("new.json", policy="inconclusive.toml", inconclusive="skip")

        @bad
        @good
        def test_upper(edgepipe_gate): raise SystemExit("the body must not run")

        @good
        @bad
        def test_lower(): raise SystemExit("the body must not run")

        @unsure
        @bad
        def test_failure_outweighs(): raise SystemExit("the body must not run")

        @good
        @unsure
        def test_skipped(): raise SystemExit("the body must not run")

        @good
        @mark("new.json", policy="pass.toml", baseline="old.json")
        def test_both_pass(edgepipe_gate): assert edgepipe_gate.baseline is not None

        @bad
        class TestClass:
            @good
            def test_of_class(self): raise SystemExit("the body must not run")
        """
    )
    result = run(project)
    result.assert_outcomes(passed=1, failed=4, skipped=1)
    result.stdout.fnmatch_lines_random(["SKIPPED * INCONCLUSIVE: 1 of 1 gate cannot be decided*"])


def test_a_marker_that_is_added_later_is_judged_too(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest
        mark = pytest.mark.edgepipe_gate

        @pytest.fixture
        def bad(request): request.node.add_marker(mark("new.json", policy="fail.toml"))

        @pytest.fixture
        def wrong(request): request.node.add_marker(mark(reprot="new.json"))

        def test_added(bad): raise SystemExit("the body must not run")

        @mark("new.json", policy="pass.toml")
        def test_added_to_another(edgepipe_gate, bad): raise SystemExit("the body must not run")

        def test_added_wrong(wrong): raise SystemExit("the body must not run")

        def test_added_by_the_body(request):
            request.node.add_marker(mark("new.json", policy="fail.toml"))
        """
    )
    result = run(project)
    result.assert_outcomes(failed=4)
    result.stdout.fnmatch_lines(["*unexpected keyword argument 'reprot'; use it as @pytest.*"])


def test_a_report_cannot_give_orders_to_the_terminal(project: pytest.Pytester) -> None:
    odd = "int8\x1b[2J\u202e ##[error]x"
    whole = reports.made()
    gate = reports.GATE.model_copy(update={"of": odd})
    found = whole.measured["accuracy"]
    arm = found.candidates[0].model_copy(update={"name": odd})
    compared = found.comparisons[0].model_copy(update={"candidate": odd})
    found = found.model_copy(update={"candidates": (arm,), "comparisons": (compared,)})
    whole.model_copy(update={"measured": {"accuracy": found}, "gates": (gate,)}).write(
        project.path / "odd.json"
    )
    project.makepyfile(
        """
        import pytest

        @pytest.mark.edgepipe_gate("odd.json")
        def test_odd(): pass

        @pytest.mark.edgepipe_gate("absent\\x1b[2J.json")
        def test_absent(): pass
        """
    )
    out = run(project, "--color=no", "--tb=short").stdout.str()
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "##[" not in out
    assert r"int8\x1b[2J\u202e #\x23[error]x against teacher" in out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("", "*missing 1 required positional argument: 'report'; use it as @pytest.mark.edg*"),
        ("'new.json', polcy='x'", "*unexpected keyword argument 'polcy'*"),
        ("'new.json', 'pass.toml'", "*takes 1 positional argument but 2 *"),
        ("'new.json', inconclusive='pass'", '*inconclusive is "fail" or "skip", not \'pass\'*'),
        ("3", "*test_wrong.py::test_it: *"),
    ],
)
def test_a_marker_that_is_not_understood_stops_the_run(
    project: pytest.Pytester, arguments: str, told: str
) -> None:
    project.makepyfile(
        test_wrong=f"""
        import pytest
        @pytest.mark.edgepipe_gate({arguments})
        def test_it(): pass
        """
    )
    result = run(project)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([told])
    assert "Traceback" not in result.stderr.str()


def test_an_ini_option_that_is_not_understood_stops_the_run(project: pytest.Pytester) -> None:
    project.makeini("[pytest]\nedgepipe_inconclusive = pass")
    result = run(project)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(['*edgepipe_inconclusive is "fail" or "skip", not \'pass\''])


def test_it_is_registered_and_costs_a_test_run_nothing() -> None:
    """What pytest imports in every run of every project holds nothing but the standard library."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    place = project["entry-points"]["pytest11"]["edgepipe"]
    assert hasattr(import_module(place), "pytest_configure")
    code = (
        "import sys, pytest; before = set(sys.modules)\n"
        f"import {place}\n"
        "print(sorted(m for m in set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {name.partition(".")[0] for name in eval(done.stdout)} <= {"edgepipe"}  # noqa: S307
