"""The work folder: what an interrupted comparison has done already, on this machine."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from edgepipe import disk
from edgepipe.errors import UsageError
from edgepipe.measure.machine import machine_id
from edgepipe.measure.records.base import Record

Kept = TypeVar("Kept", bound=Record)
_ABOUT = "about.json"
_SPENT = "seconds.json"


class Work:
    """Finished parts, each a file that appears when its part is done.

    ``about`` says what all parts have in common (checkpoint, texts, pins). A folder that was begun
    with something else, or on another machine, is refused with UsageError: its figures and those
    of this run would not be figures of one comparison. ``since`` is when, by the monotonic clock,
    this run began.
    """

    def __init__(self, folder: Path, about: dict[str, str], since: float | None = None) -> None:
        self.folder = folder
        self._begin(about)
        self._mark = time.monotonic() if since is None else since

    def path(self, name: str) -> Path:
        """A file or folder of this name, in a folder that exists."""
        found = self.folder / name
        found.parent.mkdir(parents=True, exist_ok=True)
        return found

    def kept(self, name: str, kind: type[Kept]) -> Kept | None:
        """What an earlier run kept under this name."""
        found = self.folder / f"{name}.json"
        return kind.model_validate_json(found.read_text("utf-8")) if found.exists() else None

    def keep(self, name: str, record: Record) -> None:
        """``record`` is kept under this name."""
        disk.write_json(self.path(f"{name}.json"), record.model_dump(mode="json"))
        self.tick()

    def lines(self, name: str) -> list[dict[str, object]]:
        """What was appended under this name; a line that an interrupted run left half is cut off.

        Raises UsageError for anything else that is no JSON.
        """
        found = self.folder / f"{name}.jsonl"
        text = found.read_text("utf-8") if found.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            disk.write_text(found, whole)
        try:
            return [json.loads(line) for line in whole.splitlines()]
        except ValueError as error:
            raise UsageError(f"{found} is damaged: remove it to measure anew") from error

    def append(self, name: str, line: dict[str, object]) -> None:
        """One more line is kept under this name."""
        with self.path(f"{name}.jsonl").open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(line) + "\n")
        self.tick()

    def tick(self) -> None:
        """The time since the last tick counts as spent."""
        now = time.monotonic()
        disk.write_json(self.path(_SPENT), self.spent() + now - self._mark)
        self._mark = now

    def spent(self) -> float:
        """Seconds of all runs in this folder until the last tick, without what was lost."""
        found = self.folder / _SPENT
        return float(json.loads(found.read_text("utf-8"))) if found.exists() else 0.0

    @property
    def begun(self) -> str:
        """The day on which the first run in this folder began, by universal time."""
        found: str = json.loads((self.folder / _ABOUT).read_text("utf-8"))["begun"]
        return found

    def _begin(self, about: dict[str, str]) -> None:
        here = {"machine": machine_id(), **about}
        place = self.path(_ABOUT)
        if not place.exists():
            disk.write_json(place, {**here, "begun": datetime.now(UTC).date().isoformat()})
            return
        there = json.loads(place.read_text("utf-8"))
        for key, value in here.items():
            if there.get(key) != value:
                raise UsageError(
                    f"{self.folder} was begun with another {key} ({there.get(key)}, here {value}): "
                    "figures of both cannot stand in one table; give another --work, or remove it"
                )
