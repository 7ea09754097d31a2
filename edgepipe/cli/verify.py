"""``edgepipe verify BUNDLE``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from edgepipe.bundle.printable import printable
from edgepipe.cli.console import json_option, say
from edgepipe.cli.foreign import emit_escaped, limit_options, opened
from edgepipe.errors import BundleError, ExitCode, UsageError

if TYPE_CHECKING:
    from edgepipe.bundle.examine import Examined
    from edgepipe.bundle.manifest import Manifest, Variant
    from edgepipe.bundle.sandbox import Limits


Outcome = Literal["ok", "refused", "not checked"]


@dataclass(frozen=True)
class Check:
    """One thing that was looked at, and what came of it."""

    check: str
    outcome: Outcome
    detail: tuple[str, ...]
    """One line, or one for each problem."""


@click.command("verify")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--run", "run", is_flag=True, help="Give the golden answers of every variant, too.")
@click.option(
    "--key",
    type=click.Path(path_type=Path),
    metavar="PUBLIC.pem",
    help="Its signature must be by this key.",
)
@limit_options
@json_option
def command(  # noqa: PLR0913, PLR0917 - one parameter an option
    bundle: Path,
    run: bool,  # noqa: FBT001
    key: Path | None,
    memory: int | None,
    timeout: int,
    as_json: bool,  # noqa: FBT001
) -> int:
    """Check BUNDLE, a folder or a zip that nobody has to trust.

    Its files are as its manifest says; its signature, with --key; nothing in its graphs, weights
    and tokenizer is out of place; with --run its variants answer here as they should. A zip
    is unpacked, and its files are hashed, by this process; graphs, weights and the tokenizer are
    opened in child processes under limits. Exit 3 when it is refused.
    """
    from edgepipe.bundle import sandbox

    if key is not None and not key.is_file():
        raise UsageError(f"there is no key file {key}")
    if sandbox.WARNING:
        say(sandbox.WARNING)
    limits = sandbox.Limits(memory, timeout)
    done = []
    for check in _checks(bundle, key, limits, run=run):
        done.append(check)
        if not as_json:
            _tell(check)
    passed = all(check.outcome != "refused" for check in done)
    if as_json:
        emit_escaped({"passed": passed, "checks": [asdict(check) for check in done]})
    return ExitCode.OK if passed else ExitCode.STAGE


def _tell(check: Check) -> None:
    first, *others = check.detail
    click.echo(f"{check.check}: {check.outcome}: {first}")
    for line in others:
        click.echo(f"  {line}")


def _checks(bundle: Path, key: Path | None, limits: Limits, *, run: bool) -> Iterator[Check]:
    """Each check as it is done, up to the first that a later one depends on and is refused."""
    try:
        with opened(bundle) as folder:
            yield from _checks_of_folder(folder, key, limits, run=run)
    except BundleError as error:  # the zip was refused; what follows it catches its own
        yield Check("files", "refused", _lines(str(error)))


def _checks_of_folder(
    folder: Path, key: Path | None, limits: Limits, *, run: bool
) -> Iterator[Check]:
    found: list[Examined] = []
    for name, check in (
        ("files", partial(_files, folder, limits)),
        ("signature", partial(_signature, folder, key, limits)),
        ("contents", partial(_contents, folder, limits, found)),
    ):
        done = _done(name, check)
        yield done
        if done.outcome == "refused":
            return
    if run:
        yield from _golden(folder, found[0].manifest, limits)


def _done(name: str, check: Callable[[], tuple[Outcome, str]]) -> Check:
    try:
        outcome, detail = check()
    except BundleError as error:
        return Check(name, "refused", _lines(str(error)))
    return Check(name, outcome, _lines(detail))


def _lines(text: str) -> tuple[str, ...]:
    return tuple(printable(line) for line in text.split("\n"))


def _files(folder: Path, limits: Limits) -> tuple[Outcome, str]:
    from edgepipe.bundle import sandbox

    return "ok", f"{sandbox.compare(folder, limits)} as the manifest says, and no others"


def _signature(folder: Path, key: Path | None, limits: Limits) -> tuple[Outcome, str]:
    from edgepipe.bundle import sandbox
    from edgepipe.runtime.verify import SIGNATURE

    if key is not None:
        sandbox.authenticate(folder, key, limits)
        return "ok", f"every file is signed with the key of {key}"
    if (folder / SIGNATURE).is_file():
        return "not checked", "signed; check by whom with --key PUBLIC.pem"
    return "not checked", "not signed"


def _contents(folder: Path, limits: Limits, found: list[Examined]) -> tuple[Outcome, str]:
    """What is found out about the bundle joins ``found``."""
    from edgepipe.bundle import sandbox

    found.append(sandbox.examine(folder, limits))
    graphs = found[0].graphs
    nodes = sum(graph.nodes for graph in graphs.values())
    return "ok", f"nothing out of place in {len(graphs)} graphs of {nodes} nodes in all"


def _golden(folder: Path, manifest: Manifest, limits: Limits) -> Iterator[Check]:
    """Every variant in a child of its own; refused when none of them can run here."""
    ran = False
    for variant in manifest.variants:
        done = _done(
            f"variant {printable(variant.name)}", partial(_replay, folder, variant, limits)
        )
        ran |= done.outcome != "not checked"
        yield done
    if not ran:
        yield Check("variants", "refused", ("none of them can run here",))


def _replay(folder: Path, variant: Variant, limits: Limits) -> tuple[Outcome, str]:
    from edgepipe.bundle import sandbox

    done = sandbox.replay(folder, variant.name, limits)
    if done.skipped:
        return "not checked", done.skipped
    tolerance = "" if variant.tolerance is None else f", and may be by {variant.tolerance:.3g}"
    return "ok", f"off its golden answers by {done.difference:.3g}{tolerance}"
