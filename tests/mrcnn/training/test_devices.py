"""Which hardware gains from bfloat16."""

import keras
import pytest

from mrcnn.training import devices


@pytest.mark.parametrize(
    "flags, gains", [("fpu sse avx2", False), ("fpu avx512f avx512_bf16", True), ("amx_bf16 amx_tile", True)]
)
def test_cpus(flags, gains, tmp_path, monkeypatch):
    file = tmp_path / "cpuinfo"
    file.write_text(f"processor\t: 0\nflags\t\t: {flags}\n\nprocessor\t: 1\nflags\t\t: {flags}\n")
    found = devices.cpu_flags(str(file))
    assert found == set(flags.split())
    monkeypatch.setattr(devices, "cpu_flags", lambda: found)
    monkeypatch.setattr(devices.tf.config, "list_physical_devices", lambda kind: [])
    assert devices.gains_from_bfloat16() is gains


@pytest.mark.parametrize("capability, gains", [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_gpus(capability, gains, monkeypatch):
    monkeypatch.setattr(devices.tf.config, "list_physical_devices", lambda kind: ["gpu"])
    details = {"compute_capability": capability}
    monkeypatch.setattr(devices.tf.config.experimental, "get_device_details", lambda gpu: details)
    assert devices.gains_from_bfloat16() is gains


def test_no_cpuinfo():
    assert devices.cpu_flags("/nowhere/cpuinfo") == set()


def test_policy(monkeypatch):
    before = keras.config.dtype_policy()
    try:
        assert devices.set_precision("on") == "mixed_bfloat16"
        assert devices.set_precision("off") == "float32"
        monkeypatch.setattr(devices, "gains_from_bfloat16", lambda: True)
        assert devices.set_precision() == "mixed_bfloat16"
        with pytest.raises(ValueError, match="expected one of auto, on, off, got 'yes'"):
            devices.set_precision("yes")
    finally:
        keras.config.set_dtype_policy(before)
