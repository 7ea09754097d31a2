"""``edgepipe verify`` and ``edgepipe inspect``: bundles that nobody has to trust."""

from __future__ import annotations

import json
import tempfile
import zipfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edgepipe.bundle import archive, signing
from tests.bundle.foreign import FILE, bundle, listed, model
from tests.cli.conftest import Run
from tests.runtime.tiny_onnx import Tiny, token_ids, variant

TINY = Tiny()
FILES = "files: ok: 3 as the manifest says, and no others"
UNSIGNED = "signature: not checked: not signed"
CONTENTS = "contents: ok: nothing out of place in 1 graphs of 14 nodes in all"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Golden answers by numpy, for one variant."""
    made = bundle(tmp_path / "bundle", TINY.onnx())
    line = {"text": "bad", "ids": token_ids("bad"), "logits": TINY.logits("bad").tolist()}
    (made / "golden.jsonl").write_text(json.dumps(line) + "\n")
    return listed(made, variants=[variant("fp32", FILE, TINY, tolerance=1e-4)])


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A folder with two pairs."""
    for name in ("ours", "other"):
        key = ec.generate_private_key(ec.SECP256R1())
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        (tmp_path / f"{name}.pem").write_bytes(private)
        (tmp_path / f"{name}-public.pem").write_bytes(public)
    return tmp_path


def test_a_line_for_each_check(edgepipe: Run, folder: Path) -> None:
    done = edgepipe("verify", folder)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [FILES, UNSIGNED, CONTENTS]


def test_run_gives_the_golden_answers(edgepipe: Run, folder: Path) -> None:
    done = edgepipe("verify", folder, "--run")
    assert done.code == 0
    assert done.out.splitlines()[3].startswith("variant fp32: ok: off its golden answers by ")


def test_json(edgepipe: Run, folder: Path) -> None:
    done = edgepipe("verify", folder, "--run", "--json")
    found = json.loads(done.out)
    assert found["passed"] is True
    outcomes = {check["check"]: check["outcome"] for check in found["checks"]}
    assert outcomes == {
        "files": "ok", "signature": "not checked", "contents": "ok", "variant fp32": "ok"
    }  # fmt: skip


def test_a_changed_file_ends_it(edgepipe: Run, folder: Path) -> None:
    content = (folder / FILE).read_bytes()
    (folder / FILE).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    done = edgepipe("verify", folder, "--run")
    assert done.code == 3
    assert len(done.out.splitlines()) == 1
    assert done.out.startswith("files: refused: ")
    assert f"{FILE} has changed" in done.out


def test_every_problem_of_the_contents_has_a_line(edgepipe: Run, tmp_path: Path) -> None:
    made = model()
    made.graph.node[0].domain = "my.lib"
    made.training_info.add()
    done = edgepipe("verify", bundle(tmp_path / "bundle", made), "--run")
    assert done.code == 3
    lines = done.out.splitlines()
    assert lines[2] == f"contents: refused: {FILE}: the file holds training information"
    assert lines[3].startswith(f"  {FILE}: node 'first' ('Relu') is of the domain 'my.lib'")
    assert len(lines) == 4


def test_the_signature(edgepipe: Run, folder: Path, keys: Path) -> None:
    ours, other = keys / "ours-public.pem", keys / "other-public.pem"
    done = edgepipe("verify", folder, "--key", ours)
    assert done.code == 3
    assert "signature: refused: " in done.out
    assert "is not signed" in done.out

    signing.sign(folder, keys / "ours.pem")
    done = edgepipe("verify", folder)
    assert done.code == 0
    assert "signature: not checked: signed; check by whom with --key" in done.out
    done = edgepipe("verify", folder, "--key", ours)
    assert done.code == 0
    assert f"signature: ok: every file is signed with the key of {ours}" in done.out
    done = edgepipe("verify", folder, "--key", other)
    assert done.code == 3
    assert "signature: refused: " in done.out


def test_every_variant_is_run_whatever_became_of_the_first(edgepipe: Run, folder: Path) -> None:
    (folder / "onnx" / "model_fp16.onnx").write_bytes(Tiny(seed=1).onnx())
    variants = [
        variant("cuda", FILE, TINY, tolerance=1e-4, devices=["cuda"]),
        variant("wrong", "onnx/model_fp16.onnx", TINY, tolerance=1e-4),
        variant("right", FILE, TINY, tolerance=1e-4),
    ]
    done = edgepipe("verify", listed(folder, variants=variants), "--run")
    assert done.code == 3
    lines = done.out.splitlines()[3:]
    assert [line.split(": ")[:2] for line in lines] == [
        ["variant cuda", "not checked"],
        ["variant wrong", "refused"],
        ["variant right", "ok"],
    ]


@pytest.mark.parametrize("name", ["fp32", "auto"])
def test_a_variant_that_another_would_answer_for(edgepipe: Run, folder: Path, name: str) -> None:
    """The wrong model is asked for by that name, and the right one would be run."""
    (folder / "onnx" / "model_fp16.onnx").write_bytes(Tiny(seed=1).onnx())
    right = variant("fp32", FILE, TINY, tolerance=1e-4)
    wrong = variant(name, "onnx/model_fp16.onnx", TINY, tolerance=1e-4)
    done = edgepipe("verify", listed(folder, variants=[right, wrong]), "--run")
    assert done.code == 3
    assert "ok: off its golden answers" not in done.out


