"""The pytest plugin: marker and fixture ``edgepipe_gate``, so that a verdict is a test.

    @pytest.mark.edgepipe_gate(report="artifacts/reviews/report.json", policy="release.toml")
    def test_release(edgepipe_gate):
        assert edgepipe_gate.report.name == "reviews"

A failed gate fails the test with a line a gate, and so does an inconclusive one, unless the marker
or the ini option ``edgepipe_inconclusive`` says "skip". The body runs only if every gate passed.
Paths are relative to pytest's rootdir. pytest loads this file in every run of every project, so it
imports nothing but pytest; a report is read when a test asks for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from edgepipe.api import Judged

NAME = "edgepipe_gate"
INI = "edgepipe_inconclusive"
_CHOICES = ("fail", "skip")
_USE = f'@pytest.mark.{NAME}(report="artifacts/NAME/report.json")'


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """What a marker says."""

    report: Path
    policy: Path | None = None
    baseline: Path | None = None
    inconclusive: str


_JUDGED = pytest.StashKey["Judged"]()
_ASKED = pytest.StashKey[_Asked]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The ini option is known."""
    parser.addini(
        INI, 'what an inconclusive edgepipe gate does to its test: "fail" or "skip"', default="fail"
    )


def pytest_configure(config: pytest.Config) -> None:
    """The marker is known, under ``--strict-markers`` too, and the ini option is checked."""
    config.addinivalue_line(
        "markers",
        f"{NAME}(report, policy=None, baseline=None, inconclusive=None): the gates of an edgepipe "
        'report pass; inconclusive="skip" skips the test where they cannot be decided',
    )
    if config.getini(INI) not in _CHOICES:
        raise pytest.UsageError(f'{INI} is "fail" or "skip", not {config.getini(INI)!r}')


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every marker is understood before any test runs; UsageError names those that are not."""
    wrong = []
    for item in items:
        marker = item.get_closest_marker(NAME)
        if marker is not None:
            try:
                item.stash[_ASKED] = _asked(marker, item.config)
            except (TypeError, ValueError) as error:
                wrong.append(f"{item.nodeid}: {error}; use it as {_USE}")
    if wrong:
        raise pytest.UsageError(*wrong)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> object:
    """A marked test fails, or is skipped, before its body unless every gate passed."""
    if _ASKED in item.stash:
        _decide(_judged(item), item.stash[_ASKED].inconclusive)
    return (yield)


@pytest.fixture
def edgepipe_gate(request: pytest.FixtureRequest) -> Judged:
    """What the marker of this test asks for, judged: ``report.verdicts``, ``exit_code``."""
    if _ASKED not in request.node.stash:
        pytest.fail(f"the fixture {NAME} needs a marker on its test: {_USE}", pytrace=False)
    return _judged(request.node)


def _judged(item: pytest.Item) -> Judged:
    """Judged once a test, whether the fixture or the marker comes first."""
    if _JUDGED not in item.stash:
        item.stash[_JUDGED] = _judge(item.stash[_ASKED])
    return item.stash[_JUDGED]


def _judge(asked: _Asked) -> Judged:
    from edgepipe.errors import EdgepipeError, MissingDependencyError

    try:
        from edgepipe import api

        return api.judged(asked.report, policy=asked.policy, baseline=asked.baseline)
    except EdgepipeError as error:
        pytest.fail(f"{NAME}: {error}", pytrace=False)
    except ModuleNotFoundError as error:
        missing = MissingDependencyError(error.name or "a package", "cli", NAME)
        pytest.fail(str(missing), pytrace=False)


def _decide(judged: Judged, inconclusive: str) -> None:
    from edgepipe.errors import ExitCode
    from edgepipe.present import words

    if judged.exit_code == ExitCode.OK:
        return
    open_gates = [verdict for verdict in judged.report.verdicts if verdict.outcome != "pass"]
    told = "\n".join((words.headline(judged.report), *map(words.sentence, open_gates)))
    if judged.exit_code == ExitCode.INCONCLUSIVE and inconclusive == "skip":
        pytest.skip(told)
    pytest.fail(told, pytrace=False)


def _asked(marker: pytest.Mark, config: pytest.Config) -> _Asked:
    """TypeError or ValueError where the marker's arguments are not understood."""
    read: Callable[..., _Asked] = _reader(config)
    return read(*marker.args, **marker.kwargs)


def _reader(config: pytest.Config) -> Callable[..., _Asked]:
    """The marker's signature as a function, so that Python itself checks the call."""

    def edgepipe_gate(
        report: str | Path,
        *,
        policy: str | Path | None = None,
        baseline: str | Path | None = None,
        inconclusive: str | None = None,
    ) -> _Asked:
        choice = config.getini(INI) if inconclusive is None else inconclusive
        if choice not in _CHOICES:
            raise ValueError(f'inconclusive is "fail" or "skip", not {choice!r}')
        root = config.rootpath
        return _Asked(
            report=root / report,
            policy=None if policy is None else root / policy,
            baseline=None if baseline is None else root / baseline,
            inconclusive=choice,
        )

    return edgepipe_gate
