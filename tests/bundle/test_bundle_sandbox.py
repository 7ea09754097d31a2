"""The parent of a child that dies, hangs, swells or talks nonsense.

Its jobs are replaced; the limits, the protocol and the parent are the real ones.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from edgepipe.bundle import child, contained, sandbox
from edgepipe.bundle.printable import printable
from edgepipe.bundle.sandbox import Limits
from edgepipe.errors import BundleError, DeviceError, StageError, UsageError
from edgepipe.runtime import golden
from tests.bundle.foreign import DATA, FILE, bundle, listed
from tests.runtime.tiny_onnx import Tiny, token_ids, variant

LIMITS = Limits(memory=400, seconds=60)
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux alone")


def python(code: str) -> Sequence[str]:
    return (sys.executable, "-I", "-c", code)


def doing(body: str) -> Sequence[str]:
    """The child with one job, whose body is given: a line or several."""
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return python(
        "import sys\nfrom edgepipe.bundle import child\n"
        f"def job(folder):\n{lines}\n"
        "sys.exit(child.main({'try': job}))"
    )


def ask(command: Sequence[str], limits: Limits = LIMITS) -> dict[str, Any]:
    return sandbox.ask("try", Path(), limits, command=command)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("import ctypes; ctypes.string_at(0)", r"the runtime died \(SIGSEGV\)"),
        ("import os; os.abort()", r"the runtime died \(SIGABRT\)"),
        ("import os; os.kill(os.getpid(), 9)", r"the runtime died \(SIGKILL\)"),
        ("import os; os.kill(os.getpid(), 40)", r"the runtime died \(signal 40\)"),
        ("import os; os._exit(7)", "the process that opened it failed: "),
        ("import os; os._exit(0)", "an answer of no sense"),
        ("raise ValueError('unforeseen')", "failed: .*ValueError: unforeseen"),
        ("def f(): f()\nf()", "failed: .*RecursionError"),
        ("while True: sys.stderr.write('talk' * 1000)", "write without end"),
        ("while True: print('talk' * 1000)", "write without end"),
        ("return {'text': 'x' * 9_000_000}", "write without end"),
        ("return ['no', 'object']", "an answer of no sense"),
        ("return {'number': float('nan')}", "failed: .*ValueError"),
    ],
)
def test_a_child_that_fails_is_a_refusal(body: str, told: str) -> None:
    with pytest.raises(BundleError, match=told):
        ask(doing(body))


MALLOC = """
import ctypes
malloc = ctypes.CDLL(None).malloc
malloc.restype = ctypes.c_void_p
while malloc(1 << 24):
    pass
