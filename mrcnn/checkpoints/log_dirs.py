"""Log folders and checkpoint files, named like Matterport's: `logs/<name><time>/mask_rcnn_<name>_<epoch>.h5`."""

import datetime
import re
from pathlib import Path

CHECKPOINT = re.compile(r"^mask_rcnn_.*_(\d{4})\.h5$")
LOG_DIR = re.compile(r"^.*?(\d{8}T\d{4})$")


class CheckpointPath(str):
    """A path whose item 1 is the path itself, for scripts written for Matterport 2.1, which returned a pair."""

    def __getitem__(self, key):
        return str(self) if isinstance(key, int) and key == 1 else super().__getitem__(key)


def new_log_dir(model_dir: str | Path, name: str | None) -> Path:
    """Returns a new log folder `<model_dir>/<name><yyyymmdd>T<hhmm>`, which is not created.

    If the folder of the current minute exists, the next unused minute is taken.
    """
    time = datetime.datetime.now()
    while (folder := Path(model_dir) / f"{(name or '').lower()}{time:%Y%m%dT%H%M}").exists():
        time += datetime.timedelta(minutes=1)
    return folder


def checkpoint_pattern(log_dir: str | Path, name: str | None) -> str:
    """Returns the path of the checkpoints of a run as a format string with `{epoch:04d}`."""
    return str(Path(log_dir) / f"mask_rcnn_{(name or '').lower()}_{{epoch:04d}}.h5")


def parse_checkpoint(path: str | Path) -> tuple[Path, int] | None:
    """Parses the path of a checkpoint into log folder and epoch. Returns None for other paths."""
    path = Path(path)
    match = CHECKPOINT.match(path.name)
    if match is None or LOG_DIR.match(path.parent.name) is None:
        return None
    return path.parent, int(match.group(1))


def run_folders(model_dir: str | Path, name: str | None) -> list[Path]:
    """Returns the log folders of all runs called `name`, newest first."""
    # The full name must match: "nikeshoes" is not a run of "nike".
    pattern = re.compile(re.escape((name or "").lower()) + r"\d{8}T\d{4}")
    root = Path(model_dir)
    folders = [folder for folder in root.iterdir() if pattern.fullmatch(folder.name)] if root.is_dir() else []
    return sorted((folder for folder in folders if folder.is_dir()), reverse=True)


def checkpoints(folder: Path) -> list[Path]:
    """Returns the checkpoints of a run, sorted by epoch."""
    return [file for file in sorted(folder.glob("mask_rcnn_*.h5")) if CHECKPOINT.match(file.name)]


def find_last(model_dir: str | Path, name: str | None) -> Path:
    """Returns the last checkpoint of the newest run called `name` that has one.

    Raises:
        FileNotFoundError: if no run called `name` has a checkpoint.
    """
    prefix, model_dir = (name or "").lower(), Path(model_dir)
    for run in run_folders(model_dir, name):
        if found := checkpoints(run):
            return found[-1]
    expected = model_dir / f"{prefix}<time>" / f"mask_rcnn_{prefix}_<epoch>.h5"
    raise FileNotFoundError(f"{model_dir}: no checkpoint of a run {prefix!r} (expected {expected}). Train first.")
