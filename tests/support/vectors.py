"""Where the published vectors stand: read in place, never copied."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

_ROOT = Path(__file__).resolve().parents[2]


def vectors(name: str) -> Any:
    """The parsed file, or a skip that says where it was looked for."""
    folder = Path(os.environ.get("OPENTILL_VECTORS", _ROOT.parent / "shared" / "vectors"))
    path = folder / name
    if not path.exists():
        pytest.skip(f"no vectors at {path} (set OPENTILL_VECTORS)", allow_module_level=True)
    return json.loads(path.read_text())
