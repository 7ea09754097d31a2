"""A bundle compared with what its manifest says, byte by byte: before it is loaded, packed, signed.

The manifest itself is covered by nothing but a signature (``edgepipe sign``). Files are compared as
they stand at that moment: whoever can write into the folder can still change them between this and
their use, so keep bundles where only those you trust may write.
"""

from __future__ import annotations

import hashlib
import os
import stat
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from edgepipe.errors import BundleError
from edgepipe.runtime.manifest import MANIFEST, FileRecord, Manifest, read

SIGNATURE = "model.sig"
UNLISTED = frozenset({MANIFEST, SIGNATURE})
"""What may stand in a bundle without being named by its manifest."""
MANIFEST_BYTES = 4 << 20
NAME_BYTES = 200
PATH_BYTES = 1000
PATH_PARTS = 16
MAX_FILES = 1000
"""Listed by a manifest; a bundle of every format and precision has under a hundred."""

_SHOWN = 12
_AGAIN = "copy or make the bundle again"
_READ_ONLY = os.O_RDONLY
for _flag in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"):  # where the system has them
    _READ_ONLY |= getattr(os, _flag, 0)
_DEVICES = {"CON", "PRN", "AUX", "NUL", *(f"{p}{n}" for p in ("COM", "LPT") for n in range(10))}


def verify(folder: Path) -> Manifest:
    """Every file of the bundle is there and as its manifest says, and there is nothing else.

    Anything else is a BundleError that names up to a dozen of the wrong entries: changed, missing
    or extra files and folders (hidden and empty ones too), symbolic links, pipes, sockets and
    devices (which are never opened), and names that mean something else on another system. A hard
    link is a file like any other. UsageError when there is no such folder.
    """
    manifest = read_manifest(folder)
    names = manifest.files.keys()
    usable = [name for name in names if not name_problem(name)]
    problems = {**dict(_bad_names(names)), **dict(unexpected(folder, usable))}
    for name in names - problems.keys():
        problem = _file_problem(folder, name, manifest.files)
        if problem:
            problems[name] = problem
    _refuse(folder, problems)
    return manifest


def verify_files(folder: Path, manifest: Manifest, names: Iterable[str]) -> None:
    """Each of ``names`` is there and as ``manifest`` says; a BundleError names those that are not.

    Neither other files nor folders that are too many are looked at.
    """
    _check_count(folder, manifest)
    problems = dict(_bad_names(manifest.files.keys()))
    for name in sorted(set(names) - problems.keys()):
        problem = name_problem(name) or _file_problem(folder, name, manifest.files)
        if problem:
            problems[name] = problem
    _refuse(folder, problems)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of ``folder``, read from a plain file of a sensible size; errors as ``read``.

    It lists a sensible number of files, whose names nobody has looked at.
    """
    for name in sorted(UNLISTED):
        if os.path.lexists(folder / name) and not _is_plain(folder / name):
            raise BundleError(f"{folder}: {name} is a link or no plain file; {_AGAIN}")
    path = folder / MANIFEST
    if os.path.lexists(path) and path.lstat().st_size > MANIFEST_BYTES:
        raise BundleError(f"{path} is larger than {MANIFEST_BYTES} bytes: do not trust it")
    try:
        manifest = read(folder)
    except RecursionError as error:
        raise BundleError(f"{path} is nested too deeply: do not trust it") from error
    except OSError as error:
        raise BundleError(f"{folder} cannot be read: {error.strerror}") from error
    _check_count(folder, manifest)
    return manifest


def _check_count(folder: Path, manifest: Manifest) -> None:
    if len(manifest.files) > MAX_FILES:
        found = f"{folder / MANIFEST} lists {len(manifest.files)} files"
        raise BundleError(f"{found}; a bundle has {MAX_FILES} at most: do not trust it")


def name_problem(name: str) -> str | None:
    """What is wrong with ``name`` as a file of a bundle on any system; None when nothing is.

    A name is a relative path with forward slashes, of printable characters, that never climbs.
    """
    if len(name) > PATH_BYTES:  # before anything that takes longer for longer names
        return "is too long a name"
    parts = name.split("/")
    reserved = any(p.partition(".")[0].rstrip(" ").upper() in _DEVICES for p in parts)
    for wrong, what in (
        (any(part in {"", ".", ".."} for part in parts), "is no plain relative path"),
        (any(_is_unprintable(char) for char in name), "has unprintable characters in its name"),
        (any(char in name for char in '\\:*?"<>|'), "has characters Windows does not allow"),
        (any(p.endswith((".", " ")) for p in parts), "ends in a dot or a space"),
        (reserved, "is a device on Windows"),
        (len(parts) > PATH_PARTS, f"is more than {PATH_PARTS} names deep"),
    ):
        if wrong:
            return what
    long = len(name.encode()) > PATH_BYTES or any(len(p.encode()) > NAME_BYTES for p in parts)
    return "is too long a name" if long else None


def clashes(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Each name that is the same file or folder as an earlier one where case does not matter.

    Yields it with what is wrong. Case and Unicode normal form are ignored, as macOS and Windows do;
    a name that is both a file and a folder clashes as well.
    """
    seen: dict[str, str] = {}
    for name in names:
        for folder in map(str, list(PurePosixPath(name).parents)[:-1]):
            known = seen.setdefault(_folded(folder), f"{folder}/")
            if known != f"{folder}/":
                yield name, f"clashes with {_shown(known)}"
        known = seen.setdefault(_folded(name), name)
        if known != name:
            yield name, f"clashes with {_shown(known)}"


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKC", name).casefold())


