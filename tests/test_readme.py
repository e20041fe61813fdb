"""Commands and options in the documentation exist. Quick commands and Python blocks of the README run.

Commands for training and annotation are only parsed here. `tests/nike` runs them.
"""

import importlib
import importlib.util
import json
import re
import shlex
import tomllib
from pathlib import Path

import keras
import matplotlib
import numpy as np
import pytest
from PIL import Image

from mrcnn.model import MaskRCNN
from nike import cli
from nike.detection.video_writing import new_video
from tiny_config import TinyConfig

ROOT = Path(__file__).resolve().parents[1]
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "docs/index.md",
    "docs/moving-from-matterport.md",
    "docs/deploy.md",
    "docs/serve.md",
    "docs/scaling.md",
)
PAGES += ("docs/annotate-with-your-tool.md", "docs/comparison.md", "notebooks/README.md", "weights/README.md")
PAGES += ("docs/benchmarks.md", "docs/proposals.md", "nike/sample_data/README.md")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
COMMAND = re.compile(r"^(nike|make|pip|python3?) ")
OPTION = re.compile(r"^--[a-z][a-z-]*( \w+)?$")
RUN_HERE = ("check", "detect", "evaluate")  # these take seconds; other commands take minutes or open a window
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: str, language: str) -> list[str]:
    return [text for name, text in BLOCK.findall((ROOT / page).read_text(encoding="utf-8")) if name == language]


def block_commands(page: str) -> list[str]:
    """Returns the commands in code blocks without a language."""
    texts = [re.sub(r"\\\n\s*", "", text) for text in blocks(page, "")]  # join continued lines
    lines = [re.sub(r"(^|\s)#.*", "", line).strip() for text in texts for line in text.splitlines()]
    return [part.strip() for line in lines for part in line.split("&&") if COMMAND.match(f"{part.strip()} ")]


def inline_commands(page: str) -> list[str]:
    text = BLOCK.sub("", (ROOT / page).read_text(encoding="utf-8"))
    return [span for span in re.findall(r"`([^`\n]+)`", text) if COMMAND.match(span) or OPTION.match(span)]


ALL = [(page, command) for page in PAGES for command in (*block_commands(page), *inline_commands(page))]


def check_nike(arguments: list[str]) -> None:
    """Parses the arguments with the parser of the command, which exits if they are invalid."""
    if arguments in (["--help"], ["COMMAND", "--help"]):
        return
    assert arguments[0] in cli.COMMANDS
    if arguments[1:] in ([], ["--help"]):  # the text mentions the command without arguments
        return
    module = importlib.import_module(f"nike.{arguments[0].replace('-', '_')}")
    cli.parser(arguments[0], module.add_arguments).parse_args(arguments[1:])


def check_option(words: list[str]) -> None:
    """Checks that an option in the text exists in some command."""
    for name in cli.COMMANDS:
        parser = cli.parser(name, importlib.import_module(f"nike.{name.replace('-', '_')}").add_arguments)
        if words[0] in parser._option_string_actions:
            return
    raise AssertionError(f"no command has {words[0]}")


def check_make(targets: list[str]) -> None:
    for target in targets:
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), target


def check_pip(arguments: list[str]) -> None:
    if arguments[0] == "install":
        for extra in re.findall(r"\[(\w+)\]", " ".join(arguments)):
            assert extra in EXTRAS, extra
        for file in re.findall(r"-r (\S+)", " ".join(arguments)):
            assert (ROOT / file).is_file(), file


def check_python(arguments: list[str]) -> None:
    if arguments[0] == "-m":
        assert importlib.util.find_spec(arguments[1]) is not None
    elif arguments[0].startswith("nike/"):
        check_nike([Path(arguments[0]).stem.replace("_", "-"), *arguments[1:]])
    else:
        assert (ROOT / arguments[0]).is_file()


CHECKS = dict(nike=check_nike, make=check_make, pip=check_pip, python=check_python, python3=check_python)


def check(command: str) -> None:
    words = shlex.split(command)
    check_option(words) if words[0].startswith("--") else CHECKS[words[0]](words[1:])


@pytest.mark.parametrize("page, command", ALL)
def test_commands_in_the_documentation_exist(page, command):
    check(command)


@pytest.mark.parametrize(
    "command", ["nike train --wieghts=coco", "nike draw x", "make tea", "pip install -e '.[gpus]'", "--negative-photos"]
)
def test_invalid_commands_are_detected(command):
    with pytest.raises((AssertionError, SystemExit)):
        check(command)


