from __future__ import annotations

import hashlib
import io
import json
import shutil
import struct
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edgepipe.bundle import archive
from edgepipe.bundle.zip_reader import Limits
from edgepipe.errors import BundleError
from edgepipe.runtime.verify import verify
from tests.bundle.hostile_zips import CASES
from tests.bundle.zips import (
    BIG,
    DEFLATED,
    DESCRIBED,
    FOLDER,
    UTF8,
    End,
    Entry,
    build,
    files_of,
    lay,
    names_in,
    snapshot,
    sound,
    zip64,
)
from tests.runtime.tiny_onnx import Tiny, records, variant, write_bundle

ZIP = shutil.which("zip")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a sound bundle."""
    return files_of(write_bundle(tmp_path_factory.mktemp("tiny") / "bundle", Tiny()))


@pytest.fixture
def bundle(tmp_path: Path, tiny: dict[str, bytes]) -> Path:
    return lay(tmp_path / "bundle", tiny)


def listed_again(folder: Path) -> Path:
    """``folder`` with a manifest that names every file it has now."""
    manifest = json.loads((folder / "edgepipe.json").read_text())
    (folder / "edgepipe.json").write_text(json.dumps({**manifest, "files": records(folder)}))
    return folder


# ---- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_a_hostile_archive_is_refused_and_leaves_nothing(
    case: str, tiny: dict[str, bytes], tmp_path: Path
) -> None:
    made, word = CASES[case]
    (tmp_path / "deep" / "inside").mkdir(parents=True)
    hostile = tmp_path / "hostile.zip"
    hostile.write_bytes(made(tiny))
    before = snapshot(tmp_path)
    with pytest.raises(BundleError, match=word) as caught:
        archive.unpack(hostile, tmp_path / "deep" / "inside" / "new" / "bundle")
    assert snapshot(tmp_path) == before
    assert str(hostile) in str(caught.value)
    assert ".unpack-" not in str(caught.value)
    assert str(caught.value).isprintable()


def test_there_are_enough_of_them() -> None:
    assert len(CASES) >= 60


def test_the_sound_parts_of_the_hostile_archives_are_sound(
    tiny: dict[str, bytes], tmp_path: Path
) -> None:
    """Else every one of them would be refused for nothing."""
    (tmp_path / "a.zip").write_bytes(build(sound(tiny)))
    archive.unpack(tmp_path / "a.zip", tmp_path / "a")
    assert files_of(tmp_path / "a") == tiny


@pytest.mark.parametrize(
    ("limits", "word"),
    [
        (Limits(members=2), "more than anyone"),
        (Limits(directory_bytes=100), "more than anyone"),
        (Limits(member_bytes=100), "more than 100 bytes"),
        (Limits(total_bytes=500), "together"),
    ],
)
def test_limits(limits: Limits, word: str, tiny: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(build(sound(tiny)))
    with pytest.raises(BundleError, match=word):
        archive.unpack(tmp_path / "a.zip", tmp_path / "a", limits=limits)


@pytest.mark.parametrize("seed", range(300))
def test_a_damaged_archive_is_refused_or_the_same(
    seed: int, tiny: dict[str, bytes], tmp_path: Path
) -> None:
    """One byte changed anywhere: dates and the like do not matter, all else does."""
    sound_zip = build(sound(tiny, method=DEFLATED))
    place = int.from_bytes(hashlib.sha256(b"%d" % seed).digest()[:4]) % len(sound_zip)
    damaged = bytearray(sound_zip)
    damaged[place] ^= 1 << seed % 8
    (tmp_path / "a.zip").write_bytes(damaged)
    try:
        archive.unpack(tmp_path / "a.zip", tmp_path / "a")
    except BundleError:
        assert names_in(tmp_path) == {"a.zip"}
    else:
        assert files_of(tmp_path / "a") == tiny


# ---- what is accepted -------------------------------------------------------------------------


def _described(entry: Entry, layout: str, signature: bytes) -> Entry:
    sums = entry.sums()
    after = signature + struct.pack(layout, sums["crc"], sums["packed"], sums["size"])
    zeros = {"crc": 0, "packed": 0, "size": 0}
    return replace(entry, flags=DESCRIBED, local=zeros, after=after)


def _large(entry: Entry) -> Entry:
    """All its figures in zip64 fields, though they would fit elsewhere."""
    size, packed = entry.sums()["size"], entry.sums()["packed"]
    local = {"size": BIG, "packed": BIG, "extra": zip64(size, packed)}
    return replace(entry, size=BIG, packed=BIG, extra=zip64(size, packed), local=local)


SHAPES: dict[str, Callable[[dict[str, bytes]], bytes]] = {
    "stored": lambda files: build(sound(files)),
    "deflated": lambda files: build(sound(files, method=DEFLATED)),
    "names marked as UTF-8": lambda files: build(sound(files, flags=UTF8)),
    "from DOS": lambda files: build(sound(files, system=0, attributes=0x20)),
    "folders listed": lambda files: build([Entry(b"onnx/", attributes=FOLDER), *sound(files)]),
    "sorted backwards": lambda files: build(sound(files)[::-1]),
    "zip64 end": lambda files: build(sound(files), End(zip64={})),
    "zip64 end beside a full short one": lambda files: build(
        sound(files), End(zip64={}, count=len(files), here=len(files))
    ),
    "zip64 sizes": lambda files: build([_large(entry) for entry in sound(files)]),
    "timestamps in extra fields": lambda files: build(
        sound(files, extra=b"UT\5\0\3abcd", local={"extra": b"UT\x09\0\3abcdefgh"})
    ),
    **{
        f"descriptor {layout} {signature!r}": lambda files, layout=layout, mark=signature: build(
            [_described(entry, layout, mark) for entry in sound(files, method=DEFLATED)]
        )
        for layout in ("<3L", "<L2Q")
        for signature in (b"", b"PK\7\10")
    },
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_a_sound_archive_is_accepted(
    shape: str, tiny: dict[str, bytes], tmp_path: Path
) -> None:
    made = SHAPES[shape](tiny)
    with zipfile.ZipFile(io.BytesIO(made)) as theirs:  # the standard library reads it as well
        assert theirs.testzip() is None
    (tmp_path / "a.zip").write_bytes(made)
    archive.unpack(tmp_path / "a.zip", tmp_path / "a")
    assert files_of(tmp_path / "a") == tiny
    assert names_in(tmp_path) == {"a.zip", "a"}


class _Pipe(io.RawIOBase):
    """A stream that cannot seek, as a socket cannot."""

    def __init__(self) -> None:
        self.made = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.made += data
        return len(data)


def _zipfile(folder: Path, target: Path, *, zip64: bool = False, stream: bool = False) -> None:
    out = _Pipe()
    with zipfile.ZipFile(out if stream else target, "w", zipfile.ZIP_DEFLATED) as made:  # type: ignore[arg-type]
        for name, data in files_of(folder).items():
            with made.open(name, "w", force_zip64=zip64) as file:
                file.write(data)
    if stream:
        target.write_bytes(out.made)


TOOLS: dict[str, Callable[[Path, Path], object]] = {
    "zipfile": _zipfile,
    "zipfile, zip64": lambda folder, target: _zipfile(folder, target, zip64=True),
    "zipfile to a stream": lambda folder, target: _zipfile(folder, target, stream=True),
    "zipfile to a stream, zip64": lambda f, t: _zipfile(f, t, zip64=True, stream=True),
    "make_archive": lambda folder, target: shutil.make_archive(
        str(target.with_suffix("")), "zip", folder
    ),
}


@pytest.mark.parametrize("tool", TOOLS)
def test_archives_of_the_standard_library_are_accepted(
    tool: str, bundle: Path, tmp_path: Path
) -> None:
    TOOLS[tool](bundle, tmp_path / "a.zip")
    archive.unpack(tmp_path / "a.zip", tmp_path / "a")
    assert files_of(tmp_path / "a") == files_of(bundle)


@pytest.mark.skipif(ZIP is None, reason="the program zip is not installed")
@pytest.mark.parametrize("options", ["-r", "-r0X", "-rD9", "-r -fz", "-r -fd", "-r -"])
def test_archives_of_the_program_zip_are_accepted(
    options: str, bundle: Path, tmp_path: Path
) -> None:
    streamed = options.endswith(" -")
    words = [str(ZIP), "-q", *options.split(), *([] if streamed else ["../a.zip"]), "."]
    done = subprocess.run(words, cwd=bundle, check=True, capture_output=True)
    if streamed:
        (tmp_path / "a.zip").write_bytes(done.stdout)
    archive.unpack(tmp_path / "a.zip", tmp_path / "a")
    assert files_of(tmp_path / "a") == files_of(bundle)


def _many(folder: Path) -> Path:
    tiny = Tiny()
    names = ["model.onnx", "model_quantized.onnx", "model_fp16.onnx"]
    variants = [variant(f"v{n}", f"onnx/{name}", tiny) for n, name in enumerate(names)]
    write_bundle(folder, tiny, variants)
    for name in names[1:]:
        shutil.copy(folder / "onnx" / names[0], folder / "onnx" / name)
    (folder / "onnx" / "model.onnx_data").write_bytes(bytes(100_000))
    (folder / "empty").write_bytes(b"")
    (folder / "naïve 日本.txt").write_text("x")
    (folder / ".hidden").write_text("x")
    (folder / "model.sig").write_text("{}")
    return listed_again(folder)


def _listed_but_the_signature(folder: Path) -> Path:
    path = folder / "edgepipe.json"
    manifest = json.loads(path.read_text())
    manifest["files"].pop("model.sig")
    path.write_text(json.dumps(manifest))
    return folder


def test_there_and_back(tmp_path: Path) -> None:
    """Several variants, external weights, an empty file, other alphabets, a signature."""
    folder = _listed_but_the_signature(_many(tmp_path / "bundle"))
    archive.pack(folder, tmp_path / "a.zip")
    archive.unpack(tmp_path / "a.zip", tmp_path / "a")
    assert files_of(tmp_path / "a") == files_of(folder)
    assert verify(tmp_path / "a") == verify(folder)
