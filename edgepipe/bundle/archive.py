"""A bundle as one zip of reproducible bytes, and back from a zip that nobody trusts yet."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from edgepipe import disk
from edgepipe.bundle import zip_reader, zip_writer
from edgepipe.bundle.zip_reader import Limits, Member, StrictZipError
from edgepipe.errors import BundleError, UsageError
from edgepipe.runtime.manifest import MANIFEST
from edgepipe.runtime.verify import (
    MANIFEST_BYTES,
    SIGNATURE,
    UNLISTED,
    clashes,
    name_problem,
    read_manifest,
    unexpected,
    verify,
)

_LIMITS = Limits()


def pack(folder: Path, target: Path, *, force: bool = False) -> None:
    """``target`` is one zip of the bundle at ``folder``, which was verified first.

    The same files give the same bytes on every machine. Memory is bounded, and a failure leaves
    what was at ``target`` before. Raises BundleError when the bundle is refused, and UsageError
    when ``target`` lies inside it, or exists with other content and not ``force``.
    """
    names = {*verify(folder).files, MANIFEST}
    if (folder / SIGNATURE).exists():
        names.add(SIGNATURE)
    with disk.translated("write", target):
        for wrong, what in (
            (target.resolve().is_relative_to(folder.resolve()), "is inside the bundle"),
            (target.exists() and not target.is_file(), "is no file; name the one to write"),
        ):
            if wrong:
                raise UsageError(f"{target} {what}")
        if target.exists() and not force:
            _check_same(zip_writer.stream(folder, names), target)
        else:
            disk.write_bytes(target, zip_writer.stream(folder, names))


def unpack(archive: Path, into: Path, *, force: bool = False, limits: Limits = _LIMITS) -> None:
    """``into`` is the bundle that ``archive`` holds, verified; or nothing has changed.

    Any zip of a bundle's files will do, whoever made it. BundleError when it is anything else: see
    ``zip_reader``; names that mean something else on another system; files that its manifest does
    not name or that differ from it. UsageError when there is no such file, or when ``into`` exists;
    with ``force`` a bundle that is there is replaced as a whole.
    """
    with disk.translated("read", archive):
        if not archive.is_file():
            raise UsageError(f"there is no file {archive}")
        _check_place(archive, into, force=force)
        with archive.open("rb") as file, _reading(archive):
            members = zip_reader.members(file, limits)
            _check_names(members)
            with disk.scratch(_standing(into), ".unpack-") as scratch:
                with _named(scratch, archive):
                    _extract(file, {m.name: m for m in members if not m.is_folder}, scratch)
                _publish(scratch, into, force=force)


def _check_same(chunks: Iterator[bytes], target: Path) -> None:
    made = hashlib.sha256()
    for chunk in chunks:
        made.update(chunk)
    if disk.sha256(target) != made.hexdigest():
        raise UsageError(f"{target} exists with other content; replace it with --force")


@contextlib.contextmanager
def _reading(archive: Path) -> Iterator[None]:
    try:
        yield
    except StrictZipError as error:
        raise BundleError(f"{archive} is refused: {error}; pack the bundle again") from error


@contextlib.contextmanager
def _named(scratch: Path, archive: Path) -> Iterator[None]:
    """Errors name the archive, not the folder it was tried in."""
    try:
        yield
    except (BundleError, UsageError) as error:
        message = str(error).replace(str(scratch), str(archive))
        raise BundleError(message) from error


def _check_place(archive: Path, into: Path, *, force: bool) -> None:
    with disk.translated("write", into):
        for wrong, what in (
            (into.is_symlink(), "is a link; name the folder itself"),
            (into.exists() and not force, "exists; remove it, or replace it with --force"),
            (into.exists() and not (into / MANIFEST).is_file(), "is no bundle; remove it yourself"),
            (archive.resolve().is_relative_to(into.resolve()), "holds the archive"),
            (any((p / MANIFEST).is_file() for p in into.absolute().parents), "is inside a bundle"),
        ):
            if wrong:
                raise UsageError(f"{into} {what}")
        if into.exists():
            _check_nothing_else(into)


def _check_nothing_else(bundle: Path) -> None:
    """UsageError when the folder holds files that are not the bundle's: they would be lost."""
    foreign = sorted(name for name, _ in unexpected(bundle, read_manifest(bundle).files))
    if foreign:
        raise UsageError(f"{bundle} also holds {', '.join(foreign[:3])}: remove it yourself")


def _standing(into: Path) -> Path:
    """The nearest folder above ``into`` that exists, and so lies on the disk of ``into``."""
    return next(folder for folder in into.absolute().parents if folder.is_dir())


def _check_names(members: Sequence[Member]) -> None:
    """Every name is plain, stands for one file on every system, and folders hold something."""
    for member in members:
        problem = name_problem(member.name.removesuffix("/"))
        if problem:
            raise StrictZipError(f"{member.name!r} {problem}")
    files = [member.name for member in members if not member.is_folder]
    folders = {f"{parent}/" for name in files for parent in PurePosixPath(name).parents}
    seen: set[str] = set()
    for name in (member.name for member in members):
        if name in seen:
            raise StrictZipError(f"{name!r} is there twice")
        if name.endswith("/") and name not in folders:
            raise StrictZipError(f"{name!r} is a folder with nothing in it")
        seen.add(name)
    for name, problem in clashes(files):
        raise StrictZipError(f"{name!r} {problem}")


def _extract(file: BinaryIO, members: dict[str, Member], scratch: Path) -> None:
    """All files are in ``scratch`` and verified; the manifest has to fit before others are read."""
    if MANIFEST not in members:
        hint = "; zip what is in the folder, not the folder" if _is_wrapped(members) else ""
        raise StrictZipError(f"it has no {MANIFEST}{hint}")
    for name in UNLISTED & members.keys():
        if members[name].size > MANIFEST_BYTES:
            raise StrictZipError(f"its {name} is larger than {MANIFEST_BYTES} bytes")
    _write(file, members[MANIFEST], scratch)
    listed = read_manifest(scratch).files
    for name in sorted((members.keys() | listed.keys()) - UNLISTED):
        if name not in listed or name not in members or members[name].size != listed[name].bytes:
            raise StrictZipError(f"{name!r} is missing, extra or cut, by its {MANIFEST}")
    for name in sorted(members.keys() - {MANIFEST}):
        _write(file, members[name], scratch)
    verify(scratch)


def _is_wrapped(members: Iterable[str]) -> bool:
    return any(name.endswith(f"/{MANIFEST}") for name in members)


def _write(file: BinaryIO, member: Member, scratch: Path) -> None:
    disk.write_bytes(scratch / member.name, zip_reader.content(file, member))


def _publish(scratch: Path, into: Path, *, force: bool) -> None:
    if force:
        disk.replace_folder(scratch, into)
    elif not disk.publish(scratch, into):
        raise UsageError(f"{into} exists now; another process made it meanwhile")
