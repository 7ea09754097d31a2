"""Finished steps, filed by the digest of their key. Only success enters, by one rename."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout

from edgepipe import disk
from edgepipe.artifacts import Artifact
from edgepipe.errors import BundleError
from edgepipe.pipeline.key import Key, key_digest

_KEY = "key.json"
A = TypeVar("A", bound=Artifact)


class Cache:
    """``root/STAGE/DIGEST/artifact``, beside the key it was made from."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def find(self, kind: type[A], key: Key) -> A | None:
        """The artifact made from exactly this key; None when there is none, or a damaged one."""
        place = self._place(key)
        if not place.exists():
            return None
        try:
            return kind.read(place / "artifact")
        except BundleError:
            return None

    @contextmanager
    def making(
        self, key: Key, waiting: Callable[[], None] = lambda: None
    ) -> Iterator[tuple[Path, Path]]:
        """An empty directory for the artifact, and the work directory that survives a kill.

        Held under the key's lock, which saves double work between processes; ``waiting`` is called
        when another one has it. What an earlier, killed process left half-made is swept away.
        """
        name = key_digest(key)
        with self.locked(name, waiting):
            unfinished = disk.make_folder(self.root / "unfinished" / name)
            for stale in unfinished.iterdir():
                disk.remove_tree(stale)
            with disk.scratch(unfinished) as scratch:
                yield (
                    disk.make_folder(scratch / "artifact"),
                    disk.make_folder(self.root / "work" / name),
                )

    @contextmanager
    def locked(self, name: str, waiting: Callable[[], None]) -> Iterator[None]:
        """One process at a time; ``waiting`` is called when another one has to be waited for."""
        file = disk.make_folder(self.root / "locks") / name
        lock = FileLock(file)
        with disk.translated("lock", file):
            try:
                lock.acquire(blocking=False)
            except Timeout:
                waiting()
                lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def commit(self, made: A, key: Key) -> A:
        """File a finished artifact; when another process was first, its result is the one used."""
        entry = made.path.parent
        disk.write_json(entry / _KEY, dict(key))
        place = self._place(key)
        if place.exists() and self.find(type(made), key) is None:
            self._set_aside(place)
        disk.publish(entry, place)
        disk.remove_tree(self.root / "work" / key_digest(key))
        return type(made).read(place / "artifact")

    def _set_aside(self, damaged: Path) -> None:
        bin_ = disk.make_folder(self.root / "damaged")
        with disk.translated("set aside", damaged):
            damaged.rename(bin_ / f"{damaged.name}-{uuid.uuid4().hex[:8]}")

    def _place(self, key: Key) -> Path:
        return self.root / key["stage"] / key_digest(key)


class History:
    """The key each step of a pipeline had when it last finished: what a miss is explained with."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def read(self) -> dict[str, dict[str, str]]:
        """Keys by step name; empty when nothing ran yet."""
        try:
            found = json.loads(self.file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        if not isinstance(found, dict):
            return {}
        return {step: key for step, key in found.items() if isinstance(key, dict)}

    def record(self, step: str, key: Key) -> None:
        """``step`` last finished with ``key``."""
        known = self.read()
        if known.get(step) != dict(key):
            disk.write_json(self.file, {**known, step: dict(key)})
