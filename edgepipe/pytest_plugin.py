"""The pytest plugin: marker and fixture ``edgepipe_gate``, so that a verdict is a test.

    @pytest.mark.edgepipe_gate(report="artifacts/reviews/report.json", policy="release.toml")
    def test_release(edgepipe_gate):
        assert edgepipe_gate.report.name == "reviews"

A failed gate fails the test with a line a gate, and so does an inconclusive one, unless the marker
or the ini option ``edgepipe_inconclusive`` says "skip". The body runs only if every gate passed, of
every marker that the test, its class and its module have.
Paths are relative to pytest's rootdir. pytest loads this file in every run of every project, so it
imports nothing but pytest; a report is read when a test asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

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


_JUDGED = pytest.StashKey[dict[_Asked, "Judged"]]()


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
        for marker in item.iter_markers(NAME):
            try:
                _asked(marker, item.config)
            except (TypeError, ValueError) as error:
                wrong.append(f"{item.nodeid}: {error}; use it as {_USE}")
    if wrong:
        raise pytest.UsageError(*wrong)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """A marked test fails, or is skipped, before its body unless every gate passed.

    Of every marker: its own, those of its class and module, and those that a fixture added. What
    the body itself adds is judged after it.
    """
    _decide(item)
    returned = yield
    _decide(item)
    return returned


@pytest.fixture
def edgepipe_gate(request: pytest.FixtureRequest) -> Judged:
    """What the closest marker of this test asks for, judged: ``report.verdicts``, ``exit_code``."""
    every = _every(request.node)
    if not every:
        pytest.fail(f"the fixture {NAME} needs a marker on its test: {_USE}", pytrace=False)
    return _judged(request.node, every[0])


def _every(item: pytest.Item) -> list[_Asked]:
    """What the markers that ``item`` has by now ask for, the closest first."""
    wrong = ""
    try:
        return [_asked(marker, item.config) for marker in item.iter_markers(NAME)]
    except (TypeError, ValueError) as error:
        wrong = f"{error}; use it as {_USE}"  # a marker that a fixture added
    return _fail(wrong)


def _judged(item: pytest.Item, asked: _Asked) -> Judged:
    """Judged once a test, whether the fixture or the marker comes first."""
    known = item.stash.setdefault(_JUDGED, {})
    if asked not in known:
        known[asked] = _judge(asked)
    return known[asked]


def _judge(asked: _Asked) -> Judged:
    from edgepipe.errors import EdgepipeError, MissingDependencyError

    wrong = ""
    try:
        from edgepipe import api

        return api.judged(asked.report, policy=asked.policy, baseline=asked.baseline)
    except EdgepipeError as error:
        wrong = f"{NAME}: {error}"
    except ModuleNotFoundError as error:
        wrong = str(MissingDependencyError(error.name or "a package", "cli", NAME))
    return _fail(wrong)


def _fail(told: str) -> NoReturn:
    """Outside of any ``except``: pytest shows the error that is being handled as it is, raw."""
    pytest.fail(_printable(told.splitlines()), pytrace=False)


def _decide(item: pytest.Item) -> None:
    """Fail or skip for the gates of every marker that did not pass, a line a gate."""
    told: list[str] = []
    skip = True
    for asked in _every(item):
        judged = _judged(item, asked)
        told += _told(judged)
        skip = skip and _may_skip(judged, asked.inconclusive)
    if not told:
        return
    if skip:
        pytest.skip(_printable(told))
    pytest.fail(_printable(told), pytrace=False)


def _told(judged: Judged) -> list[str]:
    """Nothing if every gate passed."""
    from edgepipe.errors import ExitCode
    from edgepipe.present import words

    if judged.exit_code == ExitCode.OK:
        return []
    open_gates = [verdict for verdict in judged.report.verdicts if verdict.outcome != "pass"]
    return [words.headline(judged.report), *map(words.sentence, open_gates)]


def _may_skip(judged: Judged, inconclusive: str) -> bool:
    from edgepipe.errors import ExitCode

    if judged.exit_code == ExitCode.INCONCLUSIVE:
        return inconclusive == "skip"
    return judged.exit_code == ExitCode.OK


def _printable(lines: list[str]) -> str:
    """Nothing in a report can act on the terminal or the CI job that shows the lines."""
    from edgepipe.present import terminal

    return "\n".join(map(terminal.line, lines))


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
