"""How many lines a user writes for a way of a tool's file: its statements, however formatted.

Counted is the function or class that the table names, and every function and class of the same file
that is named there, in those, and so on, each once. Constants of the file are followed to the
functions that they name, and are values that a user would write in place.

A statement is one line, an import and a ``command(...)`` too. Not counted: docstrings, ``pass``,
``def`` and ``class`` headings, declarations without a value, and a statement that is nothing but a
call of a function or class of the same file, for that is counted itself. An entry of the table that
is a lambda counts as the one statement that it is; one that is a ``functools.partial`` as what it
calls. A method that a class overrides is counted only where ``super()`` calls it.

A statement whose first line ends in ``# harness`` is none of a user's, though what is in its block
may be: scratch folders, names for what the harness gives.

A way in the file's table ``PIPELINES`` runs an edgepipe pipeline file, at a path from the tool's
folder. Then a user writes that file's lines, without empty ones and comments, and the commands; the
rest of the maker only puts things in place. None stands for commands that need no file.
"""

from __future__ import annotations

import ast
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Literal, TypeGuard

_PIPELINES = "PIPELINES"
_COMMAND = "command"
_HARNESS = "# harness"
_Made = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_MADE = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def lines_of(module_file: Path, table: Literal["MAKERS", "LOADERS"], how: str) -> int:
    """Lines that a user writes for ``how``.

    Raises ValueError where the table is no literal dict with that key, and for an entry that is
    neither a function or class of the same file nor a lambda nor a partial of one.
    """
    module = _Module(module_file)
    entry = module.entry(table, how)
    written = module.statements(entry)
    pipelines = _items(module.constants.get(_PIPELINES))
    if table == "MAKERS" and how in pipelines:
        place = ast.literal_eval(pipelines[how])
        lines = _pipeline_lines(module_file.parent / place) if place else 0
        return lines + sum(map(_commands, written))
    return sum(map(module.counts, written))


class _Module:
    """A parsed file, with the functions, classes and constants of its top level."""

    def __init__(self, file: Path) -> None:
        text = file.read_text(encoding="utf-8")
        body = ast.parse(text).body
        self.file = file
        lines = enumerate(text.splitlines(), 1)
        self.harness = {number for number, line in lines if line.endswith(_HARNESS)}
        self.made = {node.name: node for node in body if isinstance(node, _MADE)}
        self.constants = dict(_assignments(body))

    def entry(self, table: str, how: str) -> ast.expr:
        """What the table holds for ``how``."""
        items = _items(self.constants.get(table))
        if how not in items:
            raise ValueError(f"{self.file}: {table} is no literal dict with the key {how!r}")
        entry = items[how]
        if _callee(entry) not in self.made and not isinstance(entry, ast.Lambda):
            raise ValueError(
                f"{self.file}: {table}[{how!r}] is {ast.unparse(entry)}, which is neither a "
                "function or class of this file, nor a lambda, nor a partial of one"
            )
        return entry

    def statements(self, entry: ast.expr) -> list[ast.stmt]:
        """Those of the entry and of all that it names, each once; in blocks, as they stand."""
        found: dict[ast.stmt, None] = {}
        seen: set[str] = set()
        waiting: list[ast.AST] = [entry]
        if isinstance(entry, ast.Lambda):
            found[ast.Return(entry.body)] = None
        while waiting:
            for name in _names(waiting.pop()) - seen:
                seen.add(name)
                if name in self.made:
                    body = self._body(self.made[name])
                    found.update(dict.fromkeys(body))
                    waiting += body
                elif name in self.constants:
                    waiting.append(self.constants[name])
        return list(found)

    def _body(self, node: _Made) -> list[ast.stmt]:
        """A function's statements; a class's with those that it inherits from this file."""
        if not isinstance(node, ast.ClassDef):
            return node.body
        own = {part.name for part in node.body if isinstance(part, _MADE)} - _called_of_super(node)
        bases = [self.made[base.id] for base in node.bases if _is_name(base, self.made)]
        inherited = [part for base in bases for part in self._body(base)]
        return node.body + [part for part in inherited if getattr(part, "name", "") not in own]

    def counts(self, block: ast.stmt) -> int:
        """Lines of a statement with all that is in it."""
        return sum(self._is_line(node) for node in ast.walk(block) if isinstance(node, ast.stmt))

    def _is_line(self, node: ast.stmt) -> bool:
        if getattr(node, "lineno", 0) in self.harness:  # a lambda's statement has no line
            return False
        match node:
            case ast.Expr(value=ast.Constant()) | ast.Pass() | ast.AnnAssign(value=None):
                return False
            case (
                ast.Expr(value=ast.Call(func=function)) | ast.Return(value=ast.Call(func=function))
            ):
                return not _is_name(function, self.made)
        return not isinstance(node, _MADE)


def _callee(entry: ast.expr) -> str:
    """The name that an entry of a table calls; empty for what is neither name nor partial."""
    match entry:
        case ast.Name(id=name):
            return name
        case ast.Call(
            func=ast.Name(id="partial") | ast.Attribute(attr="partial"),
            args=[ast.Name(id=name), *_],
        ):
            return name
    return ""


def _assignments(body: list[ast.stmt]) -> Iterator[tuple[str, ast.expr]]:
    for node in body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                yield name, value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                yield name, value


def _items(table: ast.expr | None) -> Mapping[str, ast.expr]:
    """A literal dict; empty for anything else."""
    if not isinstance(table, ast.Dict):
        return {}
    return {
        key.value: value
        for key, value in zip(table.keys, table.values, strict=True)
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    }


def _names(node: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def _is_name(node: ast.expr, known: Container[str]) -> TypeGuard[ast.Name]:
    return isinstance(node, ast.Name) and node.id in known


def _called_of_super(node: ast.ClassDef) -> set[str]:
    """Methods that a class calls as ``super().NAME(…)``."""
    return {
        part.attr
        for part in ast.walk(node)
        if isinstance(part, ast.Attribute)
        and isinstance(part.value, ast.Call)
        and _is_name(part.value.func, {"super"})
    }


def _commands(block: ast.stmt) -> int:
    calls = (part for part in ast.walk(block) if isinstance(part, ast.Call))
    return sum(_is_name(call.func, {_COMMAND}) for call in calls)


def _pipeline_lines(file: Path) -> int:
    lines = map(str.strip, file.read_text(encoding="utf-8").splitlines())
    return sum(bool(line) and not line.startswith("#") for line in lines)
