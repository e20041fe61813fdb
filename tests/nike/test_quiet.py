"""Messages of the import of TensorFlow are shown only if the import fails.

The tests replace TensorFlow by a small module, because its import is slow.
"""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
NOISE = "import os; os.write(2, b'cuInit failed\\n')\n"
SCRIPT = "import sys; from nike.quiet import import_tensorflow; import_tensorflow(); print('shown', file=sys.stderr)"


def run(folder, tensorflow: str) -> subprocess.CompletedProcess:
    (folder / "tensorflow.py").write_text(tensorflow)
    environment = os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
    return subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, timeout=60)


def test_messages_are_hidden(tmp_path):
    config = "class config:\n    @staticmethod\n    def list_physical_devices():\n        os.write(2, b'no GPU\\n')\n"
    done = run(tmp_path, NOISE + config)
    assert (done.returncode, done.stderr, done.stdout) == (0, "shown\n", "")


def test_messages_are_hidden_after_ctrl_c(tmp_path):
    done = run(tmp_path, NOISE + "raise KeyboardInterrupt")
    assert done.returncode != 0 and "cuInit" not in done.stderr


@pytest.mark.parametrize("failure", ["raise ImportError('broken wheel')", "config = None"])
def test_messages_are_shown_after_an_error(tmp_path, failure):
    done = run(tmp_path, NOISE + failure)
    assert done.returncode == 1 and done.stderr.startswith("cuInit failed\nTraceback")
