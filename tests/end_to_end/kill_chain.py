"""Kill a run with SIGKILL in the middle of every step, run again each time, and see how it ends.

``python tests/end_to_end/kill_chain.py pipelines/movie-reviews.toml ROOT [--against ROOT]`` does it
to any pipeline file; the test beside it to tiny.toml.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from edgepipe import disk
from edgepipe.config import load


def command(*args: str | Path) -> list[str]:
    return [sys.executable, "-m", "edgepipe", *map(str, args)]


def start(file: Path, root: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command("run", file, "--artifacts", root),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def interrupted(file: Path, root: Path, step: str, how: signal.Signals, after: float) -> int:
    """Signal a run ``after`` seconds into ``step``; its exit code, or 0 if it was faster."""
    child = start(file, root)
    assert child.stderr is not None
    for line in child.stderr:
        if line.startswith(f"{step} (") and "running" in line:
            break
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(after)
    child.send_signal(how)
    child.communicate()
    return child.returncode


def killed_everywhere(file: Path, root: Path, after: float) -> list[str]:
    """The steps that were killed in the middle, one after the other, in one chain of runs."""
    steps = [step.name for step in load(file).steps]
    return [
        s for s in steps if interrupted(file, root, s, signal.SIGKILL, after) == -signal.SIGKILL
    ]


def choices(root: Path, name: str) -> object:
    """What was chosen by timing: two runs may differ there, and only there."""
    report = json.loads((root / name / "report.json").read_text())
    return [s["notes"]["optimize"]["chosen"] for s in report["steps"] if s["use"] == "optimize"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("root", type=Path)
    parser.add_argument("--against", type=Path, help="artifacts of an undisturbed run")
    parser.add_argument("--after", type=float, default=5.0, help="seconds into a step")
    args = parser.parse_args()
    name = load(args.file).name
    begun = time.monotonic()
    killed = killed_everywhere(args.file, args.root, args.after)
    last = subprocess.run(command("run", args.file, "--artifacts", args.root), check=False)
    print(f"killed in {', '.join(killed)}; the last run ended with {last.returncode}")
    print(f"{time.monotonic() - begun:.0f} s in all")
    digest = disk.digest(args.root / name / "bundle")
    print(f"bundle {digest}")
    if args.against:
        same = choices(args.root, name) == choices(args.against, name)
        theirs = disk.digest(args.against / name / "bundle")
        print(f"undisturbed {theirs}: {'equal' if digest == theirs else 'DIFFERENT'}")
        print(f"choices by timing: {'the same' if same else 'not the same'}")
        sys.exit(same and digest != theirs)


if __name__ == "__main__":
    main()
