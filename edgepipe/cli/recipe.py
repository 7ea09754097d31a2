"""What init and compress share: their options, the guess they print, the file they write."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgepipe.cli.console import say
from edgepipe.errors import UsageError

if TYPE_CHECKING:
    from edgepipe.recipe import DataGuess, ModelGuess

_WARN = 0.01
_PATH = click.Path(path_type=Path)


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the user gave; None where it has to be guessed."""

    model: str
    data: Path
    validation: Path | None
    test: Path | None
    task: str | None
    text: str | None
    label: str | None


def recipe_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say which model and which data, handed on as one ``request``."""

    @click.argument("model")
    @click.option("--data", required=True, type=_PATH, help="CSV, TSV, JSONL, Parquet or folder.")
    @click.option("--validation", type=_PATH, help="Its own file; else taken from --data.")
    @click.option("--test", type=_PATH, help="Its own file; else taken from --data.")
    @click.option("--task", type=click.Choice(["text-classification"]), help="Default: guessed.")
    @click.option("--text", metavar="COL", help="Column of the texts. Default: guessed.")
    @click.option("--label", metavar="COL", help="Column of the labels. Default: guessed.")
    @functools.wraps(command)
    def wrapped(*args: Any, **options: Any) -> Any:
        given = {name: options.pop(name) for name in Request.__dataclass_fields__}
        return command(*args, request=Request(**given), **options)

    return wrapped


def write_recipe(request: Request, output: Path | None, *, force: bool) -> Path:
    """The pipeline file that was written; what was guessed stands on stderr.

    Raises UsageError when the file is there already and ``force`` is not given.
    """
    from edgepipe import disk, recipe
    from edgepipe.config import parse
    from edgepipe.sources import Source

    file = output or Path(f"{request.data.stem or 'pipeline'}.toml")
    if file.exists() and not force:
        raise UsageError(f"{file} is there already; give -o FILE for another name, or --force")
    files = _files(request)
    found = recipe.look_at_data(request.data, request.text, request.label)
    guess = recipe.look_at_model(Source(request.model), found.labels, found.texts, request.task)
    _print_guess(request, found, guess)
    text = recipe.render(model=request.model, data=files, found=found, guess=guess, file=file)
    parse(text, file)
    disk.write_text(file, text)
    say(f"wrote {file}")
    return file


def _files(request: Request) -> dict[str, Path]:
    given = {"train": request.data, "validation": request.validation, "test": request.test}
    files = {split: path for split, path in given.items() if path is not None}
    for path in files.values():
        if not path.exists():
            raise UsageError(f"{path}: there is no such file")
    return files


def _print_guess(request: Request, found: DataGuess, guess: ModelGuess) -> None:
    labels = ", ".join(found.labels[:10]) + (", …" if len(found.labels) > 10 else "")  # noqa: PLR2004
    say(f"data:  {request.data}: texts in {found.text!r}, labels in {found.label!r} ({labels})")
    say(f"model: {request.model}: {guess.why}")
    say("task:  text-classification")
    if guess.unknown > _WARN:
        say(f"warning: the tokenizer does not know {guess.unknown:.1%} of the tokens")
    if guess.truncated > _WARN:
        share = f"{guess.truncated:.1%} of the texts"
        say(f"warning: {share} are longer than the {guess.limit} tokens the model reads")
