"""Settings files for `Config`, in JSON or YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mrcnn.errors import UserError
from nike.datasets.safe_json import read_json


def read_config_file(path: Path) -> dict[str, Any]:
    """Reads settings by name.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if the file is not valid JSON or YAML.
    """
    if not path.is_file():
        raise FileNotFoundError(f"--config: {path}: no such file. Check the path.")
    if path.suffix.lower() not in (".yaml", ".yml"):
        return read_json(path)
    import yaml

    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML ({' '.join(str(error).split())}).") from None
