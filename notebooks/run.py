"""Executes the notebooks from top to bottom. With `--save`, they are stored with their outputs and small figures.

python notebooks/run.py                    all notebooks, in order
python notebooks/run.py --save 01 04       two notebooks, stored with their outputs
"""

import argparse
import base64
import io
import os
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellControlSignal, DeadKernelError
from PIL import Image

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # inherited by the kernels; speeds up training, see `nike.train`

FOLDER = Path(__file__).resolve().parent
CELL_SECONDS = 600  # timeout of a cell; ten times the duration on an idle machine
FIGURE_WIDTH, JPEG_QUALITY = 800, 85  # maximum width in pixels of stored figures, and quality of photographs
# Excludes messages that TensorFlow's C++ code writes to stderr from the outputs.
KERNEL_ARGUMENTS = ["--IPKernelApp.capture_fd_output=False"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="prefix of a file name, such as 04 (default: all notebooks)")
    parser.add_argument("--save", action="store_true", help="store the outputs in the notebooks")
    arguments = parser.parse_args()
    paths = [p for p in sorted(FOLDER.glob("*.ipynb")) if p.name.startswith(tuple(arguments.names) or "")]
    if not paths:
        parser.error(f"no notebook in {FOLDER} has a name that starts with {' or '.join(arguments.names)}")
    started = time.perf_counter()
    failed = [path.name for path in paths if not run(path, arguments.save)]
    print(f"{len(paths) - len(failed)} of {len(paths)} notebooks ran, {time.perf_counter() - started:.0f} s")
    return 1 if failed else 0


def run(path: Path, save: bool) -> bool:
    """Executes a notebook in its folder, as Jupyter does. Prints the duration, and the error if it fails."""
    notebook = nbformat.read(path, as_version=4)
    options = dict(kernel_name="python3", extra_arguments=KERNEL_ARGUMENTS, coalesce_streams=True)
    client = NotebookClient(notebook, timeout=CELL_SECONDS, **options)
    started = time.perf_counter()
    try:
        client.execute(cwd=str(FOLDER))
    except (CellControlSignal, DeadKernelError) as error:  # an error or timeout of a cell, or a killed kernel
        print(f"{path.name}: failed after {time.perf_counter() - started:.0f} s\n{error}", flush=True)
        return False
    print(f"{path.name}: {time.perf_counter() - started:.0f} s", flush=True)
    if save:
        store(tidy(notebook), path)
    return True


def tidy(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Removes metadata and paths that differ between runs or machines, and shrinks the figures."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata = nbformat.from_dict({"kernelspec": kernel, "language_info": {"name": "python"}})
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({})
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                output.data |= small_figure(output.data.pop("image/png"))
            if "text" in output:
                output.text = output.text.replace(f"{FOLDER.parent}{os.sep}", "")
    return notebook


def small_figure(encoded: str) -> dict[str, str]:
    """Limits the width of a base64-encoded PNG and encodes it as PNG or JPEG, whichever is smaller.

    Plots are smaller as PNG, which is lossless, and photographs are smaller as JPEG.

    Returns:
        The figure as base64 by MIME type, as in the `data` of a cell's output.
    """
    figure = Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB")
    if figure.width > FIGURE_WIDTH:
        height = round(figure.height * FIGURE_WIDTH / figure.width)
        figure = figure.resize((FIGURE_WIDTH, height), Image.Resampling.LANCZOS)
    files = {"image/png": io.BytesIO(), "image/jpeg": io.BytesIO()}
    figure.save(files["image/png"], "PNG", optimize=True)
    figure.save(files["image/jpeg"], "JPEG", quality=JPEG_QUALITY, optimize=True)
    mime = min(files, key=lambda mime: files[mime].tell())
    return {mime: base64.b64encode(files[mime].getvalue()).decode()}


def store(notebook: nbformat.NotebookNode, path: Path) -> None:
    """Writes a notebook under a temporary name and moves it into place."""
    temporary = path.with_suffix(".part")
    nbformat.write(notebook, temporary)
    os.replace(temporary, path)


if __name__ == "__main__":
    sys.exit(main())
