"""New run folders, and finished or interrupted runs of the same rows and settings.

`pipeline/runs.py` lists the files of a run folder and reads them.
"""

from __future__ import annotations

import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from data_manifests.errors import ManifestError
from data_manifests.versions import Store, Version, tool_versions
from pipeline.runs import ABOUT, CONFIG, Run, runs_folder, serials
from train.settings import TrainSettings


def new_run(store: Store, version: Version, settings: TrainSettings) -> Run:
    """Make the folder of the next run of a version, with config.yaml and run.json.

    The serial number is free once the folder can be made, so two processes never share one.
    """
    runs_folder(store).mkdir(parents=True, exist_ok=True)
    while True:
        serial = max((number for name, number in serials(store) if name == version.name), default=0) + 1
        run = Run(runs_folder(store) / f"{version.name}-{serial:04d}")
        try:
            run.path.mkdir()
        except FileExistsError:
            continue
        run.write(CONFIG, yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False).encode())
        about = {
            "run": run.name,
            "state": "started",
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "manifest": version.ref,
            "content_hash": version.content_hash,
            "age_cuts": list(version.age_cuts),
            "seed": settings.seed,
            "command": command_line(),
            "tools": tool_versions(),
            "history": [_as_dict(entry) for entry in ancestors(store, version)],
        }
        run.write_json(ABOUT, about)
        return run


def same_run(store: Store, version: Version, settings: TrainSettings) -> Run | None:
    """Return the newest run of these rows, settings and tools that has not failed and that no process is training."""
    wanted = settings.model_dump(mode="json")
    numbers = sorted(serial for name, serial in serials(store) if name == version.name)
    for serial in reversed(numbers):
        run = Run(runs_folder(store) / f"{version.name}-{serial:04d}")
        if not run.has(ABOUT):
            continue
        about = run.about()
        is_same = (about["content_hash"], about["tools"]) == (version.content_hash, tool_versions())
        if is_same and about["state"] != "failed" and run.settings() == wanted and run.is_free():
            return run
    return None


def command_line() -> str:
    """Return the command of this process, without the path of the toolkit."""
    program, *words = sys.argv
    module = Path(program).parent.name if Path(program).name == "__main__.py" else ""
    return shlex.join(["python", "-m", module, *words] if module else [Path(program).name, *words])


def ancestors(store: Store, version: Version) -> list[Version]:
    """Return a version and every version that it was made from, the newest first, without those gone from the store."""
    found: dict[str, Version] = {}
    queue = [version]
    while queue:
        entry = queue.pop(0)
        if entry.ref in found:
            continue
        found[entry.ref] = entry
        for parent in entry.parents:
            try:
                queue.append(store.version(parent.split("#")[0]))
            except ManifestError:
                continue
    return list(found.values())


def _as_dict(version: Version) -> dict[str, Any]:
    return {
        "ref": version.ref,
        "operation": version.operation,
        "parents": list(version.parents),
        "parameters": dict(version.parameters),
        "seed": version.seed,
        "rows": version.rows,
        "ledger": dict(version.ledger),
        "content_hash": version.content_hash,
        "created": version.created,
    }
