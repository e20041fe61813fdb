"""Log folders and checkpoint files with Matterport's names: `logs/<name><time>/mask_rcnn_<name>_<epoch>.h5`."""

import datetime
import re
from pathlib import Path

CHECKPOINT = re.compile(r"^mask_rcnn_.*_(\d{4,})\.h5$")
LOG_DIR = re.compile(r"^.*?(\d{8}T\d{4})$")


class CheckpointPath(str):
    """A path that returns itself for index 1, because scripts for Matterport 2.1 expect a pair `(_, path)`."""

    def __getitem__(self, key):
        return str(self) if isinstance(key, int) and key == 1 else super().__getitem__(key)


def new_log_dir(model_dir: str | Path, name: str | None) -> Path:
    """Returns the path of a new log folder `<model_dir>/<name><yyyymmdd>T<hhmm>`. The folder is not created.

    If the folder of the current minute exists, the next unused minute is used.
    """
    time = datetime.datetime.now()
    while (folder := Path(model_dir) / f"{(name or '').lower()}{time:%Y%m%dT%H%M}").exists():
        time += datetime.timedelta(minutes=1)
    return folder


def checkpoint_pattern(log_dir: str | Path, name: str | None) -> str:
    """Returns the path of the checkpoints of a run as a format string with `{epoch:04d}`."""
    prefix = str(Path(log_dir) / f"mask_rcnn_{(name or '').lower()}_")
    return prefix.replace("{", "{{").replace("}", "}}") + "{epoch:04d}.h5"


def parse_checkpoint(path: str | Path) -> tuple[Path, int] | None:
    """Parses the path of a checkpoint into log folder and epoch. Returns None for other paths."""
    path = Path(path)
    match = CHECKPOINT.match(path.name)
    if match is None or LOG_DIR.match(path.parent.name) is None:
        return None
    return path.parent, int(match.group(1))


def run_folders(model_dir: str | Path, name: str | None = None) -> list[Path]:
    """Returns the log folders of all runs called `name`, newest first. With None, runs of any name are returned."""
    # Matches the whole name, so that "nike" does not select runs called "nikeshoes".
    pattern = LOG_DIR if name is None else re.compile(re.escape(name.lower()) + r"(\d{8}T\d{4})")
    root = Path(model_dir)
    folders = [folder for folder in root.iterdir() if pattern.fullmatch(folder.name)] if root.is_dir() else []

    def start(folder: Path) -> tuple[str, float]:
        # Runs with different names may start in the same minute.
        return pattern.fullmatch(folder.name)[1], folder.stat().st_mtime

    return sorted((folder for folder in folders if folder.is_dir()), key=start, reverse=True)


def checkpoints(folder: Path) -> list[Path]:
    """Returns the checkpoints of a run, sorted by epoch."""
    files = [file for file in folder.glob("mask_rcnn_*.h5") if CHECKPOINT.match(file.name)]
    return sorted(files, key=lambda file: (int(CHECKPOINT.match(file.name)[1]), file.name))


def best_or_last(folder: Path) -> Path | None:
    """Returns the checkpoint with the best validation AP of a run, else the last checkpoint, else None."""
    best = sorted(folder.glob("mask_rcnn_*_best.h5"))
    return next(iter(best[-1:] or checkpoints(folder)[-1:]), None)


def find_last(model_dir: str | Path, name: str | None = None) -> Path:
    """Returns the last checkpoint of the newest run called `name`. Runs without checkpoints are skipped.

    If `name` is None, runs of any name are considered.

    Raises:
        FileNotFoundError: if no run called `name` has a checkpoint.
    """
    for run in run_folders(model_dir, name):
        if found := checkpoints(run):
            return found[-1]
    prefix = "<name>" if name is None else name.lower()
    run = "any run" if name is None else f"a run {prefix!r}"
    expected = Path(model_dir) / f"{prefix}<time>" / f"mask_rcnn_{prefix}_<epoch>.h5"
    advice = other_names_hint(model_dir, name) or "Train first."
    raise FileNotFoundError(f"{model_dir}: no checkpoint of {run} (expected {expected}). {advice}")


def other_names_hint(model_dir: str | Path, name: str | None) -> str:
    """Returns a sentence for error messages that lists the names of other runs, or "" if there are none."""
    names = sorted({folder.name[: -len("20260101T1200")] for folder in run_folders(model_dir)} - {""})
    if name is None or not names:
        return ""
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return f"Only runs with this name were searched; the folder has runs named {shown}."


def find_best(model_dir: str | Path, name: str | None = None) -> Path:
    """Returns the checkpoint with the best validation AP of the run that `find_last` selects.

    Raises:
        FileNotFoundError: if there is no such run, or if it has not been validated.
    """
    folder = find_last(model_dir, name).parent
    found = sorted(folder.glob("mask_rcnn_*_best.h5"))
    if not found:
        raise FileNotFoundError(
            f"{folder}: no mask_rcnn_*_best.h5, because the run has not been validated. Use 'last'."
        )
    return found[-1]
