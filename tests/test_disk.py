from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgepipe import disk
from edgepipe.errors import DiskError, ExitCode, UsageError


def failing(operation: str, number: int = errno.ENOSPC) -> disk.Hook:
    """A disk on which one kind of operation fails."""

    def hook(name: str, path: Path) -> None:
        if name == operation:
            raise OSError(number, os.strerror(number))

    return hook


def names(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*"))


def test_what_is_written_is_there_with_its_folders(tmp_path: Path) -> None:
    disk.write_bytes(tmp_path / "a" / "b" / "file", b"whole")
    disk.write_text(tmp_path / "text", "naïve 日本\n")
    disk.write_bytes(tmp_path / "chunks", iter([b"one ", b"", b"two"]))
    assert (tmp_path / "a" / "b" / "file").read_bytes() == b"whole"
    assert (tmp_path / "text").read_bytes() == "naïve 日本\n".encode()
    assert (tmp_path / "chunks").read_bytes() == b"one two"


def test_equal_values_give_equal_json(tmp_path: Path) -> None:
    disk.write_json(tmp_path / "a", {"b": 1, "a": ["ü", None, 0.1]})
    disk.write_json(tmp_path / "b", {"a": ["ü", None, 0.1], "b": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert json.loads((tmp_path / "a").read_text()) == {"b": 1, "a": ["ü", None, 0.1]}
    with pytest.raises(ValueError, match="JSON"):
        disk.write_json(tmp_path / "c", float("nan"))
    assert not (tmp_path / "c").exists()


def broken_off() -> Iterator[bytes]:
    yield b"half of the "
    raise KeyboardInterrupt


@pytest.mark.parametrize("operation", ["write", "rename"])
def test_a_failed_write_keeps_what_was_there_and_leaves_nothing(
    tmp_path: Path, operation: str
) -> None:
    disk.write_text(tmp_path / "file", "old")
    with disk.hooked(failing(operation)), pytest.raises(DiskError, match="no space left"):
        disk.write_text(tmp_path / "file", "new")
    with pytest.raises(KeyboardInterrupt):
        disk.write_bytes(tmp_path / "file", broken_off())
    assert (tmp_path / "file").read_text() == "old"
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.ENOSPC, "no space left on the disk while trying to write {}; free some and run"),
        (errno.EDQUOT, "no space left on the disk while trying to write {}; free some and run"),
        (errno.EACCES, "not allowed to write {}: Permission denied; check its owner and mode"),
        (errno.EROFS, "not allowed to write {}: Read-only file system; check its owner and mode"),
        (errno.EIO, "could not write {}: Input/output error"),
    ],
)
def test_a_refusal_says_what_where_and_how_to_mend(tmp_path: Path, number: int, told: str) -> None:
    with disk.hooked(failing("write", number)), pytest.raises(DiskError) as caught:
        disk.write_text(tmp_path / "file", "new")
    assert str(caught.value).startswith(told.format(tmp_path / "file"))
    assert caught.value.exit_code is ExitCode.STAGE
    assert isinstance(caught.value.__cause__, OSError)