def _is_unprintable(char: str) -> bool:
    """Control and format characters, lone surrogates, unassigned ones, line separators."""
    return unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def _bad_names(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """What is wrong with the manifest's own list of files."""
    sound = []
    for name in sorted(names):
        problem = "does not belong in the list of files" if name in UNLISTED else name_problem(name)
        if problem:
            yield name, problem
        else:
            sound.append(name)
    yield from clashes([*sorted(UNLISTED), *sound])


def unexpected(folder: Path, names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Entries of the folder that are no files of the manifest, nor folders on the way to one.

    Folders that nothing leads into are named, not entered.
    """
    files = {*names, *UNLISTED}
    folders = {str(parent) for name in files for parent in PurePosixPath(name).parents}
    waiting = ["."]
    while waiting:
        inside = waiting.pop()
        for entry in _entries(folder, inside):
            name = str(PurePosixPath(inside) / entry.name)
            if entry.is_symlink():
                yield name, "is a link"
            elif name in folders and entry.is_dir():
                waiting.append(name)
            elif name not in files:
                yield name, "is not named by the manifest"


def _entries(folder: Path, inside: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder / inside) as found:
            return list(found)
    except OSError as error:
        raise BundleError(f"{folder / inside} cannot be listed: {error.strerror}") from error


def _file_problem(folder: Path, name: str, files: dict[str, FileRecord]) -> str | None:
    """What is wrong with a file; None when its content is what the manifest says."""
    if name not in files:
        return "is not named by the manifest"
    for parent in list(PurePosixPath(name).parents)[:-1]:
        if (folder / parent).is_symlink():
            return "is reached by a link"
    try:
        if not _is_plain(folder / name):
            return "is a link or no plain file"
        return _content_problem(folder / name, files[name])
    except (FileNotFoundError, NotADirectoryError):
        return "is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _content_problem(path: Path, expected: FileRecord) -> str | None:
    with os.fdopen(os.open(path, _READ_ONLY), "rb") as file:  # a link put there just now fails
        opened = os.fstat(file.fileno())
        if not stat.S_ISREG(opened.st_mode):
            return "is a link or no plain file"
        if opened.st_size != expected.bytes:
            return f"has {opened.st_size} bytes instead of {expected.bytes}"
        found = hashlib.file_digest(file, "sha256").hexdigest()
    return None if found == expected.sha256 else "has changed"


def _is_plain(path: Path) -> bool:
    return stat.S_ISREG(path.lstat().st_mode)


def _refuse(folder: Path, problems: dict[str, str]) -> None:
    if not problems:
        return
    lines = [f"{_shown(name)} {problems[name]}" for name in sorted(problems)]
    more = f"; and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
    raise BundleError(f"{folder}: {'; '.join(lines[:_SHOWN])}{more}: {_AGAIN}")


def _shown(name: str) -> str:
    return name if name.isprintable() and name else repr(name)
