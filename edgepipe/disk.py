"""The one door to the disk: temporary name, write, fsync, rename, fsync folder.

Whoever reads a path that this module wrote sees the whole new content or the whole old one,
after a kill or a full disk as well. Third-party writers write only into a ``scratch`` directory,
which ``publish`` then makes durable and moves into place in one rename.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from edgepipe.errors import DiskError, UsageError

Hook = Callable[[str, Path], None]
_CHUNK = 1 << 20
_hooks: list[Hook] = []


@contextlib.contextmanager
def hooked(hook: Hook) -> Iterator[None]:
    """Call ``hook(operation, path)`` before every operation, to fail or kill the n-th in tests."""
    _hooks.append(hook)
    try:
        yield
    finally:
        _hooks.remove(hook)


@contextlib.contextmanager
def _operation(name: str, path: Path) -> Iterator[None]:
    """Translate what the operating system says into one DiskError that names the path."""
    try:
        for hook in _hooks:
            hook(name, path)
        yield
    except OSError as error:
        raise DiskError(_explain(name, path, error)) from error


def _explain(name: str, path: Path, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"no space left on the disk while trying to {name} {path}; free some and run again"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"not allowed to {name} {path}: {error.strerror}; check its owner and mode"
    return f"could not {name} {path}: {error.strerror or error}"


@contextlib.contextmanager
def translated(purpose: str, path: Path) -> Iterator[None]:
    """Turn an OSError of a third-party writer (``torch.save``, ``onnx.save``) into a DiskError."""
    with _operation(purpose, path):
        yield


def make_folder(path: Path) -> Path:
    """``path`` is a directory afterwards, its parents too."""
    if not path.is_dir():
        with _operation("create", path):
            path.mkdir(parents=True, exist_ok=True)
    return path


def write_bytes(path: Path, data: bytes | Iterable[bytes]) -> None:
    """``path`` holds exactly ``data``, durably; on any failure it holds what it held before."""
    chunks = (data,) if isinstance(data, bytes) else data
    temporary = _beside(path, f"{os.getpid()}.part")
    make_folder(path.parent)
    try:
        with _operation("write", path), temporary.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        with _operation("rename", path):
            temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):  # a read-only disk refuses this, too
            temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """``path`` holds exactly ``text`` in UTF-8, durably."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: object) -> None:
    """``path`` holds ``value`` as JSON with sorted keys, so that equal values give equal bytes."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def copy_file(source: Path, target: Path) -> None:
    """``target`` is a regular file with the bytes of ``source``; links are followed, never made."""
    with translated("read", source), source.open("rb") as file:
        write_bytes(target, iter(lambda: file.read(_CHUNK), b""))


@contextlib.contextmanager
def scratch(root: Path, prefix: str = "") -> Iterator[Path]:
    """An empty directory on the disk of ``root``, removed at the end unless it was published."""
    path = make_folder(root) / f"{prefix}{uuid.uuid4().hex[:12]}"
    with _operation("create", path):
        path.mkdir()  # with the user's own mode: what is published may be there for others
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def publish(path: Path, place: Path) -> bool:
    """Make the directory ``path`` durable and rename it to ``place``; nothing half-written is seen.

    False when ``place`` exists already (another process finished first): ``path`` is left alone.
    """
    _make_durable(path)
    make_folder(place.parent)
    with _operation("rename", place):
        try:
            path.rename(place)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                return False
            raise
    _sync_folder(place.parent)
    return True


def replace_folder(path: Path, place: Path) -> None:
    """``place`` is what ``path`` was; on any failure it is what it was before.

    Two renames in a row, so that for a moment there is nothing; after a kill in that moment
    ``recover(place)`` mends it.
    """
    recover(place)
    _make_durable(path)
    make_folder(place.parent)
    try:
        if place.exists():
            with _operation("retire", place):
                place.rename(_retired(place))
        with _operation("rename", place):
            path.rename(place)
    except BaseException:
        recover(place)
        raise
    _sync_folder(place.parent)
    remove_tree(_retired(place))


def _make_durable(path: Path) -> None:
    for file in files_under(path):
        _sync_file(path / file)
    for folder in sorted(p for p in path.rglob("*") if p.is_dir()):
        _sync_folder(folder)
    _sync_folder(path)


def recover(place: Path) -> None:
    """Finish or undo a ``replace_folder`` that was killed: one whole folder is at ``place``."""
    retired = _retired(place)
    if not retired.exists():
        return
    if place.exists():
        remove_tree(retired)
    else:
        with _operation("rename", place):
            retired.rename(place)


def _retired(place: Path) -> Path:
    return _beside(place, "old")


def _beside(path: Path, ending: str) -> Path:
    """A hidden name in the same folder. UsageError for ``.``, ``..`` or ``/``."""
    if path.name in {"", ".."}:
        raise UsageError(f"{path} cannot be replaced; call it by its name, from outside")
    return path.with_name(f".{path.name}.{ending}")


def remove(path: Path) -> None:
    """No file is left at ``path``, durably."""
    if path.exists():
        with _operation("remove", path):
            path.unlink()
        _sync_folder(path.parent)


def remove_tree(path: Path) -> None:
    """Nothing is left at ``path``."""
    with _operation("remove", path):
        if path.exists():
            shutil.rmtree(path)


def files_under(path: Path) -> list[Path]:
    """Every regular file below ``path``, relative to it, in sorted order of POSIX names."""
    found = (p.relative_to(path) for p in path.rglob("*") if p.is_file())
    return sorted(found, key=lambda p: p.as_posix())


def sha256(path: Path) -> str:
    """Hex SHA-256 of one file's bytes."""
    with translated("read", path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(path: Path) -> str:
    """Hex SHA-256 over a file, or over the names and contents of all files of a directory."""
    if path.is_file():
        return sha256(path)
    total = hashlib.sha256()
    for file in files_under(path):
        total.update(os.fsencode(file.as_posix()) + f"\0{sha256(path / file)}\n".encode())
    return total.hexdigest()


def size(path: Path) -> int:
    """Bytes of a file, or of all files of a directory."""
    if path.is_file():
        return path.stat().st_size
    return sum((path / file).stat().st_size for file in files_under(path))


def _sync_file(path: Path) -> None:
    with _operation("fsync", path), path.open("rb") as file:
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    if os.name == "nt":  # Windows cannot open a directory; its rename is journalled
        return
    with _operation("fsync", path):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
