"""Measured speed of bfloat16: use, cache per machine, and repeated measurement without a valid cache."""

import json

import pytest

from mrcnn.training import bfloat16


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The cache file, which does not exist yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "mrcnn" / bfloat16.CACHE_FILE


@pytest.fixture
def measurements(monkeypatch):
    """The list of measurements. Each is 0.7 higher than the previous one."""
    done = []

    def measure():
        done.append(0.7 * (len(done) + 1))
        return done[-1]

    monkeypatch.setattr(bfloat16, "measure_gain", measure)
    return done


def test_the_second_call_reads_the_cache(cache, measurements):
    assert bfloat16.bfloat16_gain() == bfloat16.bfloat16_gain() == 0.7
    assert len(measurements) == 1
    assert json.loads(cache.read_text()) == {bfloat16.machine_key(): 0.7}
    assert list(cache.parent.iterdir()) == [cache]


def test_another_machine_adds_its_own_measurement(cache, measurements, monkeypatch):
    for key in ("first", "second", "first"):
        monkeypatch.setattr(bfloat16, "machine_key", lambda key=key: key)
        bfloat16.bfloat16_gain()
    assert json.loads(cache.read_text()) == {"first": 0.7, "second": 1.4}


def test_the_key_has_cpu_version_and_threads(monkeypatch):
    monkeypatch.setattr(bfloat16, "cpu_model", lambda: "CPU 1")
    keys = {bfloat16.machine_key()}
    monkeypatch.setattr(bfloat16.tf, "__version__", "0.1")
    keys.add(bfloat16.machine_key())
    monkeypatch.setattr(bfloat16.tf.config.threading, "get_intra_op_parallelism_threads", lambda: 99)
    keys.add(bfloat16.machine_key())
    monkeypatch.setattr(bfloat16, "cpu_model", lambda: "CPU 2")
    assert bfloat16.machine_key() == "CPU 2, TensorFlow 0.1, 99 threads"
    assert len(keys) == 3


def test_cpus_of_equal_name_differ_by_revision_and_instruction_sets(tmp_path):
    def model(stepping, flags):
        block = f"processor\t: 0\ncpu family\t: 6\nmodel\t\t: 143\nmodel name\t: Xeon\nstepping\t: {stepping}\n"
        (tmp_path / "cpuinfo").write_text(f"{block}flags\t\t: {flags}\n\nprocessor\t: 1\nmodel name\t: other\n")
        return bfloat16.cpu_model(str(tmp_path / "cpuinfo"))

    assert model(8, "fpu").startswith("Xeon 6/143/8 ")
    assert len({model(8, "fpu"), model(8, "fpu amx_bf16"), model(9, "fpu")}) == 3
    assert bfloat16.cpu_model(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("text", ["{", "[]", "KEY NaN", "KEY 0.0", "KEY -1.0", 'KEY "fast"', "\udcff"])
def test_a_corrupt_cache_is_replaced(cache, measurements, text):
    if text.startswith("KEY "):
        text = f"{{{json.dumps(bfloat16.machine_key())}: {text[4:]}}}"
    cache.parent.mkdir(parents=True)
    cache.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert bfloat16.bfloat16_gain() == 0.7
    assert json.loads(cache.read_text()) == {bfloat16.machine_key(): 0.7}


def test_an_unwritable_cache_is_not_an_error(cache, measurements):
    cache.parent.parent.write_text("a file where the folder should be")
    assert (bfloat16.bfloat16_gain(), bfloat16.bfloat16_gain()) == (0.7, 1.4)


def test_the_best_times_are_compared(monkeypatch):
    """float32 takes 2 s and bfloat16 3 s, once 9 s, so the gain is 2 / 3. The first calls of 50 s are ignored."""
    now = [0.0]
    seconds = {"float32": iter([50, 2, 2, 2]), "bfloat16": iter([50, 9, 3, 3])}  # REPEATS = 3

    def convolution(precision):
        def run():
            now[0] += next(seconds[precision])

        return run

    monkeypatch.setattr(bfloat16, "_convolution", convolution)
    monkeypatch.setattr(bfloat16.time, "perf_counter", lambda: now[0])
    assert bfloat16.measure_gain() == pytest.approx(2 / 3)


def test_a_real_measurement(monkeypatch):
    monkeypatch.setattr(bfloat16, "SHAPE", (1, 4, 4, 8))
    assert 0 < bfloat16.measure_gain() < 1000
