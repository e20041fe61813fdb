"""The load test, and a server under load: it responds with 200 or 503 and completes accepted requests on shutdown."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn

from nike.serving import benchmark
from nike.serving.app import create_app
from nike.serving.benchmark import LoadTest, main, running_server
from nike.serving.limits import Limits

BOX = (5, 10, 25, 30)


@pytest.fixture
def server(gate):
    running = uvicorn.Server(uvicorn.Config(create_app(gate, Limits(queue=4)), port=0, log_level="error"))
    thread = threading.Thread(target=running.run)
    thread.start()
    while not running.started:
        assert thread.is_alive()
    running.url = f"http://127.0.0.1:{running.servers[0].sockets[0].getsockname()[1]}"
    running.thread = thread
    yield running
    running.should_exit = True
    thread.join(20)


def test_more_clients_than_the_queue_holds(server, gate, photo):
    load = LoadTest(server.url, [photo(BOX), photo()], seconds=1.5)
    load.run(clients=12)
    assert set(load.statuses) <= {"200", "503"}
    assert load.statuses["200"] == len(load.latencies) == sum(gate.batches) > 4
    lines = load.report().splitlines()
    assert [line.split()[0] for line in lines] == ["responses", "rate", "latency"]


def test_accepted_requests_are_completed_on_shutdown(server, gate, photo):
    gate.open.clear()
    load = LoadTest(server.url, [photo(BOX)], seconds=0.2)
    thread = threading.Thread(target=load.run, args=(3,))
    thread.start()
    while len(server.server_state.connections) < 3:
        time.sleep(0.01)
    time.sleep(0.5)  # until the request bodies have arrived
    server.should_exit = True  # as after SIGTERM
    time.sleep(0.5)
    gate.open.set()
    thread.join(20)
    server.thread.join(20)
    assert load.statuses["200"] == 3 and not server.thread.is_alive()


def test_a_running_server(server, photo, tmp_path, capsys):
    (tmp_path / "a.png").write_bytes(photo(BOX))
    (tmp_path / "b.png").write_bytes(b"no image")
    arguments = ["--url", server.url, "--clients", "2", "--seconds", "0.3", "--images"]
    assert main([*arguments, str(tmp_path / "a.png")]) == 0
    assert "images/s" in capsys.readouterr().out
    assert main([*arguments, str(tmp_path / "b.png")]) == 1
    assert "422" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--url", "http://host", "--queue", "3"],
            "--url: the options of a running server cannot be chosen (--queue 3)",
        ),
        (["--url", "https://host"], "--url: expected http://HOST:PORT, got https://host"),
        (["--url", "host:8000"], "--url: expected http://HOST:PORT, got host:8000"),
        (["--clients", "0"], "expected --clients and --seconds above 0, got 0 and 120"),
        (["--seconds", "nan"], "expected --clients and --seconds above 0, got 50 and nan"),
    ],
)
def test_user_errors_are_one_line(capsys, options, message):
    assert main(options) == 2
    assert capsys.readouterr().err == f"error: {message}.\n"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="/proc is Linux's")
def test_rate_memory_and_processor_time_of_a_server(server, gate, photo, tmp_path, capsys, monkeypatch):
    """The server runs in this process. The detector that is measured alone gets the same options."""
    given = []

    @contextmanager
    def this_process(options):
        given.append(options)
        yield server.url, os.getpid()

    monkeypatch.setattr(benchmark, "running_server", this_process)
    monkeypatch.setattr(benchmark.serve, "load", lambda options: given.append(options.batch) or (gate, 0.5))
    (tmp_path / "a.png").write_bytes(photo(BOX))
    before = time.process_time()
    options = ["--clients", "2", "--seconds", "0.5", "--images", str(tmp_path / "a.png"), "--batch", "3"]
    assert main(options) == 0
    assert given == [3, ["--batch", "3"]]
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert list(lines) == ["responses", "rate", "latency", "detector", "processor", "memory"]
    images = int(lines["responses"].split()[1].rstrip(","))
    used = float(lines["processor"].split()[0]) * images / 1000
    assert 0 < used <= time.process_time() - before + 0.01 * images
    assert 20 < float(lines["memory"].split()[0]) < 20_000
    alone, percentage = map(float, re.search(r"(\d+\.\d+) images/s alone; .* (\d+)%", lines["detector"]).groups())
    assert percentage / 100 == pytest.approx(float(lines["rate"].split()[0]) / alone, abs=0.02)


def test_a_server_that_does_not_start():
    with (
        pytest.raises(ValueError, match="--weights none.h5 --port 0: the server did not start: error: .*none.h5"),
        running_server(["--weights", "none.h5"]),
    ):
        pass


@pytest.mark.parametrize("option", ["--images", "--weights"])
def test_files_that_do_not_exist(capsys, option):
    assert main([option, "nosuch.jpg"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and "nosuch.jpg" in error and error.count("\n") == 1


@pytest.mark.parametrize("watched", [False, True])
def test_ctrl_c_ends_the_process(watched):
    """The server accepts connections but does not respond, so the load test would take a minute."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        test = (
            f"run_monitored(LoadTest({url!r}, [b''], 60), 2, os.getpid())" if watched else f"main(['--url', {url!r}])"
        )
        # Background jobs of a shell and their child processes ignore SIGINT.
        code = "import os, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        code += f"from nike import cli; from nike.serving.benchmark import *; cli.run(lambda: {test})"
        with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) as process:
            silent.accept()  # waits until the clients have started
            time.sleep(0.3)
            process.send_signal(signal.SIGINT)
            try:
                assert "Interrupted." in process.communicate(timeout=45)[1]
            finally:
                process.kill()
