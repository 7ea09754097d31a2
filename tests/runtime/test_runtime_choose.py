from __future__ import annotations

import pytest

from edgepipe.errors import DeviceError, UsageError
from edgepipe.runtime.choose import choose
from edgepipe.runtime.manifest import Manifest, Variant

VARIANTS = (
    Variant("vnni", "int8", {}, devices=("cpu",), cpu_features=("avx512_vnni", "avx2")),
    Variant("half", "fp16", {}, devices=("cuda",)),
    Variant("fp32", "fp32", {}),
)
MANIFEST = Manifest("m", "text-classification", ("a",), 8, 0, VARIANTS, {})
ALL = frozenset({"avx512_vnni", "avx2"})


@pytest.mark.parametrize(
    ("device", "features", "chosen"),
    [
        ("cpu", ALL, "vnni"),
        ("cpu", frozenset({"avx2"}), "fp32"),
        ("cpu", frozenset(), "fp32"),
        ("cuda", ALL, "half"),
    ],
)
def test_auto_takes_the_first_that_fits(device, features, chosen) -> None:
    assert choose(MANIFEST, "auto", device, features).name == chosen


@pytest.mark.parametrize(
    ("name", "device"), [("vnni", "cpu"), ("fp32", "cpu"), ("fp32", "cuda"), ("half", "cuda")]
)
def test_a_variant_by_name(name, device) -> None:
    assert choose(MANIFEST, name, device, ALL).name == name


def test_features_of_the_cpu_do_not_matter_on_cuda() -> None:
    both = Variant("v", "fp32", {}, cpu_features=("avx2",))
    manifest = Manifest("m", "text-classification", ("a",), 8, 0, (both,), {})
    assert choose(manifest, "auto", "cuda", frozenset()) == both


def test_an_unknown_name_lists_the_variants() -> None:
    expected = (
        r"no variant 'int4': vnni \(cpu, avx512_vnni, avx2\); half \(cuda\); fp32 \(cpu, cuda\)"
    )
    with pytest.raises(UsageError, match=expected):
        choose(MANIFEST, "int4", "cpu", ALL)


def test_a_feature_that_is_missing_is_named() -> None:
    reason = "'vnni' needs avx512_vnni, which this CPU lacks. .*half .*fp32"
    with pytest.raises(DeviceError, match=reason):
        choose(MANIFEST, "vnni", "cpu", frozenset({"avx2"}))


def test_a_device_that_does_not_fit_is_named() -> None:
    with pytest.raises(DeviceError, match=r"'half' is not for cpu\. .*vnni .*fp32"):
        choose(MANIFEST, "half", "cpu", ALL)


def test_auto_without_a_fit_says_why_for_each() -> None:
    manifest = Manifest("m", "text-classification", ("a",), 8, 0, VARIANTS[:2], {})
    with pytest.raises(DeviceError, match=r"needs avx2, avx512_vnni, .*'half' is not for cpu"):
        choose(manifest, "auto", "cpu", frozenset())