raise MemoryError
"""
TRANSLATED = """
from edgepipe.errors import BundleError
raise BundleError("x cannot be loaded: std::bad_alloc")
"""
RUST = "import os; os.write(2, b'memory allocation of 9 bytes failed'); os.abort()"


@LINUX
@pytest.mark.parametrize(
    "body",
    [
        "held = []\nwhile True: held.append(bytearray(1 << 24))",
        "return {'text': 'x' * (1 << 33)}",
        "import numpy; numpy.ones((1 << 20, 1 << 20))",
        MALLOC,
        TRANSLATED,
        RUST,
    ],
)
def test_a_child_that_hoards(body: str) -> None:
    with pytest.raises(BundleError, match=r"refused: needs more than 400 MiB; .*--memory"):
        ask(doing(body))


@pytest.mark.parametrize("body", ["import time; time.sleep(1000)", "while True: pass"])
def test_a_child_that_never_ends(body: str) -> None:
    with pytest.raises(BundleError, match=r"refused: took more than 1 s; .*--timeout"):
        ask(doing(body), Limits(memory=400, seconds=1))


def test_what_the_child_started_ends_with_it() -> None:
    """It holds standard error open: while it lived, that would have no end."""
    body = (
        "import subprocess\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1000)'])\n"
        "return {'started': True}"
    )
    assert ask(doing(body)) == {"started": True}


@pytest.mark.parametrize(
    "said",
    [
        "", "hello", "{", "[]", "{}", "null", "5", '{"result": 5}', '{"result": null}',
        '{"result": {}, "more": 1}', '{"out_of_memory": "yes"}', '{"error": 5}', '{"a"' * 9,
    ],
)  # fmt: skip
def test_garbage_is_a_refusal(said: str) -> None:
    with pytest.raises(BundleError, match="an answer of no sense"):
        ask(python(f"import sys; sys.stdout.buffer.write({said.encode()!r})"))


@pytest.mark.parametrize(
    ("result", "call"),
    [
        ({}, lambda: sandbox.compare(Path("b"), LIMITS)),
        ({"files": "7"}, lambda: sandbox.compare(Path("b"), LIMITS)),
        ({"manifest": {}}, lambda: sandbox.examine(Path("b"), LIMITS)),
        ({"difference": "0"}, lambda: sandbox.replay(Path("b"), "v", LIMITS)),
        ({"difference": 0.0, "extra": 1}, lambda: sandbox.replay(Path("b"), "v", LIMITS)),
    ],
)
def test_an_answer_of_the_wrong_form_is_a_refusal(
    result: dict[str, Any], call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "ask", lambda *_: result)
    with pytest.raises(BundleError, match="an answer of no sense"):
        call()


@pytest.mark.parametrize(
    ("name", "kind"),
    [("UsageError", UsageError), ("BundleError", BundleError), ("DeviceError", StageError)],
)
def test_what_a_job_raises_on_purpose_arrives(name: str, kind: type[Exception]) -> None:
    body = f"from edgepipe import errors\nraise errors.{name}('so \\x1b[31mred\\nand a line')"
    with pytest.raises(kind) as caught:
        ask(doing(body))
    assert type(caught.value) is kind
    assert str(caught.value) == "so \\x1b[31mred\nand a line"


def test_the_child_sees_little_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    body = (
        "import os, resource\n"
        "limits = {n: resource.getrlimit(getattr(resource, n)) for n in dir(resource)\n"
        "          if n in ('RLIMIT_AS', 'RLIMIT_CORE', 'RLIMIT_CPU', 'RLIMIT_FSIZE')}\n"
        "try:\n"
        f"    open({str(tmp_path / 'left')!r}, 'wb', buffering=0).write(b'x')\n"
        "except OSError as error:\n"
        "    limits['error'] = error.strerror\n"
        "print('chatter')\n"
        "return {'env': sorted(os.environ), 'stdin': sys.stdin.read(), **limits}"
    )
    found = ask(doing(body))
    assert not {"AWS_SECRET_ACCESS_KEY", "PYTHONPATH", "HOME", "CI"} & set(found["env"])
    assert found["stdin"] == ""
    assert found["error"] == os.strerror(27)
    assert (tmp_path / "left").read_bytes() == b""
    assert found["RLIMIT_CORE"] == [0, 0]
    if sys.platform == "linux":
        assert found["RLIMIT_AS"] == [400 << 20] * 2


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(StageError, match="could not be started"):
        ask(("/nowhere/python",))


def test_an_interrupted_parent_takes_the_child_along(monkeypatch: pytest.MonkeyPatch) -> None:
    processes: list[subprocess.Popen[bytes]] = []
    wait = subprocess.Popen.wait

    def interrupted(process: subprocess.Popen[bytes], timeout: float | None = None) -> int:
        processes.append(process)
        if timeout is not None:
            raise KeyboardInterrupt
        return wait(process)

    monkeypatch.setattr(subprocess.Popen, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        contained.run(python("import time; time.sleep(1000)"), {}, 60)
    assert processes[-1].returncode == -9


def test_memory_grows_with_the_largest_graph_or_file_of_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 1 << 22, "SC_PAGE_SIZE": 4096}.get)
    made = bundle(tmp_path / "bundle", b"x" * (3 << 20), {DATA: b"x" * (7 << 20)})
    (made / "notes.txt").write_bytes(b"x" * (9 << 20))
    assert Limits().memory_for(listed(made)) == 1024 + 5 * 8
    assert Limits(memory=77).memory_for(made) == 77
    with (made / "onnx" / "unlisted.onnx").open("wb") as file:
        file.truncate(1 << 40)
    assert Limits().memory_for(made) == 1024 + 5 * 8
    os.truncate(made / "onnx" / DATA, 1 << 40)  # sparse: no bytes on the disk
    assert Limits().memory_for(made) == 8192  # half of 16 GiB
    (made / "onnx" / DATA).unlink()
    (made / "onnx" / DATA).symlink_to("/dev/zero")
    assert Limits().memory_for(made) == 1024 + 5 * 4


def test_nothing_but_a_bundle_is_looked_into(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BundleError, match="is not a bundle"):
        Limits().memory_for(tmp_path)
    (tmp_path / "edgepipe.json").write_text("{")
    with pytest.raises(BundleError, match="is damaged"):
        Limits().memory_for(tmp_path)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, naïve, 日本, 😀", "plain, naïve, 日本, 😀"),
        ("\x1b[2J\x07\r\n\t", "\\x1b[2J\\x07\\r\\n\\t"),
        ("\x9b31m\x7f", "\\x9b31m\\x7f"),
        ("a\u202eb\u2028\u200b\ufeff", "a\\u202eb\\u2028\\u200b\\ufeff"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_a_terminal_would_act_on_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


# ---- real bundles -------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With golden answers by numpy, for its one variant."""
    tiny = Tiny()
    made = bundle(tmp_path / "bundle", tiny.onnx())
    return answered(made, tiny)


