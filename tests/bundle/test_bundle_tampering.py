from __future__ import annotations

import base64
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from edgepipe.bundle.signing import check_signature
from edgepipe.errors import BundleError
from edgepipe.runtime.verify import verify
from tests.bundle.signed_bundles import SIGNATURE, Files, list_again, signed_files, write_key
from tests.bundle.zips import files_of, lay, snapshot

TRIES = 56
"""Of each way to tamper; the ways are counted below."""


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_key(tmp_path_factory.mktemp("keys"), ec.generate_private_key(ec.SECP256R1()))


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory, keys: tuple[Path, Path]) -> Files:
    """The files of a signed bundle."""
    return signed_files(tmp_path_factory.mktemp("signed") / "bundle", keys[0])


@pytest.fixture
def bundle(tmp_path: Path, signed: Files) -> Path:
    return lay(tmp_path / "bundle", signed)


# ---- a thousand ways to tamper ----------------------------------------------------------------


def any_file(rng: random.Random, folder: Path, *, listed: bool = False) -> Path:
    names = sorted(files_of(folder).keys() - {SIGNATURE})
    return folder / rng.choice([n for n in names if n != "edgepipe.json"] if listed else names)


def flip_bit(rng: random.Random, folder: Path) -> None:
    path = any_file(rng, folder)
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def cut(rng: random.Random, folder: Path) -> None:
    path = any_file(rng, folder)
    path.write_bytes(path.read_bytes()[: rng.randrange(path.stat().st_size)])


def append(rng: random.Random, folder: Path) -> None:
    path = any_file(rng, folder)
    path.write_bytes(path.read_bytes() + rng.randbytes(rng.randint(1, 9)))


def swap(rng: random.Random, folder: Path) -> None:
    names = sorted(files_of(folder).keys() - {SIGNATURE})
    one, two = (folder / name for name in rng.sample(names, 2))
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)


def rename(rng: random.Random, folder: Path) -> None:
    path = any_file(rng, folder)
    path.rename(path.with_name(f"{path.name}{rng.choice(['~', '.bak', '2', '_'])}"))


def change_case(rng: random.Random, folder: Path) -> None:
    path = any_file(rng, folder)
    path.rename(path.with_name(path.name.swapcase()))


def move(rng: random.Random, folder: Path) -> None:
    path = any_file(rng, folder)
    target = folder / "onnx" if path.parent == folder else folder
    path.rename(target / path.name)


def add(rng: random.Random, folder: Path) -> None:
    name = rng.choice(["", "."]) + f"evil{rng.randrange(99)}" + rng.choice(["", ".so", ".onnx"])
    (rng.choice([folder, folder / "onnx"]) / name).write_bytes(rng.randbytes(rng.randrange(9)))


def add_folder(rng: random.Random, folder: Path) -> None:
    (rng.choice([folder, folder / "onnx"]) / f"evil{rng.randrange(99)}").mkdir()


def delete(rng: random.Random, folder: Path) -> None:
    any_file(rng, folder).unlink()


def link(rng: random.Random, folder: Path) -> None:
    path = any_file(rng, folder)
    copy = shutil.copy(path, folder.parent / "copy")
    path.unlink()
    path.symlink_to(copy)


def edit_consistently(rng: random.Random, folder: Path) -> None:
    rng.choice([flip_listed, append_listed, add, rename_listed, delete_listed])(rng, folder)
    list_again(folder)


def flip_listed(rng: random.Random, folder: Path) -> None:
    path = any_file(rng, folder, listed=True)
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def append_listed(rng: random.Random, folder: Path) -> None:
    path = any_file(rng, folder, listed=True)
    path.write_bytes(path.read_bytes() + rng.randbytes(3))


def rename_listed(rng: random.Random, folder: Path) -> None:
    path = any_file(rng, folder, listed=True)
    path.rename(path.with_name(f"new{rng.randrange(99)}"))


def delete_listed(rng: random.Random, folder: Path) -> None:
    any_file(rng, folder, listed=True).unlink()


def edit_manifest(rng: random.Random, folder: Path) -> None:
    """Other labels, lengths or variants: the files it lists are as they were."""
    path = folder / "edgepipe.json"
    manifest = json.loads(path.read_text())
    rng.choice(
        [
            manifest["labels"].reverse,
            lambda: manifest.update(max_length=rng.randint(2, 999)),
            lambda: manifest.update(name=f"other{rng.randrange(99)}"),
            lambda: manifest.update(pad_token_id=rng.randint(1, 9)),
            lambda: manifest["variants"][0].update(batch_invariant=False),
        ]
    )()
    path.write_text(json.dumps(manifest))


