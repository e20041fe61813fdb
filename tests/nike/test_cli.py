"""The command `nike`: help, version, exit codes, and one-line errors."""

import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from mrcnn import __version__
from mrcnn.errors import UserError, UserTypeError
from nike import cli


def fail(error):
    raise error


@pytest.mark.parametrize(
    "error", [UserError("no\n  such thing"), FileNotFoundError("no such thing"), UserTypeError("no such thing")]
)
def test_a_user_error_is_one_line(error, capsys):
    assert cli.run(lambda: fail(error), []) == 2
    assert capsys.readouterr().err == "error: no such thing\n"


def test_debug_shows_the_traceback():
    with pytest.raises(UserError, match="no such thing"):
        cli.run(lambda: fail(UserError("no such thing")), ["--debug"])
    with pytest.raises(ZeroDivisionError):
        cli.run(lambda: 1 / 0, ["--debug"])


@pytest.mark.parametrize("error", [ValueError, TypeError, KeyError, RuntimeError])
def test_a_bug_is_not_reported_as_a_user_error(error, capsys):
    assert cli.run(lambda: fail(error("no such thing")), []) == 1
    message, *calls, report = capsys.readouterr().err.splitlines()
    assert message.startswith(f"internal error: {error.__name__}: ") and "no such thing" in message
    assert calls[-1] == f"  {__file__}, line {fail.__code__.co_firstlineno + 1}, in fail: raise error"
    assert f"nike {__version__}. Please report it" in report and "--debug" in report


def test_a_bug_inside_a_library_shows_the_call_and_the_library(capsys):
    assert cli.run(lambda: Path(0), []) == 1
    assert re.search(r", in run: .*\n  .*pathlib.*, in .*\n", capsys.readouterr().err)


def test_exit_codes(capsys):
    assert cli.run(lambda: None, []) == 0
    assert cli.run(lambda: 1, []) == 1
    assert cli.run(lambda: fail(KeyboardInterrupt("resume from it")), []) == 130
    assert "resume from it" in capsys.readouterr().err


def test_ctrl_c_during_the_import_of_a_command(monkeypatch, capsys):
    monkeypatch.setattr(importlib, "import_module", lambda name: fail(KeyboardInterrupt()))
    assert cli.main(["detect", "photo.jpg"]) == 130
    assert capsys.readouterr().err == "\nInterrupted.\n"


def test_help_lists_every_command(capsys):
    assert cli.main([]) == 0
    text = capsys.readouterr().out
    assert all(f"  {name} " in text for name in cli.COMMANDS) and "nike train --weights=coco" in text


def test_version(capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"nike {__version__}\n"


def test_unknown_command(capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["trian"])
    assert "invalid choice: 'trian'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        "detect",
        "detect a.jpg --min-confidence high",
        "detect a.jpg --save pictures",
        "train --epochs few",
        "train --epoch",
    ],
)
def test_an_error_in_the_options_is_one_line(arguments, capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(arguments.split())
    error = capsys.readouterr().err
    command = arguments.split()[0]
    assert error.startswith("error: ") and error.endswith(f" See nike {command} --help.\n") and error.count("\n") == 1


@pytest.mark.parametrize("command", ["train", "check", "synthesize"])
def test_help_of_a_command_does_not_import_tensorflow(command):
    watch = "import atexit, sys; atexit.register(lambda: print('TF' if 'tensorflow' in sys.modules else 'light'))"
    code = f"{watch}; from nike import cli; cli.main(['{command}', '--help'])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.endswith("light\n") and f"nike {command}" in run.stdout


def _help(command: str, capsys) -> str:
    with pytest.raises(SystemExit, match="0"):
        cli.main([command, "--help"])
    return capsys.readouterr().out


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_examples_in_the_help_are_valid(command, capsys):
    """Each example is on its own line and is accepted by the parser of its command."""
    text = _help(command, capsys)
    assert "example" in text and max(map(len, text.splitlines())) <= 120
    examples = re.findall(r"^  nike (\S+) ?(.*?)(?:   .*)?$", text, re.MULTILINE)
    assert command in dict(examples)
    for name, arguments in examples:
        module = importlib.import_module(f"nike.{name.replace('-', '_')}")
        cli.parser(name, module.add_arguments).parse_args(shlex.split(arguments))


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_option_has_a_help_text(command):
    module = importlib.import_module(f"nike.{command.replace('-', '_')}")
    for action in cli.parser(command, module.add_arguments)._actions:
        assert action.help, action.option_strings


def test_defaults_in_the_help_equal_those_of_the_command(capsys):
    """Some commands share options but have different defaults."""
    evaluate, annotate = (re.sub(r"\s+", " ", _help(command, capsys)) for command in ("evaluate", "annotate"))
    assert "0 to 1 (default: 0.01)" in evaluate and "[#sha256=HEX] (default: nike)" in evaluate
    assert "(default: none, no predictions)" in annotate
