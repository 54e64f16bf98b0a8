"""A workspace for the curation app, a server on it, and a browser that measures from key to picture."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import pyarrow as pa

from benchmarks.manifests import draw_manifest
from data_manifests.taxonomy import SHOTS
from data_manifests.versions.metadata import Version
from data_manifests.versions.store import Store
from pipeline.photos.images import save_rgb

ROOT = Path(__file__).resolve().parent.parent
_TIMEOUT_MS = 300_000  # for a busy machine
_SUSPECTS = 0.1  # share of people with a suggestion

# From a key to the frame in which the next person's pictures are painted.
MEASURE = """() => {
  const review = [...document.querySelectorAll('*')].find((e) => e.shadowRoot?.querySelector('.review')).shadowRoot;
  window.waits = [];
  let pressed = null;
  window.addEventListener('keydown', (event) => { if (event.key === 'Enter') pressed = performance.now(); }, true);
  new MutationObserver(() => {
    if (pressed === null) return;
    const began = pressed;
    pressed = null;
    requestAnimationFrame(() => requestAnimationFrame(() => window.waits.push(performance.now() - began)));
  }).observe(review.querySelector('.strip'), { childList: true });
}"""


def draw_workspace(folder: Path, rows: int, people_drawn: int, height_px: int = 512) -> Version:
    """Write a manifest `people` of `rows` photos, seven for each person, with the columns of an audit.

    Pictures are drawn for `people_drawn` people; further people have ids of their own and share these files, in the
    same order.
    """
    rng = np.random.default_rng(0)
    drawn = min(rows, people_drawn * len(SHOTS))
    photos = folder / "photos"
    hashes, paths = [], []
    for number in range(drawn):
        saved = save_rgb(
            _picture(rng, height_px), photos, f"p{number // len(SHOTS):04d}/{SHOTS[number % len(SHOTS)]}.jpg"
        )
        hashes.append(saved.sha256)
        paths.append(saved.path)
    table = draw_manifest(rows, rng)
    which = pa.array(np.arange(rows) % drawn)
    person = np.arange(rows) // len(SHOTS)
    people = int(person[-1]) + 1
    suspect = rng.random(people) < _SUSPECTS
    rank = np.empty(people, np.int32)
    rank[np.lexsort((rng.random(people), ~suspect))] = np.arange(1, people + 1)
    gender = np.array(table["gender"].to_pylist(), object)
    other = np.where(gender == "male", "female", "male")
    columns = {
        "sha256": pa.array(hashes).take(which),
        "path": pa.array(paths).take(which),
        "root": pa.array(["photos"] * rows),
        "audit_rank": pa.array(rank[person]),
        "gender_label_score": pa.array(np.where(suspect[person], 0.05, 0.99).astype(np.float32)),
        "suggested_gender": pa.array(other, mask=~suspect[person]),
        "audit_reason": pa.array(["gender: labelled otherwise than predicted (0.95)"] * rows, mask=~suspect[person]),
    }
    for name, column in columns.items():
        table = table.set_column(table.column_names.index(name), name, column)
    store = Store(folder)
    store.set_root("photos", photos)
    return store.write("people", table, "ingest")


def _picture(rng: np.random.Generator, height_px: int) -> np.ndarray:
    """Draw soft colours and some grain, with about as many bytes as a portrait."""
    width_px = height_px * 3 // 4
    coarse = cv2.resize(
        rng.integers(40, 215, (8, 6, 3)).astype(np.float32), (width_px, height_px), None, 0, 0, cv2.INTER_CUBIC
    )
    return np.clip(coarse + rng.normal(0, 4, coarse.shape), 0, 255).astype(np.uint8)


@contextmanager
def serving(workspace: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run `streamlit run curation_app` on a free port; provide its address and process."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "curation_app", "--server.port", str(port), "--"]
    process = subprocess.Popen(
        [*command, "--workspace", str(workspace)],
        cwd=ROOT, env=os.environ | {"PYTHONUNBUFFERED": "1"}, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _wait(f"http://localhost:{port}", process)
        yield f"http://localhost:{port}", process
    finally:
        process.kill()
        process.wait()


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            urllib.request.urlopen(f"{url}/_stcore/health", timeout=5).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("error: the server did not start; run `streamlit run curation_app` to see why.")


@contextmanager
def browsing(width: int = 1280, height: int = 900) -> Iterator[Any]:
    """Provide a page of a headless Chromium."""
    from playwright.sync_api import sync_playwright

    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if not found:
        raise SystemExit("error: Chromium is not installed: apt-get install chromium")
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=found, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(_TIMEOUT_MS)
        yield page
        browser.close()


def memory_mb(pid: int) -> tuple[float, float]:
    """Return the resident memory of a process: current and peak."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(status["VmRSS"].split()[0]) / 1024, int(status["VmHWM"].split()[0]) / 1024


def processor_s() -> float:
    """Return the processor time of all processes that this one has started, the browser among them."""
    times = [child.cpu_times() for child in psutil.Process().children(recursive=True)]
    return sum(one.user + one.system for one in times)