def edit_signature(rng: random.Random, folder: Path) -> None:
    """A bit of the signature or of what is signed, not of the JSON around them."""
    path = folder / SIGNATURE
    outer = json.loads(path.read_text())
    envelope = outer["dsseEnvelope"]
    place, field = rng.choice([(envelope, "payload"), (envelope["signatures"][0], "sig")])
    raw = bytearray(base64.b64decode(place[field]))
    raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
    place[field] = base64.b64encode(raw).decode()
    path.write_text(json.dumps(outer))


def cut_signature(rng: random.Random, folder: Path) -> None:
    path = folder / SIGNATURE
    path.write_bytes(path.read_bytes()[: rng.randrange(path.stat().st_size)])


def break_signature(rng: random.Random, folder: Path) -> None:
    """Any one value of it becomes something else, or goes."""
    path = folder / SIGNATURE
    outer = json.loads(path.read_text())
    places = [
        (outer, "mediaType"), (outer, "verificationMaterial"), (outer, "dsseEnvelope"),
        (outer["dsseEnvelope"], "payload"), (outer["dsseEnvelope"], "payloadType"),
        (outer["dsseEnvelope"], "signatures"), (outer["dsseEnvelope"]["signatures"][0], "sig"),
    ]  # fmt: skip
    where, field = rng.choice(places)
    value = rng.choice([None, [], {}, "", "AAAA", "evil", 7, [{}], [[]], True, "deleted"])
    where.pop(field)
    if value != "deleted":
        where[field] = value
    path.write_text(json.dumps(outer))


TAMPERINGS = (
    flip_bit, cut, append, swap, rename, change_case, move, add, add_folder, delete, link,
    edit_consistently, edit_manifest, edit_signature, cut_signature, break_signature,
)  # fmt: skip
BY_SIGNATURE = {edit_consistently, edit_manifest, edit_signature, cut_signature, break_signature}
"""Only a signature notices these: the files are as the manifest says."""


@pytest.mark.parametrize("tamper", TAMPERINGS)
def test_tampering_is_refused(
    tamper: Callable[[random.Random, Path], None],
    signed: Files,
    keys: tuple[Path, Path],
    tmp_path: Path,
) -> None:
    for seed in range(TRIES):
        folder = tmp_path / str(seed) / "bundle"
        lay(folder, signed)
        before = snapshot(folder)
        tamper(random.Random(f"{tamper.__name__} {seed}"), folder)  # noqa: S311
        if snapshot(folder) == before:  # a link to equal bytes shows in its mode alone
            pytest.fail(f"{tamper.__name__} {seed} changed nothing")
        if tamper in BY_SIGNATURE:
            verify(folder)
            with pytest.raises(BundleError):
                check_signature(folder, keys[1])
        else:
            with pytest.raises(BundleError):
                verify(folder)


def test_the_untouched_bundle_is_accepted_every_time(
    signed: Files, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    for seed in range(TRIES):
        folder = lay(tmp_path / str(seed) / f"copy {seed}", signed)
        verify(folder)
        check_signature(folder, keys[1])


def test_there_are_a_thousand_of_them() -> None:
    """Beside those of single bits of the whole signature file."""
    assert len(TAMPERINGS) * TRIES + FLIPS >= 1000


FLIPS = 104


def test_a_bit_of_the_signature_file_matters_or_says_the_same(
    signed: Files, keys: tuple[Path, Path], bundle: Path
) -> None:
    """Spaces and the like may differ, as long as what is signed and the signature do not."""
    original = json.loads(signed[SIGNATURE])["dsseEnvelope"]
    accepted = 0
    for seed in range(FLIPS):
        rng = random.Random(seed)  # noqa: S311
        data = bytearray(signed[SIGNATURE])
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        (bundle / SIGNATURE).write_bytes(data)
        try:
            check_signature(bundle, keys[1])
        except BundleError:
            continue
        accepted += 1
        found = json.loads(data)["dsseEnvelope"]
        for one, two in ((found, original), (found["signatures"][0], original["signatures"][0])):
            for field in {"payload", "sig"} & two.keys():
                assert base64.b64decode(one[field]) == base64.b64decode(two[field])
    assert accepted < FLIPS // 5
