"""Copies of a bundle with other session options, and a worker that leaves the runtime's own out.

As a program it is the benchmark worker of ``edgepipe.measure`` with the runtime changed as its
first argument says.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from edgepipe import disk
from edgepipe.measure.child import Arm

if TYPE_CHECKING:
    from edgepipe.runtime.session import SessionPlan

Change = Callable[[dict[str, Any]], None]
_SPINNING = "session.intra_op.allow_spinning"
_RECORD = "session.record_ep_graph_assignment_info"


@dataclass(frozen=True, kw_only=True)
class Arrangement:
    """One way to run a variant."""

    name: str
    stands: str
    """``manifest`` or ``runtime``: part of the full set, and left out here; else empty."""
    change: Change | None = None
    """Of the graph's session settings in the manifest."""
    patch: str = "nothing"
    """Of the runtime itself: ``nothing``, ``inter_op`` or ``record``."""
    plain: bool = False
    add: bool = False
    """With every residual ``Add`` that the optimizer stage has turned into ``Sum``."""


def arrangements(session: dict[str, Any], *, threads: int, has_sum: bool) -> Iterator[Arrangement]:
    """The full set first, then a plain session, each option left out, and some not taken.

    ``session`` are the settings in the manifest; with several threads only those options are
    varied that concern threads.
    """
    yield Arrangement(name="the full set", stands="")
    yield Arrangement(name="plain session", stands="", plain=True)
    yield Arrangement(name="without spinning off", stands="runtime", change=_entry(_SPINNING, "1"))
    if threads > 1:
        yield Arrangement(
            name="with session.dynamic_block_base = 4",
            stands="",
            change=_entry("session.dynamic_block_base", "4"),
        )
        return
    yield Arrangement(name="without inter_op_num_threads", stands="runtime", patch="inter_op")
    yield Arrangement(name="without the record of assignment", stands="runtime", patch="record")
    yield from _standing(session)
    yield from _not_taken(session)
    if has_sum:
        yield from _before_sum()


def _standing(session: dict[str, Any]) -> Iterator[Arrangement]:
    """Everything in the manifest, one at a time."""
    for name in session["disabled_optimizers"]:
        rest = [other for other in session["disabled_optimizers"] if other != name]
        yield Arrangement(
            name=f"without {name} disabled", stands="manifest", change=_disabled(rest)
        )
    for key in session["config_entries"]:
        yield Arrangement(name=f"without {key}", stands="manifest", change=_no_entry(key))
    if session["graph_optimization_level"] != "all":
        yield Arrangement(name="without its level", stands="manifest", change=_level("all"))


def _not_taken(session: dict[str, Any]) -> Iterator[Arrangement]:
    for level in ("extended", "basic", "disable"):
        if session["graph_optimization_level"] != level:
            yield Arrangement(name=f"with level {level}", stands="", change=_level(level))
    disabled = session["disabled_optimizers"]
    if "SkipLayerNormFusion" not in disabled:
        change = _disabled([*disabled, "SkipLayerNormFusion"])
        yield Arrangement(name="with SkipLayerNormFusion disabled", stands="", change=change)
    for key in ("session.disable_prepacking", "session.set_denormal_as_zero"):
        if key not in session["config_entries"]:
            yield Arrangement(name=f"with {key}", stands="", change=_entry(key, "1"))


def _before_sum() -> Iterator[Arrangement]:
    """What the option would be worth that ``Sum`` makes needless."""
    yield Arrangement(name="Add in place of Sum", stands="", add=True)
    yield Arrangement(
        name="Add in place of Sum, SkipLayerNormFusion disabled",
        stands="",
        add=True,
        change=_disabled(["SkipLayerNormFusion"]),
    )


def _entry(key: str, value: str) -> Change:
    return lambda session: session["config_entries"].update({key: value})


def _no_entry(key: str) -> Change:
    return lambda session: session["config_entries"].pop(key)


def _disabled(names: list[str]) -> Change:
    return lambda session: session.update(disabled_optimizers=names)


def _level(level: str) -> Change:
    return lambda session: session.update(graph_optimization_level=level)


def settings(bundle: Path, variant: str) -> dict[str, Any]:
    """The session settings of a variant in the bundle's manifest."""
    manifest = json.loads((bundle / "edgepipe.json").read_text(encoding="utf-8"))
    return dict(_graph(manifest, variant)["session"])


def has_sum(bundle: Path, variant: str) -> bool:
    """Whether the optimizer stage has put ``Sum`` before norms."""
    return any(node.op_type == "Sum" for node in _model(bundle, variant)[1].graph.node)


def arranged(bundle: Path, variant: str, wanted: Arrangement, folder: Path) -> Path:
    """``folder`` is the bundle as ``wanted``; files that stay the same are hard links."""
    shutil.copytree(bundle, folder, copy_function=_link)
    manifest = json.loads((folder / "edgepipe.json").read_text(encoding="utf-8"))
    graph = _graph(manifest, variant)
    if wanted.change:
        wanted.change(graph["session"])
    if wanted.add:
        path, model = _model(folder, variant)
        for node in model.graph.node:
            if node.op_type == "Sum":
                node.op_type = "Add"
        disk.write_bytes(path, model.SerializeToString())
        record = {"bytes": path.stat().st_size, "sha256": disk.sha256(path)}
        manifest["files"][graph["file"]] = record
    (folder / "edgepipe.json").unlink()
    disk.write_json(folder / "edgepipe.json", manifest)
    return folder


def arm(wanted: Arrangement, folder: Path, variant: str, threads: int) -> Arm:
    """The command that answers so."""
    command = (
        *(sys.executable, "-P", str(Path(__file__).resolve()), wanted.patch),
        *("--model", str(folder), "--variant", variant, "--threads", str(threads)),
        *(("--plain",) if wanted.plain else ()),
    )
    return Arm(wanted.name, command)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another disk
        shutil.copy2(source, target)


def _graph(manifest: dict[str, Any], variant: str) -> dict[str, Any]:
    found = {v["name"]: v for v in manifest["variants"]}
    graph: dict[str, Any] = found[variant]["graphs"]["model"]
    return graph


def _model(bundle: Path, variant: str) -> tuple[Path, Any]:
    import onnx

    manifest = json.loads((bundle / "edgepipe.json").read_text(encoding="utf-8"))
    path = bundle / _graph(manifest, variant)["file"]
    return path, onnx.load(path)


def main() -> int:
    """The worker of ``edgepipe.measure``, in a runtime without one of its options."""
    from edgepipe.measure import worker_onnx
    from edgepipe.runtime import session

    ours, patch = session._options, sys.argv[1]  # noqa: SLF001 (no public way to do without)

    def theirs(ort: ModuleType, plan: SessionPlan) -> Any:
        made = ours(ort, plan)
        if patch == "inter_op":
            made.inter_op_num_threads = 0  # onnxruntime's default
        elif patch == "record":
            made.add_session_config_entry(_RECORD, "0")
        return made

    session._options = theirs  # noqa: SLF001
    return worker_onnx.main(sys.argv[2:])


if __name__ == "__main__":
    raise SystemExit(main())
