"""Time and memory of an audit: python -m benchmarks.audit_time [--persons N] [--scored N] [--jobs N] [--json]

Two runs of `facecurate audit run`, each in its own process. The memory of all its processes is read twice a second
(shared pages counted once: PSS). `look`: rendered people, seven photos of 384×512 each, without kept results; the
seconds include start and report. `score`: N photos with kept results, whose vectors are drawn from their labels: the
cost of a run after corrections. `minutes_for_18900` is wall-clock time on this machine, with its other load;
`cpu_minutes_for_18900` is processor time.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from audit.features.extract import describe_step
from audit.features.face_vectors import pack
from audit.settings import AuditSettings
from benchmarks._processes import held_mb
from benchmarks.manifests import draw_manifest
from data_manifests.ingest import LAYOUTS
from data_manifests.taxonomy import GENDERS, MASKS, AgeCuts
from data_manifests.versions.store import Store
from pipeline.results import open_results
from pipeline.stage import IDENTITY
from pipeline.step import result_key
from synth.demo_faces.dataset.demo_dataset import write_demo

PHOTOS = 18_900
ROOT = Path(__file__).resolve().parent.parent
Figures = dict[str, float]


def audit_in_a_process(workspace: Path, name: str, jobs: int) -> Figures:
    """Return seconds, processor seconds and peak memory in MB of one `audit run`, all of its processes together."""
    environment = {**os.environ, "WORKSPACE": str(workspace), "OMP_NUM_THREADS": "1"}
    before, start, peak = _children_cpu_s(), time.perf_counter(), 0.0
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "audit", "run", name, "--jobs", str(jobs)],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=output,
        )
        while process.poll() is None:
            peak = max(peak, held_mb(process.pid))
            time.sleep(0.5)  # a shorter interval slows the run down
        if process.returncode:
            output.seek(0)
            raise SystemExit(f"the audit stopped with {process.returncode}: {output.read()[-2000:]}")
    return {"seconds": time.perf_counter() - start, "cpu_s": _children_cpu_s() - before, "peak_mb": peak}


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def look(folder: Path, persons: int, jobs: int) -> Figures:
    """Measure an audit of rendered people without kept results."""
    demo = folder / "demo"
    write_demo(demo, persons, 6)
    store = Store(folder / "look")
    table = LAYOUTS["profiles"](demo, root_name="demo", cuts=AgeCuts())
    store.set_root("demo", demo)
    store.write("demo", table, "ingest")
    found = audit_in_a_process(store.workspace, "demo", jobs)
    share = PHOTOS / table.num_rows
    return {
        "photos": table.num_rows,
        **found,
        "cpu_ms_a_photo": 1000 * found["cpu_s"] / table.num_rows,
        "minutes_for_18900": found["seconds"] * share / 60,
        "cpu_minutes_for_18900": found["cpu_s"] * share / 60,
    }


def score(folder: Path, rows: int) -> Figures:
    """Measure an audit of photos with kept results."""
    rng = np.random.default_rng(0)
    store = Store(folder / "score")
    store.set_root("photos", folder)
    table = draw_manifest(rows, rng)
    table = table.set_column(table.column_names.index("root"), "root", pa.array(["photos"] * rows))
    store.write("people", table, "ingest")
    keep_drawn_results(store, rng)
    return {"photos": rows, **audit_in_a_process(store.workspace, "people", 1)}


def keep_drawn_results(store: Store, rng: np.random.Generator) -> None:
    """Keep a result of `describe` for every row: a vector per person, gender, age and mask, and noise."""
    table = store.read("people").table
    frame = table.select(["person_id", "gender", "age", "mask"]).to_pandas()
    person = frame["person_id"].astype("category").cat.codes.to_numpy()
    own = rng.standard_normal((person.max() + 1, 128)).astype(np.float32) * 0.12
    ways = {name: rng.standard_normal(2048).astype(np.float32) for name in ("gender", "age")}
    states = rng.standard_normal((len(MASKS), 768)).astype(np.float32)
    steps = [describe_step(AuditSettings())]
    with open_results(store.workspace / "cache" / "results.sqlite") as cache:
        for row, record in enumerate(table.select([*IDENTITY, "landmarks_xy"]).to_pylist()):
            gender, age = GENDERS.index(frame["gender"][row]), frame["age"][row]
            about = ways["gender"] * gender + ways["age"] * (age - 40) / 40
            columns = {
                "identity": pack(own[person[row]] + rng.standard_normal(128).astype(np.float32) * 0.03),
                "appearance": pack(about * 0.3 + rng.standard_normal(2048).astype(np.float32)),
                "lower_face": pack(
                    states[MASKS.index(frame["mask"][row])] * 0.5 + rng.standard_normal(768).astype(np.float32)
                ),
                "blur_score": 0.9, "exposure_score": 0.9, "face_size_score": 1.0, "grey": False, "border": False,
                "faces": 1, "hash": f"{int(rng.integers(0, 1 << 63)):016x}",
                "copy": base64.b64encode(rng.integers(0, 255, 768, dtype=np.uint8).tobytes()).decode(),
            }  # fmt: skip
            cache.put(result_key(steps, record), {"status": "ok", "reason": "", "columns": columns, "picture": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--persons", type=int, default=290, help="render this many people, seven photos each")
    parser.add_argument("--scored", type=int, default=PHOTOS, help="score this many photos with kept results")
    parser.add_argument("--jobs", type=int, default=1, help="look with this many workers")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        figures = {"score": score(Path(name), options.scored), "look": look(Path(name), options.persons, options.jobs)}
    figures = {run: {key: round(value, 1) for key, value in found.items()} for run, found in figures.items()}
    print(json.dumps(figures) if options.json else json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