def test_nothing_run_is_not_good_enough(edgepipe: Run, folder: Path) -> None:
    cuda = variant("cuda", FILE, TINY, tolerance=1e-4, devices=["cuda"])
    listed(folder, variants=[cuda])
    assert edgepipe("verify", folder).code == 0
    done = edgepipe("verify", folder, "--run")
    assert done.code == 3
    assert done.out.splitlines()[-1] == "variants: refused: none of them can run here"


def test_a_bundle_without_golden_answers_cannot_be_run(edgepipe: Run, folder: Path) -> None:
    (folder / "golden.jsonl").unlink()
    listed(folder)
    assert edgepipe("verify", folder).code == 0
    assert edgepipe("verify", folder, "--run").code == 3


def test_a_zip_is_unpacked_for_the_time_being(
    edgepipe: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    archive.pack(folder, tmp_path / "bundle.zip")
    done = edgepipe("verify", tmp_path / "bundle.zip", "--run")
    assert done.code == 0
    assert done.out.splitlines()[:3] == [FILES, UNSIGNED, CONTENTS]
    assert "tiny" in edgepipe("inspect", tmp_path / "bundle.zip").out
    with zipfile.ZipFile(tmp_path / "hostile.zip", "w") as hostile:
        hostile.writestr("../outside", "x")
    done = edgepipe("verify", tmp_path / "hostile.zip")
    assert done.code == 3
    assert done.out.startswith("files: refused: ")
    assert edgepipe("inspect", tmp_path / "hostile.zip").code == 3
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.parametrize(
    ("command", "args", "told"),
    [
        ("verify", ("absent",), "there is no bundle at absent"),
        ("inspect", ("absent",), "there is no bundle at absent"),
        ("verify", ("bundle", "--key", "absent.pem"), "there is no key file absent.pem"),
        ("verify", ("bundle", "--timeout", "0"), "'--timeout'"),
        ("inspect", ("bundle", "--memory", "1"), "'--memory'"),
    ],
)
def test_a_wrong_call(
    edgepipe: Run, folder: Path, command: str, args: tuple[str, ...], told: str
) -> None:
    done = edgepipe(command, *args)
    assert (done.code, done.out) == (2, "")
    assert told in done.err


@pytest.mark.parametrize("command", ["verify", "inspect"])
@pytest.mark.parametrize("place", [".", "/", "/proc/self", "/proc/self/fd", "/dev/null"])
def test_what_is_no_bundle(edgepipe: Run, command: str, place: str) -> None:
    if not Path(place).exists():
        pytest.skip(f"this system has no {place}")
    done = edgepipe(command, place)
    assert done.code in {2, 3}
    assert place in done.err + done.out
    assert "Traceback" not in done.err


def test_too_little_memory_is_a_refusal(edgepipe: Run, folder: Path) -> None:
    done = edgepipe("inspect", folder, "--memory", "64")
    assert done.code == 3
    assert "refused: needs more than 64 MiB" in done.err


def test_inspect_tells_what_it_is(edgepipe: Run, folder: Path) -> None:
    done = edgepipe("inspect", folder)
    assert (done.code, done.err) == (0, "")
    rows = {" ".join(line.split()) for line in done.out.splitlines()}
    for row in (
        "name tiny",
        "task text-classification, single label classification",
        "labels negative, positive, neutral",
        "maximum length 16 tokens",
        "signature none",
        "fp32 fp32 cpu, cuda any not measured 0.0001 any",
        "inputs " + ", ".join(f"{name} int64[batch, sequence]" for name in TINY.inputs),
        "outputs logits float[batch, 3]",
    ):
        assert row in rows, done.out


def test_inspect_for_programs(edgepipe: Run, folder: Path) -> None:
    found = json.loads(edgepipe("inspect", folder, "--json").out)
    assert found["manifest"]["schema"] == 1
    assert found["graphs"][FILE]["operators"]["Gather"] == 2
    assert found["signed"] is False


def test_inspect_does_not_show_what_must_not_be_there(edgepipe: Run, folder: Path) -> None:
    (folder / "run.py").write_text("import os")
    done = edgepipe("inspect", listed(folder))
    assert (done.code, done.out) == (3, "")
    assert "error: run.py: is neither a document nor a file that a graph refers to" in done.err


@pytest.mark.parametrize("command", ["verify", "inspect"])
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_nothing_from_a_bundle_commands_the_terminal(
    edgepipe: Run, folder: Path, command: str, form: tuple[str, ...]
) -> None:
    hostile = "\x1b]0;owned\x07\x9b2J[/red][bold]\u202e"
    changed = variant(hostile, FILE, TINY, tolerance=1e-9)
    listed(folder, name=hostile, labels=[hostile, "b", "c"], variants=[changed])
    run = ("--run",) if command == "verify" else ()
    done = edgepipe(command, folder, *run, *form)
    assert "owned" in done.out
    shown = done.out + done.err
    assert all(char.isprintable() or char == "\n" for char in shown), ascii(shown)
    if command == "inspect" and form:
        assert json.loads(done.out)["manifest"]["name"] == hostile


def test_an_error_does_not_command_the_terminal_either(edgepipe: Run, folder: Path) -> None:
    listed(folder, tokenizer="\x1b[31m.json")
    for command in ("verify", "inspect"):
        done = edgepipe(command, folder)
        assert done.code == 3
        assert "\x1b" not in done.out + done.err