def answered(made: Path, tiny: Tiny) -> Path:
    lines = (
        {"text": text, "ids": token_ids(text), "logits": tiny.logits(text).tolist()}
        for text in ("good film", "", "a very bad plot")
    )
    (made / "golden.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return listed(made, variants=[variant("fp32", FILE, tiny, tolerance=1e-4)])


def test_a_bundle_is_compared_examined_and_replayed(folder: Path) -> None:
    limits = Limits()
    assert sandbox.compare(folder, limits) == 3
    assert list(sandbox.examine(folder, limits).graphs) == [FILE]
    assert 0 <= sandbox.replay(folder, "fp32", limits).difference < 1e-4


def test_a_variant_that_cannot_run_here_is_left_out(folder: Path) -> None:
    listed(folder, variants=[variant("fp16", FILE, Tiny(), devices=["cuda"], tolerance=1e-4)])
    assert "is not for cpu" in sandbox.replay(folder, "fp16", Limits()).skipped


def test_a_run_that_wants_more_than_there_is_is_a_refusal(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job itself, in this process: its run ends as one without memory does."""

    def starved(*_: object) -> float:
        raise DeviceError("model.onnx ran out of memory on cpu")

    monkeypatch.setattr(golden, "replay", starved)
    with pytest.raises(BundleError, match="ran out of memory on cpu"):
        child.replay(str(folder), "fp32")


def test_wrong_answers_are_a_refusal(folder: Path) -> None:
    (folder / FILE).write_bytes(Tiny(seed=1).onnx())
    listed(folder)
    with pytest.raises(BundleError, match="its answers cannot be relied on"):
        sandbox.replay(folder, "fp32", Limits())


def test_no_such_bundle_is_a_wrong_call(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no bundle at"):
        sandbox.examine(tmp_path / "absent", Limits())


def test_a_model_that_brings_onnxruntime_down_is_a_refusal(folder: Path) -> None:
    """The smallest int64 divided by -1: a trap of x86 that onnxruntime 1.31 runs into when it folds
    constants, and that no checker looks for. A later release, or ARM, may survive it; then its
    answers are wrong. Either way the bundle is refused, and we are still here."""
    model = onnx.load_from_string((folder / FILE).read_bytes())
    model.graph.node[-1].output[0] = "before"
    for name, value in (("smallest", -(2**63)), ("minus_one", -1)):
        model.graph.initializer.append(numpy_helper.from_array(np.array([value]), name))
    model.graph.node.extend(
        [
            helper.make_node("Div", ["smallest", "minus_one"], ["quotient"]),
            helper.make_node("Cast", ["quotient"], ["infinity"], to=onnx.TensorProto.FLOAT),
            helper.make_node("Add", ["before", "infinity"], ["logits"]),
        ]
    )
    onnx.checker.check_model(model, full_check=True)
    (folder / FILE).write_bytes(model.SerializeToString())
    listed(folder)
    sandbox.examine(folder, Limits())  # nothing of what it claims is wrong
    with pytest.raises(BundleError, match=r"the runtime died \(SIGFPE\)|cannot be relied on"):
        sandbox.replay(folder, "fp32", Limits())
