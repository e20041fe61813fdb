"""Selection of devices, and detection of hardware with fast bfloat16."""

import keras
import pytest

from mrcnn.layers.common import ConvNorm
from mrcnn.training import devices


@pytest.fixture(autouse=True)
def keep_policy():
    before = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(before)


@pytest.mark.parametrize(
    "gain, line",
    [
        (0.77, "float32 (bfloat16 measured 0.77x)"),
        (1.14, "float32 (bfloat16 measured 1.14x)"),
        (1.15, "mixed_bfloat16 (bfloat16 measured 1.15x)"),
        (2.0, "mixed_bfloat16 (bfloat16 measured 2.00x)"),
    ],
)
def test_cpus(gain, line, monkeypatch):
    monkeypatch.setattr(devices.tf.config, "get_visible_devices", lambda kind: [])
    monkeypatch.setattr(devices, "bfloat16_gain", lambda: gain)
    assert devices.set_precision() == line
    assert keras.config.dtype_policy().name == line.split()[0]


@pytest.mark.parametrize(
    "details, line",
    [
        ({"compute_capability": (7, 5)}, "float32 (compute capability 7.5)"),
        ({"compute_capability": (8, 0)}, "mixed_bfloat16 (compute capability 8.0)"),
        ({"compute_capability": (9, 0)}, "mixed_bfloat16 (compute capability 9.0)"),
        ({}, "float32 (compute capability 0.0)"),
    ],
)
def test_gpus(details, line, monkeypatch):
    monkeypatch.setattr(devices.tf.config, "get_visible_devices", lambda kind: ["gpu"])
    monkeypatch.setattr(devices.tf.config.experimental, "get_device_details", lambda gpu: details)
    assert devices.set_precision() == line


class TestDevice:
    @pytest.fixture
    def machine(self, monkeypatch):
        """Simulates two GPUs. Returns the list of calls that select devices."""
        calls = []
        monkeypatch.setattr(devices.tf.config, "list_physical_devices", lambda kind: ["first", "second"])
        monkeypatch.setattr(devices.tf.config, "set_visible_devices", lambda gpus, kind: calls.append(gpus))
        monkeypatch.setattr(devices.tf.config, "get_visible_devices", lambda kind: calls[-1])
        experimental = devices.tf.config.experimental
        monkeypatch.setattr(experimental, "set_memory_growth", lambda gpu, growth: None)
        monkeypatch.setattr(experimental, "get_device_details", lambda gpu: {"device_name": gpu})
        return calls

    @pytest.mark.parametrize(
        "name, line, gpus",
        [
            ("gpu", "2 GPUs (first)", ["first", "second"]),
            ("gpu:0", "1 GPU (first)", ["first"]),
            ("gpu:1", "1 GPU (second)", ["second"]),
            ("cpu", "CPU (", []),
        ],
    )
    def test_selects(self, machine, name, line, gpus):
        assert devices.prepare_devices(name).startswith(line) and machine == [gpus]

    @pytest.mark.parametrize("name", ["gpu:2", "gpu:10"])
    def test_that_does_not_exist(self, machine, name):
        with pytest.raises(ValueError, match=f"--device: {name} requested, but TensorFlow finds only gpu:0, gpu:1"):
            devices.prepare_devices(name)
        assert machine == []

    def test_without_gpus(self, monkeypatch):
        monkeypatch.setattr(devices.tf.config, "list_physical_devices", lambda kind: [])
        with pytest.raises(ValueError, match="--device: gpu requested, but TensorFlow finds no GPU. Check"):
            devices.prepare_devices("gpu")

    @pytest.mark.parametrize("name", ["tpu", "gpu:", "gpu:-1", "1", ""])
    def test_other_names(self, name):
        with pytest.raises(ValueError, match="--device: expected cpu, gpu or the number of a GPU such as gpu:0, got"):
            devices.prepare_devices(name)


def test_an_explicit_precision_is_not_measured(monkeypatch):
    monkeypatch.setattr(devices, "bfloat16_gain", None)
    assert devices.set_precision("on") == "mixed_bfloat16"
    assert devices.set_precision("off") == "float32"
    with pytest.raises(ValueError, match="expected one of auto, on, off, got 'yes'"):
        devices.set_precision("yes")


def conv_norm(name, kernel=3, precision="float32", **options):
    conv = keras.layers.Conv2D(4, kernel, padding="same", name=f"{name}_conv", **options)
    return ConvNorm(conv, precision=precision, name=name)


@pytest.mark.parametrize("gain, gpus, expected", [(1.19, [], False), (1.2, [], True), (9.0, ["gpu"], False)])
def test_choice_of_the_kernel_gradient(gain, gpus, expected, monkeypatch):
    monkeypatch.setattr(devices.tf.config, "get_visible_devices", lambda kind: gpus)
    monkeypatch.setattr(devices, "matmul_gradient_gain", lambda: gain)
    inputs = keras.Input((8, 8, 3))
    layers = [conv_norm("a"), conv_norm("b"), conv_norm("c", precision="bfloat16")]
    inner = keras.Sequential([keras.Input((8, 8, 4)), layers[1]])
    network = keras.Model(inputs, layers[2](inner(layers[0](inputs))))
    assert devices.choose_kernel_gradient(network) is expected
    assert [layer.matmul_gradient for layer in layers] == [expected, expected, False]
