"""Settings files for `Config`, in JSON or YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mrcnn.errors import UserError
from nike.datasets.safe_json import read_json

STAGES = "STAGES"  # the stages of `nike train --stages`; the other names are settings of `Config`


def read_config_file(path: Path) -> dict[str, Any]:
    """Reads the settings of `Config` by name, without the training stages.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if the file is not valid JSON or YAML, or contains no names.
    """
    return {name: value for name, value in read_raw_config_file(path).items() if name != STAGES}


def read_raw_config_file(path: Path) -> dict[str, Any]:
    """Reads all values of a settings file by name. Raises the exceptions of `read_config_file`."""
    if not path.is_file():
        raise FileNotFoundError(f"--config: {path}: no such file. Check the path.")
    if path.suffix.lower() not in (".yaml", ".yml"):
        content = read_json(path)
    else:
        import yaml

        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: not valid YAML ({' '.join(str(error).split())}).") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected an object of settings by name, got {type(content).__name__}.")
    return content
