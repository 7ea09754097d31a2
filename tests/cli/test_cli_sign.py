from __future__ import annotations

import json
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from tests.bundle.signed_bundles import write_key
from tests.cli.conftest import Run
from tests.runtime.tiny_onnx import Tiny, write_bundle

TOLD = "an earlier signature was replaced"


def test_an_earlier_signature_does_not_go_silently(edgepipe: Run, tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle", Tiny())
    ours, _ = write_key(tmp_path / "ours", ec.generate_private_key(ec.SECP256R1()))
    theirs, _ = write_key(tmp_path / "theirs", ec.generate_private_key(ec.SECP256R1()))
    first = edgepipe("sign", bundle, "--key", theirs)
    assert (first.code, first.err) == (0, "")
    assert TOLD not in first.out
    second = edgepipe("sign", bundle, "--key", ours)
    assert (second.code, second.err) == (0, "")
    assert second.out.splitlines()[1:] == [TOLD]
    third = edgepipe("sign", bundle, "--key", ours, "--json")
    assert (third.code, third.err) == (0, f"{TOLD}\n")
    assert json.loads(third.out)["path"] == str(bundle / "model.sig")
