"""Which variant of a bundle runs here, by the static rule in its manifest."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from edgepipe.errors import DeviceError, UsageError
from edgepipe.runtime.manifest import AUTO, Manifest, Variant
from edgepipe.runtime.session import Device

__all__ = ["AUTO", "choose"]


def choose(manifest: Manifest, name: str, device: Device, features: AbstractSet[str]) -> Variant:
    """The variant called ``name``, or for ``auto`` the first one made for ``device`` and this CPU.

    ``features`` are those of this CPU. Raises UsageError when there is no such variant, and
    DeviceError when it should not run here; both list what the bundle has.
    """
    wanted = [v for v in manifest.variants if name in (AUTO, v.name)]
    if not wanted:
        raise UsageError(f"the bundle {manifest.name!r} has no variant {name!r}: {_list(manifest)}")
    refusals = [_refusal(variant, device, features) for variant in wanted]
    for variant, refusal in zip(wanted, refusals, strict=True):
        if not refusal:
            return variant
    reasons = "; ".join(refusals)
    raise DeviceError(f"{reasons}. The bundle {manifest.name!r} has: {_list(manifest)}")


def _refusal(variant: Variant, device: Device, features: AbstractSet[str]) -> str:
    """Why ``variant`` should not run here; empty when it may."""
    if device not in variant.devices:
        return f"the variant {variant.name!r} is not for {device}"
    missing = sorted(set(variant.cpu_features) - features)
    if device == "cpu" and missing:
        return f"the variant {variant.name!r} needs {', '.join(missing)}, which this CPU lacks"
    return ""


def _list(manifest: Manifest) -> str:
    """Every variant with its devices and features, for an error message."""
    return "; ".join(
        f"{variant.name} ({', '.join((*variant.devices, *variant.cpu_features))})"
        for variant in manifest.variants
    )
