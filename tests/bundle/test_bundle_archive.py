from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from edgepipe import disk
from edgepipe.bundle import archive, zip_reader, zip_writer
from edgepipe.bundle.zip_reader import Limits
from edgepipe.errors import BundleError, DiskError, UsageError
from edgepipe.runtime.verify import verify
from tests.bundle.zips import (
    build,
    files_of,
    lay,
    names_in,
    snapshot,
    sound,
)
from tests.runtime.tiny_onnx import Tiny, write_bundle


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a sound bundle."""
    return files_of(write_bundle(tmp_path_factory.mktemp("tiny") / "bundle", Tiny()))


@pytest.fixture
def bundle(tmp_path: Path, tiny: dict[str, bytes]) -> Path:
    return lay(tmp_path / "bundle", tiny)


# ---- pack -------------------------------------------------------------------------------------


def test_another_reader_finds_the_files_in_what_was_packed(bundle: Path, tmp_path: Path) -> None:
    archive.pack(bundle, tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as theirs:
        assert theirs.testzip() is None
        assert {name: theirs.read(name) for name in theirs.namelist()} == files_of(bundle)
        assert theirs.namelist() == sorted(files_of(bundle))
        for info in theirs.infolist():
            assert info.date_time == (1980, 1, 1, 0, 0, 0)
            assert info.compress_type == zipfile.ZIP_STORED
            assert (info.create_system, info.external_attr >> 16) == (3, 0o100644)


def test_equal_files_give_equal_bytes(bundle: Path, tmp_path: Path) -> None:
    """Whatever their times, modes and order on the disk."""
    other = tmp_path / "elsewhere" / "other"
    for name, data in reversed(files_of(bundle).items()):
        lay(other, {name: data})
        (other / name).chmod(0o600)
        os.utime(other / name, (0, 0))
    archive.pack(bundle, tmp_path / "a.zip")
    archive.pack(other, tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_the_bytes_are_those_the_format_says(bundle: Path, tmp_path: Path) -> None:
    """Written a second time by the tests' own builder, so that no release changes them unseen."""
    archive.pack(bundle, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == build(sound(dict(sorted(files_of(bundle).items()))))


def test_what_is_too_large_for_32_bits_goes_to_zip64(tmp_path: Path) -> None:
    """Eleven gigabytes, all but the headers a hole in the file; another reader must agree."""
    sizes = {"first": 6 << 30, "second": 5 << 30}
    path, written = tmp_path / "large.zip", []
    with path.open("wb") as file:
        for name, size in sizes.items():
            written.append(zip_writer._Written(name.encode(), 0, size, file.tell()))
            file.write(zip_writer._local(written[-1]))
            file.seek(size, os.SEEK_CUR)
        directory, start = b"".join(map(zip_writer._entry, written)), file.tell()
        file.write(directory + zip_writer._end(len(written), len(directory), start))
    with zipfile.ZipFile(path) as theirs:
        infos = theirs.infolist()
        assert {info.filename: info.file_size for info in infos} == sizes
        assert infos[1].header_offset == written[1].start > 6 << 30
        for info in infos:
            with theirs.open(info) as file:
                assert file.read(1000) == bytes(1000)
    with path.open("rb") as file:
        assert {m.name: m.size for m in zip_reader.members(file, Limits())} == sizes


def test_more_than_65535_members_go_to_zip64(tmp_path: Path) -> None:
    count = 70_000
    names = [zip_writer._Written(b"%d" % n, 0, 0, 31) for n in range(count)]
    directory = b"".join(map(zip_writer._entry, names))
    made = directory + zip_writer._end(count, len(directory), 0)
    with zipfile.ZipFile(io.BytesIO(made)) as theirs:
        assert len(theirs.infolist()) == count


def test_a_changed_bundle_is_not_packed(bundle: Path, tmp_path: Path) -> None:
    (bundle / "extra").write_text("x")
    before = snapshot(tmp_path)
    with pytest.raises(BundleError, match="extra is not named"):
        archive.pack(bundle, tmp_path / "a.zip")
    assert snapshot(tmp_path) == before


def test_a_file_that_changes_while_it_is_packed(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zip_writer, "_sum", lambda path: (1, path.stat().st_size))
    with pytest.raises(BundleError, match="changed while it was packed"):
        archive.pack(bundle, tmp_path / "a.zip")
    assert names_in(tmp_path) == {"bundle"}


def test_packing_over_the_same_bytes_is_fine_and_over_others_takes_force(
    bundle: Path, tmp_path: Path
) -> None:
    target = tmp_path / "a.zip"
    archive.pack(bundle, target)
    made = target.read_bytes()
    archive.pack(bundle, target)
    target.write_bytes(b"precious")
    with pytest.raises(UsageError, match="other content"):
        archive.pack(bundle, target)
    assert target.read_bytes() == b"precious"
    archive.pack(bundle, target, force=True)
    assert target.read_bytes() == made


@pytest.mark.parametrize(
    "inside", ["bundle/a.zip", "bundle/onnx/../b.zip", "bundle/onnx", ".", "pipe"]
)
def test_packing_into_the_bundle_or_onto_what_is_no_file(
    inside: str, bundle: Path, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    before = snapshot(tmp_path)
    with pytest.raises(UsageError, match=r"is inside the bundle|is no file"):
        archive.pack(bundle, tmp_path / inside, force=True)
    assert snapshot(tmp_path) == before


def _failing(operation: str, count: int) -> Callable[[str, Path], None]:
    """A hook of the disk: it is full from the ``count``-th ``operation`` on."""
    left = [count]

    def hook(name: str, _: Path) -> None:
        if name == operation:
            left[0] -= 1
            if left[0] < 0:
                raise OSError(28, "No space left on device")

    return hook


@pytest.mark.parametrize("operation", ["read", "write", "rename"])
def test_a_full_disk_while_packing_keeps_the_old_file(
    operation: str, bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.zip").write_bytes(b"old")
    before = snapshot(tmp_path)
    with disk.hooked(_failing(operation, 0)), pytest.raises(DiskError, match="no space"):
        archive.pack(bundle, tmp_path / "a.zip", force=True)
    assert snapshot(tmp_path) == before


# ---- unpack -----------------------------------------------------------------------------------


@pytest.fixture
def packed(bundle: Path, tmp_path: Path) -> Path:
    archive.pack(bundle, tmp_path / "packed.zip")
    return tmp_path / "packed.zip"


@pytest.mark.parametrize(
    ("operation", "count"),
    [("create", 0), ("write", 0), ("write", 3), ("rename", 0), ("rename", 2), ("fsync", 6)],
)
def test_a_full_disk_while_unpacking_leaves_nothing(
    operation: str, count: int, packed: Path, tmp_path: Path
) -> None:
    before = snapshot(tmp_path)
    with disk.hooked(_failing(operation, count)), pytest.raises(DiskError, match="no space"):
        archive.unpack(packed, tmp_path / "a")
    assert snapshot(tmp_path) == before


def test_folders_on_the_way_are_made(packed: Path, tmp_path: Path) -> None:
    archive.unpack(packed, tmp_path / "new" / "folder" / "a")
    verify(tmp_path / "new" / "folder" / "a")


def test_what_stands_in_the_way_stays(packed: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "precious").write_text("x")
    (tmp_path / "link").symlink_to("bundle")
    before = snapshot(tmp_path)
    for name in ("file", "folder", "bundle", "link"):
        with pytest.raises(UsageError, match=r"exists|is a link"):
            archive.unpack(packed, tmp_path / name)
    for name in ("file", "folder", "link", ""):
        with pytest.raises(UsageError, match=r"is no bundle|is a link"):
            archive.unpack(packed, tmp_path / name, force=True)
    assert snapshot(tmp_path) == before


def test_force_replaces_a_bundle_as_a_whole(packed: Path, bundle: Path, tmp_path: Path) -> None:
    wanted = files_of(bundle)
    (bundle / "tokenizer.json").write_text("gone afterwards")
    archive.unpack(packed, bundle, force=True)
    assert files_of(bundle) == wanted
    assert names_in(tmp_path) == {"bundle", "packed.zip"}


def test_force_never_removes_what_is_not_the_bundles(packed: Path, bundle: Path) -> None:
    (bundle / "notes").mkdir()
    (bundle / "notes" / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="also holds notes"):
        archive.unpack(packed, bundle, force=True)
    assert (bundle / "notes" / "thesis.txt").exists()


def test_nothing_is_unpacked_into_a_bundle(packed: Path, bundle: Path) -> None:
    before = files_of(bundle)
    with pytest.raises(UsageError, match="inside a bundle"):
        archive.unpack(packed, bundle / "inner")
    assert files_of(bundle) == before


def test_force_keeps_the_old_bundle_when_the_archive_is_refused(
    packed: Path, bundle: Path, tmp_path: Path
) -> None:
    packed.write_bytes(packed.read_bytes()[:-1])
    before = snapshot(tmp_path)
    with pytest.raises(BundleError):
        archive.unpack(packed, bundle, force=True)
    assert snapshot(tmp_path) == before


def test_force_does_not_replace_the_folder_that_holds_the_archive(
    packed: Path, bundle: Path
) -> None:
    inside = packed.rename(bundle / "packed.zip")
    with pytest.raises(UsageError, match="holds the archive"):
        archive.unpack(inside, bundle, force=True)
    assert inside.exists()


@pytest.mark.parametrize("name", ["absent.zip", "bundle", "pipe"])
def test_what_is_no_file_is_not_opened(name: str, bundle: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="there is no file"):
        archive.unpack(tmp_path / name, tmp_path / "a")


def test_another_process_that_is_faster_wins(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(folder: Path) -> object:
        lay(tmp_path / "a", {"theirs": b"x"})
        return verify(folder)

    monkeypatch.setattr(archive, "verify", meanwhile)
    with pytest.raises(UsageError, match="exists now"):
        archive.unpack(packed, tmp_path / "a")
    assert files_of(tmp_path / "a") == {"theirs": b"x"}
    assert not [name for name in names_in(tmp_path) if name.startswith(".")]