def makefile_commands(target: str) -> list[str]:
    """Returns the `nike` commands in the recipe of a target, with variables expanded and without redirections."""
    text = (ROOT / "Makefile").read_text()
    recipe = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", text, re.MULTILINE)[1]
    for name, value in re.findall(r"^(DEMO|BOLTS) = (.*)$", text, re.MULTILINE):
        recipe = recipe.replace(f"$({name})", value)
    return [line.partition(" > ")[0] for line in re.findall(r"^\t\$\(BIN\)/(nike .*)", recipe, re.MULTILINE)]


@pytest.mark.parametrize("command", makefile_commands("demo"))
def test_commands_of_the_demo_exist(command):
    check(command)


@pytest.mark.parametrize("page", [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")], ids=lambda page: page.name)
def test_paragraphs_in_lists_are_indented_by_four_spaces(page):
    """With fewer spaces, the list ends on the documentation site, and its next items become plain text."""
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    assert not re.findall(r"^\n {1,3}\S.*", text, re.MULTILINE)


def test_the_demo_compares_before_and_after_on_held_out_images():
    commands = [command.split() for command in makefile_commands("demo")]
    names = ["synthesize", "synthesize", "evaluate", "detect", "train", "evaluate", "detect"]
    assert [words[1] for words in commands] == names
    before, after = commands[2:4], commands[5:]
    assert all("--weights nike" in " ".join(words) for words in before)
    assert all("--weights last --logs output/demo/logs" in " ".join(words) for words in after)
    assert all(words[2] == "output/demo/data/val" for words in (before[1], after[1]))


def test_commands_are_found():
    commands = block_commands("README.md")
    assert {command.split()[1] for command in commands if command.startswith("nike ")} >= {"train", *RUN_HERE}
    assert "make install" in commands and "make demo" in inline_commands("README.md")
    assert "--negatives DIR" in inline_commands("README.md")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "tiny.h5"
    config = TinyConfig().copy(NAME="nike", NUM_CLASSES=2, DETECTION_MIN_CONFIDENCE=0.5)
    MaskRCNN("inference", config, path.parent).save_weights(path)
    return path


@pytest.fixture
def reader(tmp_path, monkeypatch, weights):
    """Creates a folder with the images, labelled images and training run that the commands of the README expect."""
    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    policy = keras.config.dtype_policy()
    for folder in ("photos", "my_photos", "nike/sample_data", "logs/nike20260101T1200"):
        Path(folder).mkdir(parents=True)
    random = np.random.default_rng(0)
    for path in ("photo.jpg", "photos/a.jpg", "nike/sample_data/b.jpg", *(f"my_photos/{i}.png" for i in range(5))):
        Image.fromarray(random.integers(0, 256, (60, 80, 3), dtype=np.uint8)).save(path)
    with new_video("clip.mp4", 10, (60, 80)) as add:
        add(random.integers(0, 256, (60, 80, 3), dtype=np.uint8))
    shape = {"label": "nike", "points": [[20, 20], [60, 15], [50, 45]], "shape_type": "polygon", "flags": {}}
    for i in range(5):
        labels = {"version": "5.0", "flags": {}, "shapes": [shape], "imagePath": f"{i}.png", "imageData": None}
        Path(f"my_photos/{i}.json").write_text(json.dumps(labels | {"imageHeight": 60, "imageWidth": 80}))
    for epoch in ("0001", "best"):
        Path(f"logs/nike20260101T1200/mask_rcnn_nike_{epoch}.h5").write_bytes(weights.read_bytes())
    yield tmp_path
    keras.config.set_dtype_policy(policy)


def is_quick(command: str) -> bool:
    """Returns whether a command is quick and has no placeholder in capitals, such as DATA."""
    return command.split()[1] in RUN_HERE and not re.search(r"\b[A-Z]{4,}\b", command)


@pytest.mark.parametrize("command", filter(is_quick, block_commands("README.md")))
def test_quick_commands_run(reader, command, capsys):
    arguments = shlex.split(command)[1:]
    assert cli.main(arguments) == 0, capsys.readouterr().err
    for option, name in zip(arguments, arguments[1:], strict=False):
        if option in ("--output", "--html"):
            assert Path(name).exists()


@pytest.mark.parametrize("code", blocks("README.md", "python"))
def test_python_blocks_run(reader, weights, code):
    for name in re.findall(r'"([^"\n]+\.h5)"', code):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(weights.read_bytes())
    left: dict = {}
    exec(compile(code, "README.md", "exec"), left)
    assert set(left["result"].keys()) == {"rois", "class_ids", "scores", "masks"}
