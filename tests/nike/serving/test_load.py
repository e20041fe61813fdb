"""The load test, and a server under load: only 200 and 503, and accepted requests are answered on shutdown."""

import os
import threading
import time
from pathlib import Path

import pytest
import uvicorn

from nike.serving.app import create_app
from nike.serving.limits import Limits
from nike.serving.load import Load, main

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
    load = Load(server.url, [photo(BOX), photo()], seconds=1.5)
    load.run(clients=12)
    assert set(load.statuses) <= {"200", "503"}
    assert load.statuses["200"] == len(load.latencies) == sum(gate.batches) > 4
    lines = load.report().splitlines()
    assert [line.split()[0] for line in lines] == ["answers", "rate", "latency"]


def test_shutdown_answers_what_was_accepted(server, gate, photo):
    gate.open.clear()
    load = Load(server.url, [photo(BOX)], seconds=0.2)
    thread = threading.Thread(target=load.run, args=(3,))
    thread.start()
    while len(server.server_state.connections) < 3:
        time.sleep(0.01)
    time.sleep(0.5)  # the bodies have arrived
    server.should_exit = True  # what SIGTERM does
    time.sleep(0.5)
    gate.open.set()
    thread.join(20)
    server.thread.join(20)
    assert load.statuses["200"] == 3 and not server.thread.is_alive()


def test_the_command(server, photo, tmp_path, capsys):
    (tmp_path / "a.png").write_bytes(photo(BOX))
    (tmp_path / "b.png").write_bytes(b"no image")
    arguments = ["--url", server.url, "--clients", "2", "--seconds", "0.3"]
    assert main([str(tmp_path / "a.png"), *arguments]) == 0
    assert "images/s" in capsys.readouterr().out
    assert main([str(tmp_path / "b.png"), *arguments]) == 1
    assert "422" in capsys.readouterr().out


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="/proc is Linux's")
def test_memory_and_processor_time_of_a_process(server, photo, tmp_path, capsys):
    (tmp_path / "a.png").write_bytes(photo(BOX))
    arguments = [str(tmp_path / "a.png"), "--url", server.url, "--clients", "2", "--seconds", "0.5"]
    before = time.process_time()
    assert main([*arguments, "--pid", str(os.getpid())]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    images = int(lines["answers"].split()[1].rstrip(","))
    used = float(lines["processor"].split()[0]) * images / 1000
    assert 0 < used <= time.process_time() - before + 0.01 * images
    assert 20 < float(lines["memory"].split()[0]) < 20_000
