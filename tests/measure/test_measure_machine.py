import json
import platform
from pathlib import Path

import psutil
import pytest

from edgepipe.measure import machine as module
from edgepipe.measure.machine import Machine, cpu_model, gpus_of, machine, machine_id, memory_bytes

MEMINFO = "MemTotal:       16384 kB\nMemFree:         1024 kB\n"


def test_this_machine_is_recorded():
    found = machine()
    assert found.cores == psutil.cpu_count(logical=False) or found.cores >= 1
    assert found.python == platform.python_version()
    assert 0 < found.memory_bytes <= psutil.virtual_memory().total
    assert set(found.packages) <= set(module.PACKAGES)
    assert "numpy" in found.packages
    assert Machine.model_validate_json(found.model_dump_json()) == found


def test_features_are_those_that_matter_to_int8():
    flags = Path("/proc/cpuinfo").read_text()
    for feature in machine().features:
        assert feature in module.FEATURES
        assert feature in flags


def test_the_id_is_of_the_hardware_alone():
    here = machine()
    assert machine_id() == here.machine_id
    same = here.model_copy(update={"packages": {}, "python": "4.0", "system": "Plan 9"})
    assert same.machine_id == here.machine_id
    for change in ({"cpu": "Z80"}, {"features": ()}, {"cores": 3}, {"architecture": "arm64"}):
        assert here.model_copy(update=change).machine_id != here.machine_id


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        ("processor\t: 0\nmodel name\t: Intel(R) Xeon(R)\nflags\t: fpu avx2\n", "Intel(R) Xeon(R)"),
        (
            "Features\t: asimddp\nHardware\t: BCM2711\nModel\t\t: Raspberry Pi 4\n",
            "Raspberry Pi 4",
        ),
    ],
)
def test_the_cpu_is_named(cpuinfo, expected):
    assert cpu_model(cpuinfo) == expected


def test_without_a_listing_python_names_the_cpu():
    assert cpu_model("") == (platform.processor() or platform.machine())


@pytest.mark.parametrize(
    ("limit", "expected"), [("", 16384 * 1024), ("max\n", 16384 * 1024), ("1048576\n", 1048576)]
)
def test_a_containers_limit_counts_where_it_is_lower(limit, expected):
    assert memory_bytes(MEMINFO, limit) == expected


def test_gpus_are_read_and_noise_is_skipped():
    listing = "NVIDIA H200, 143771, 570.1\nFailed to initialize NVML\n"
    (gpu,) = gpus_of(listing)
    assert (gpu.name, gpu.memory_mib, gpu.driver) == ("NVIDIA H200", 143771, "570.1")


def test_the_tool_is_asked_only_where_it_is(monkeypatch, tmp_path):
    monkeypatch.setattr(module.shutil, "which", lambda _: None)
    assert module._gpus() == ()
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'T4, 15360, 550.2'\n")
    tool.chmod(0o755)
    monkeypatch.setattr(module.shutil, "which", lambda _: str(tool))
    assert module._gpus()[0].name == "T4"
    tool.chmod(0o644)
    assert module._gpus() == ()


def test_packages_that_are_not_installed_are_left_out(monkeypatch):
    monkeypatch.setattr(module, "PACKAGES", ("numpy", "no-such-package"))
    assert list(module._packages()) == ["numpy"]


def test_the_record_is_plain_json():
    assert json.loads(machine().model_dump_json())["cores"] == machine().cores
