"""Time to the first page and to the suspects: python -m benchmarks.doctor [PHOTOS] [--persons N] [--json]

Runs `facecurate doctor` in its own process, in an empty workspace, on PHOTOS or on rendered people with seven photos of
384×512 each. `first_page_s` counts from the start of the process until the page with counts and pictures is on the
disk, `total_s` until the command has ended; `…_cpu_s` is the processor time until then, which other programs do not
lengthen as much. Memory is that of all its processes (shared pages counted once: PSS).
The baseline counts the same photos as scripts do, with Pillow and pandas: size, hash and decoding of each file, and a
table of the labels. It finds no wrong label.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
from PIL import Image

from benchmarks._processes import held_mb, used_cpu_s
from pipeline.photos import find_pictures
from synth.demo_faces.dataset.demo_dataset import write_demo

ROOT = Path(__file__).resolve().parent.parent
Figures = dict[str, float]


def doctor_in_a_process(photos: Path, folder: Path) -> Figures:
    """Return the seconds to the first page and to the end, and the peak memory in MB, of one `facecurate doctor`."""
    page = folder / "page.html"
    environment = {**os.environ, "WORKSPACE": str(folder / "workspace"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "facecurate", "doctor", str(photos), "--out", str(page), "--no-open"]
    start, first, peak, first_cpu, cpu = time.perf_counter(), 0.0, 0.0, 0.0, 0.0
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
        while process.poll() is None:
            cpu = max(cpu, used_cpu_s(process.pid))
            if not first and page.exists():
                first, first_cpu = time.perf_counter() - start, cpu
            peak = max(peak, held_mb(process.pid))
            time.sleep(0.2)
        output.seek(0)
        text = output.read()
    if process.returncode or "not searched" in text:
        raise SystemExit(f"the doctor stopped with {process.returncode}: {text[-2000:]}")
    total = time.perf_counter() - start
    return {
        "first_page_s": first, "first_page_cpu_s": first_cpu, "total_s": total, "total_cpu_s": cpu, "peak_mb": peak,
        "page_kb": page.stat().st_size / 1024,
    }  # fmt: skip


def count_with_pandas(photos: Path) -> float:
    """Return the seconds of the baseline: every file is hashed and decoded, and the values of each column counted."""
    start = time.perf_counter()
    rows = []
    for name in find_pictures(photos):
        data = (photos / name).read_bytes()
        with Image.open(photos / name) as image:
            image.load()
            rows.append({"path": name, "sha256": hashlib.sha256(data).hexdigest(), "size": image.size})
    table = pd.DataFrame(rows)
    for column in table:
        table[column].value_counts()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", nargs="?", type=Path, help="examine this folder instead of rendered people")
    parser.add_argument("--persons", type=int, default=143, help="render this many people, seven photos each")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        photos = options.photos or Path(name) / "photos"
        if not options.photos:
            write_demo(photos, options.persons, 6)
        count = len(find_pictures(photos))
        figures = doctor_in_a_process(photos, Path(name))
        figures |= {"pandas_s": count_with_pandas(photos), "photos": count}
    for run in ("first_page_s", "first_page_cpu_s", "total_s", "total_cpu_s"):
        figures[f"{run}_per_1000"] = 1000 * figures[run] / count
    figures = {key: round(value, 1) for key, value in figures.items()}
    print(json.dumps(figures) if options.json else json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
