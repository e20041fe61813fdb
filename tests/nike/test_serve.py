"""The options of `nike serve`."""

import argparse
from types import SimpleNamespace

import pytest

pytest.importorskip("fastapi", reason="pip install -e '.[serve,test]' brings FastAPI")
from mrcnn import Config
from nike import serve
from nike.serving.limits import Limits

TOKEN = "correct-horse-battery"


def options(*arguments):
    parser = argparse.ArgumentParser()
    serve.add_arguments(parser)
    return parser.parse_args([str(argument) for argument in arguments])


def test_limits_of_the_options():
    assert serve.parse_limits(options()) == Limits()
    given = options("--queue", 3, "--batch", 2, "--max-wait", 20, "--max-megabytes", 0.5, "--max-megapixels", 2)
    assert serve.parse_limits(given) == Limits(3, 2, 0.02, 1 << 19, 2_000_000, 60.0)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--queue", "0"], "--queue: expected a positive number, got 0"),
        (["--timeout", "-1"], "--timeout: expected a positive number"),
        (["--max-megabytes", "0"], "--max-megabytes: expected a positive number"),
        (["--max-megabytes", "inf"], "--max-megabytes: expected a positive number, got inf"),
        (["--max-megapixels", "nan"], "--max-megapixels: expected a positive number, got nan"),
        (["--timeout", "inf"], "--timeout: expected a positive number, got inf"),
        (["--port", "70000"], "--port: expected a number from 0 to 65535"),
        (["--label-studio", "ftp://x"], "--label-studio: expected an http or https URL"),
        (["--weights", "none.h5"], "--weights: "),
    ],
)
def test_user_errors_are_one_line(arguments, message, capsys):
    assert serve.main(arguments) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1


def test_the_token_comes_from_the_environment(monkeypatch, capsys):
    assert serve.read_token({}) is None and serve.read_token({"NIKE_TOKEN": TOKEN}) == TOKEN
    for bad in ("", "short", "with spaces in the middle", "gr\xfcner-fisch-im-teich"):
        monkeypatch.setenv("NIKE_TOKEN", bad)
        assert serve.main([]) == 2
        err = capsys.readouterr().err
        assert "NIKE_TOKEN: expected at least 16" in err and (not bad or bad not in err)


def test_the_weights_chosen_by_last_are_printed_once(tmp_path, monkeypatch, capsys):
    run = tmp_path / "nike20261130T0000"
    run.mkdir()
    (run / "mask_rcnn_nike_0001.h5").touch()
    monkeypatch.setattr(serve, "read_settings", lambda path, config: (Config(), []))
    detector = SimpleNamespace(detect=lambda photos: photos)
    monkeypatch.setattr("nike.detection.options.load_detector", lambda *values, **names: detector)
    assert serve.load(options("--weights", "last", "--logs", tmp_path)) == (detector, Config.DETECTION_MIN_CONFIDENCE)
    assert capsys.readouterr().err.count("--weights=last: ") == 1
