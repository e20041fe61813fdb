"""Measured speed of kernels: use, cache per machine, and new measurement without a valid cache."""

import json

import pytest

from mrcnn.training import cpu_speed


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Returns the path of the cache file, which does not exist yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "mrcnn" / cpu_speed.CACHE_FILE


@pytest.fixture
def measurements(monkeypatch):
    """Returns the list of measurements. Each measurement is 0.7 higher than the previous one."""
    done = []

    def measure(reference, alternative):
        done.append(0.7 * (len(done) + 1))
        return done[-1]

    monkeypatch.setattr(cpu_speed, "measure_gain", measure)
    return done


def test_the_second_call_reads_the_cache(cache, measurements):
    assert cpu_speed.bfloat16_gain() == cpu_speed.bfloat16_gain() == 0.7
    assert len(measurements) == 1
    assert json.loads(cache.read_text()) == {f"bfloat16: {cpu_speed.machine_key()}": 0.7}
    assert list(cache.parent.iterdir()) == [cache]


def test_another_machine_adds_its_own_measurement(cache, measurements, monkeypatch):
    for key in ("first", "second", "first"):
        monkeypatch.setattr(cpu_speed, "machine_key", lambda key=key: key)
        cpu_speed.bfloat16_gain()
    assert json.loads(cache.read_text()) == {"bfloat16: first": 0.7, "bfloat16: second": 1.4}


def test_the_key_has_cpu_version_threads_and_onednn(monkeypatch):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
    monkeypatch.setattr(cpu_speed, "cpu_model", lambda: "CPU 1")
    keys = {cpu_speed.machine_key()}
    monkeypatch.setattr(cpu_speed.tf, "__version__", "0.1")
    keys.add(cpu_speed.machine_key())
    monkeypatch.setattr(cpu_speed.tf.config.threading, "get_intra_op_parallelism_threads", lambda: 99)
    keys.add(cpu_speed.machine_key())
    monkeypatch.setattr(cpu_speed, "cpu_model", lambda: "CPU 2")
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    keys.add(cpu_speed.machine_key())
    assert cpu_speed.machine_key() == "CPU 2, TensorFlow 0.1, 99 threads, oneDNN 0"
    assert len(keys) == 4


def test_cpus_of_equal_name_differ_by_revision_and_instruction_sets(tmp_path):
    def model(stepping, flags):
        block = f"processor\t: 0\ncpu family\t: 6\nmodel\t\t: 143\nmodel name\t: Xeon\nstepping\t: {stepping}\n"
        (tmp_path / "cpuinfo").write_text(f"{block}flags\t\t: {flags}\n\nprocessor\t: 1\nmodel name\t: other\n")
        return cpu_speed.cpu_model(str(tmp_path / "cpuinfo"))

    assert model(8, "fpu").startswith("Xeon 6/143/8 ")
    assert len({model(8, "fpu"), model(8, "fpu amx_bf16"), model(9, "fpu")}) == 3
    assert cpu_speed.cpu_model(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("text", ["{", "[]", "KEY NaN", "KEY 0.0", "KEY -1.0", 'KEY "fast"', "\udcff"])
def test_a_corrupt_cache_is_replaced(cache, measurements, text):
    if text.startswith("KEY "):
        text = f"{{{json.dumps('bfloat16: ' + cpu_speed.machine_key())}: {text[4:]}}}"
    cache.parent.mkdir(parents=True)
    cache.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert cpu_speed.bfloat16_gain() == 0.7
    assert json.loads(cache.read_text()) == {f"bfloat16: {cpu_speed.machine_key()}": 0.7}


def test_an_unwritable_cache_is_not_an_error(cache, measurements):
    cache.parent.parent.write_text("a file where the folder should be")
    assert (cpu_speed.bfloat16_gain(), cpu_speed.bfloat16_gain()) == (0.7, 1.4)


def test_a_user_without_a_home_folder(cache, measurements, monkeypatch):
    def home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(cpu_speed.Path, "home", home)
    assert cpu_speed.bfloat16_gain() == 0.7


def test_the_best_times_are_compared(monkeypatch):
    """The reference takes 2 s and the alternative 3 s, once 9 s. The ratio is 2 / 3. The first calls are ignored."""
    now = [0.0]
    seconds = {"reference": iter([50, 2, 2, 2]), "alternative": iter([50, 9, 3, 3])}  # REPEATS = 3

    def function(name):
        def run():
            now[0] += next(seconds[name])

        return run

    monkeypatch.setattr(cpu_speed.time, "perf_counter", lambda: now[0])
    assert cpu_speed.measure_gain(function("reference"), function("alternative")) == pytest.approx(2 / 3)


def test_each_measurement_has_its_own_entry(cache, measurements):
    assert (cpu_speed.bfloat16_gain(), cpu_speed.matmul_gradient_gain()) == (0.7, 1.4)
    assert (cpu_speed.matmul_gradient_gain(), cpu_speed.bfloat16_gain()) == (1.4, 0.7)


def test_real_measurements(cache, monkeypatch):
    monkeypatch.setattr(cpu_speed, "SHAPE", (1, 4, 4, 8))
    monkeypatch.setattr(cpu_speed, "GRADIENT_SHAPE", (1, 4, 4, 8))
    assert 0 < cpu_speed.bfloat16_gain() < 1000
    assert 0 < cpu_speed.matmul_gradient_gain() < 1000
