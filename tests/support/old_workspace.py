"""A copy of the workspace that version 0.1.0 wrote, and the facts that this version read from it."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

from data_manifests.versions import Store

FIXTURE = Path(__file__).resolve().parents[1] / "fixtures" / "workspace_0_1"
EXPECTED: dict[str, Any] = json.loads((FIXTURE / "expected.json").read_text("utf8"))


def copy_old_workspace(folder: Path) -> Store:
    """Copy the workspace below `folder` and set its root, as its README asks."""
    copy = folder / "workspace_0_1"
    shutil.copytree(FIXTURE, copy)
    store = Store(copy)
    store.set_root("faces", copy / "photos" / "faces")
    return store


def without_nan(value: Any) -> Any:
    """Return nested lists and dicts with NaN as None, as `expected.json` writes it."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