def test_a_disk_that_refuses_to_clean_up_too_is_told_by_the_first_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read-only mount answers so even for a file that is not there."""

    def refuse(path: Path, *, missing_ok: bool) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    (tmp_path / "source").write_text("new")
    monkeypatch.setattr(Path, "unlink", refuse)
    with (
        disk.hooked(failing("write", errno.EROFS)),
        pytest.raises(DiskError, match=f"not allowed to write {tmp_path / 'target'}: Read-only"),
    ):
        disk.copy_file(tmp_path / "source", tmp_path / "target")


@pytest.mark.parametrize("place", [".", "..", "/", "a/.."])
def test_a_place_without_a_name_is_a_wrong_call(
    tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = folder(tmp_path / "made", a="new")
    with pytest.raises(UsageError, match=r"cannot be replaced; call it by its name"):
        disk.replace_folder(made, Path(place))
    with pytest.raises(UsageError, match=r"cannot be replaced; call it by its name"):
        disk.write_text(Path(place), "new")
    assert names(tmp_path) == ["made", "made/a"]


def test_a_really_full_disk() -> None:
    with (
        pytest.raises(DiskError, match="no space left on the disk while trying to save /dev/full"),
        disk.translated("save", Path("/dev/full")),
        Path("/dev/full").open("wb", buffering=0) as file,
    ):
        file.write(b"x")


def test_a_path_in_the_way(tmp_path: Path) -> None:
    disk.write_text(tmp_path / "file", "")
    with pytest.raises(DiskError, match=r"could not create .*file/sub: Not a directory"):
        disk.write_text(tmp_path / "file" / "sub" / "x", "")
    disk.make_folder(tmp_path / "folder")
    with pytest.raises(DiskError, match=r"could not rename .*folder: Is a directory"):
        disk.write_text(tmp_path / "folder", "")
    assert names(tmp_path) == ["file", "folder"]


def test_a_copy_is_a_file_of_its_own_and_never_a_link(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(os.urandom(3 << 20))
    (tmp_path / "link").symlink_to(tmp_path / "source")
    disk.copy_file(tmp_path / "link", tmp_path / "copy")
    assert not (tmp_path / "copy").is_symlink()
    assert (tmp_path / "copy").stat().st_nlink == 1
    assert (tmp_path / "copy").read_bytes() == (tmp_path / "source").read_bytes()
    with pytest.raises(DiskError, match=r"could not read .*absent: No such file"):
        disk.copy_file(tmp_path / "absent", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_scratch_is_on_the_same_disk_and_goes_away(tmp_path: Path) -> None:
    with disk.scratch(tmp_path / "root", prefix=".x-") as scratch:
        assert scratch.parent == tmp_path / "root"
        assert scratch.name.startswith(".x-")
        assert scratch.stat().st_mode & 0o777 == (tmp_path / "root").stat().st_mode & 0o777
        (scratch / "file").write_text("x")
    assert names(tmp_path) == ["root"]
    with pytest.raises(ValueError, match="oops"), disk.scratch(tmp_path / "root"):
        raise ValueError("oops")
    assert names(tmp_path) == ["root"]


def folder(path: Path, **files: str) -> Path:
    path.mkdir()
    for name, text in files.items():
        (path / name).write_text(text)
    return path


def test_publishing_moves_a_folder_whole(tmp_path: Path) -> None:
    made = folder(tmp_path / "made", a="1")
    folder(made / "inner", b="2")
    assert disk.publish(made, tmp_path / "deep" / "place")
    assert names(tmp_path) == [
        "deep", "deep/place", "deep/place/a", "deep/place/inner", "deep/place/inner/b",
    ]  # fmt: skip


def test_publishing_where_another_was_first_changes_nothing(tmp_path: Path) -> None:
    first = folder(tmp_path / "place", a="first")
    second = folder(tmp_path / "made", a="second")
    assert not disk.publish(second, first)
    assert (first / "a").read_text() == "first"
    assert (second / "a").read_text() == "second"


def test_everything_is_durable_before_it_is_seen(tmp_path: Path) -> None:
    made = folder(tmp_path / "made", a="1", b="2")
    done: list[tuple[str, str]] = []
    with disk.hooked(lambda name, path: done.append((name, path.name))):
        disk.publish(made, tmp_path / "place")
    assert done == [
        ("fsync", "a"), ("fsync", "b"), ("fsync", "made"),
        ("rename", "place"), ("fsync", tmp_path.name),
    ]  # fmt: skip


def test_replacing_puts_the_new_folder_where_the_old_one_was(tmp_path: Path) -> None:
    folder(tmp_path / "place", a="old", gone="old")
    disk.replace_folder(folder(tmp_path / "made", a="new"), tmp_path / "place")
    assert names(tmp_path) == ["place", "place/a"]
    assert (tmp_path / "place" / "a").read_text() == "new"
    disk.replace_folder(folder(tmp_path / "made", a="first"), tmp_path / "deep" / "place")
    assert (tmp_path / "deep" / "place" / "a").read_text() == "first"


@pytest.mark.parametrize("operation", ["fsync", "retire", "rename"])
def test_a_failed_replacement_leaves_the_old_folder_in_place(
    tmp_path: Path, operation: str
) -> None:
    folder(tmp_path / "place", a="old")
    failed = False

    def once(name: str, path: Path) -> None:
        nonlocal failed
        if name == operation and not failed:
            failed = True
            raise OSError(errno.ENOSPC, "")

    with disk.hooked(once), pytest.raises(DiskError):
        disk.replace_folder(folder(tmp_path / "made", a="new"), tmp_path / "place")
    assert (tmp_path / "place" / "a").read_text() == "old"
    assert names(tmp_path) == ["made", "made/a", "place", "place/a"]


class Killed(BaseException):
    pass


@pytest.mark.parametrize("number", range(1, 30))
def test_after_a_kill_at_any_moment_recovery_gives_one_whole_folder(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = folder(tmp_path / "place", a="old", b="old")
    made = folder(tmp_path / "made", a="new", b="new")
    seen = 0

    def kill(name: str, path: Path) -> None:
        nonlocal seen
        seen += 1
        if seen == number:
            raise Killed

    with monkeypatch.context() as patch, disk.hooked(kill):
        patch.setattr(disk, "recover", lambda place: None)  # nobody cleans up after a kill
        try:
            disk.replace_folder(made, place)
        except Killed:
            pass
        else:
            assert number > seen
    disk.recover(place)
    contents = {(place / name).read_text() for name in ("a", "b")}
    assert contents in ({"old"}, {"new"})
    assert not [name for name in names(tmp_path) if ".old" in name]


def test_removing_what_is_not_there_is_done(tmp_path: Path) -> None:
    disk.remove_tree(tmp_path / "absent")
    disk.remove(tmp_path / "absent")
    (tmp_path / "file").write_text("x")
    disk.remove(tmp_path / "file")
    disk.remove_tree(folder(tmp_path / "there", a="x"))
    assert names(tmp_path) == []


def test_a_digest_depends_on_names_and_contents_and_on_no_place(tmp_path: Path) -> None:
    one = folder(tmp_path / "one", a="1", b="2")
    (tmp_path / "deep").mkdir()
    same = folder(tmp_path / "deep" / "two", b="2", a="1")
    assert disk.digest(one) == disk.digest(same)
    others = [
        folder(tmp_path / "swapped", a="2", b="1"),
        folder(tmp_path / "renamed", a="1", c="2"),
        folder(tmp_path / "more", a="1", b="2", c=""),
        folder(tmp_path / "glued", a="12"),
    ]
    digests = {disk.digest(path) for path in (one, *others)}
    assert len(digests) == 5
    os.utime(one / "a", (0, 0))
    assert disk.digest(one) in digests


def test_a_digest_of_a_file_is_its_sha256(tmp_path: Path) -> None:
    """The vector of FIPS 180-2, B.1."""
    (tmp_path / "abc").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert disk.digest(tmp_path / "abc") == disk.sha256(tmp_path / "abc") == known


def test_a_name_that_is_no_utf8_has_a_digest_too(tmp_path: Path) -> None:
    try:
        (tmp_path / os.fsdecode(b"caf\xe9")).write_text("x")
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    assert len(disk.digest(tmp_path)) == 64


def test_sizes_add_up(tmp_path: Path) -> None:
    folder(tmp_path / "a", x="12", y="345")
    folder(tmp_path / "a" / "b", z="6")
    assert disk.size(tmp_path / "a") == 6
    assert disk.size(tmp_path / "a" / "y") == 3
    assert [f.as_posix() for f in disk.files_under(tmp_path / "a")] == ["b/z", "x", "y"]
