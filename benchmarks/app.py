"""Measure the response times of the curation app: python -m benchmarks.app [--rows N] [--people N] [--json]

A headless Chromium opens the Review page on a drawn manifest of N rows, seven photos of 384×512 for each person.
`next_ms` is the time from the key that accepts a person to the frame with the next person's pictures, over `--people`
of them, each shown for 0.3 s; the correction is on the disk by then. `hasty_ms` is the same without a pause.
`first_page_s` is the time from the address to the first pictures, asked for as soon as a new server answers;
`later_page_s` the same for a second visit; `grid_s` and `overview_s` are the times from the address to the whole page,
at its first visit. `later_page_cpu_s`, `grid_cpu_s` and `overview_cpu_s` are the processor times of server and browser
meanwhile. `server_mb` is the server's memory at the end, `server_peak_mb` its peak. Thumbnails are made on
demand: none exists before. `next_cpu_ms` is the processor time of server and browser for each person, with drawing in
software; on a busy machine it is more reliable than the clock.

`--session` plays a review of rendered people with planted errors (`synth demo`) instead, by suspicion and by id. The
annotator is a robot that has the ground truth, needs no time to look and makes no mistake. So the figures are the
app's own share: the number of keys, the time it takes, and how early the errors are shown. The time that a person
needs to look is extra.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._app_server import MEASURE, ROOT, browsing, draw_workspace, memory_mb, processor_s, serving
from curation_app.annotations.log_files import log_path
from curation_app.images.manifest_rows import ManifestRows, load_manifest_rows
from curation_app.review.cards import card_of
from curation_app.review.order import number_of
from curation_app.shell.keyboard import LABEL_KEYS
from data_manifests.corrections.apply import apply_corrections
from data_manifests.corrections.log import read_corrections
from data_manifests.taxonomy import AgeCuts, age_class_of
from data_manifests.versions.store import Store

LOOK_S = 0.3
DEPTHS = (0.05, 0.10, 0.20, 1.0)
_PAGES = {"grid": re.compile(r"of [\d,]+ photos"), "overview": re.compile("Dataset report")}  # drawn last
_AGE_KEYS = list(LABEL_KEYS["age"].values())
_OTHER_PERSON = ("stranger", "duplicate")  # errors of pictures that show another person


def measure(rows: int, people: int) -> dict[str, float]:
    """Return the response times with this number of rows."""
    with tempfile.TemporaryDirectory() as name:
        workspace = Path(name)
        draw_workspace(workspace, rows, min(2 * people + 20, rows // 7))
        with browsing() as page, serving(workspace) as (url, server):
            began = time.perf_counter()
            _open(page, f"{url}/?by=first")
            figures = {"first_page_s": time.perf_counter() - began}
            with _timed(figures, "later_page"):
                _open(page, f"{url}/?by=robot")
            page.evaluate(MEASURE)
            for title, pause in (("next", LOOK_S), ("hasty", 0.0)):
                used = processor_s()
                waits = _accept(page, people, pause)
                figures[f"{title}_cpu_ms"] = 1000 * (processor_s() - used) / people
                figures[f"{title}_ms_p50"] = float(np.percentile(waits, 50))
                figures[f"{title}_ms_p95"] = float(np.percentile(waits, 95))
            for title, last in _PAGES.items():
                with _timed(figures, title):
                    page.goto(f"{url}/{title}?by=robot")
                    page.get_by_text(last).first.wait_for()
            figures["server_mb"], figures["server_peak_mb"] = memory_mb(server.pid)
        lines = (workspace / "corrections" / "people" / "robot.csv").read_text("utf8").splitlines()
        assert sum(",unsure,false,false,robot," in line for line in lines) == 2 * people  # all of them were saved
    return figures


@contextmanager
def _timed(figures: dict[str, float], title: str) -> Iterator[None]:
    """Add the seconds that the body takes, and the processor time."""
    began, used = time.perf_counter(), processor_s()
    yield
    figures |= {f"{title}_s": time.perf_counter() - began, f"{title}_cpu_s": processor_s() - used}


def _open(page: Any, address: str) -> None:
    page.goto(address)
    page.locator(".strip img").nth(6).wait_for()


def _accept(page: Any, people: int, pause_s: float) -> list[float]:
    """Accept this number of people. Return the milliseconds from each key to the next person."""
    page.evaluate("window.waits = []")
    for number in range(people):
        page.wait_for_timeout(1000 * pause_s)
        page.keyboard.press("Enter")
        page.wait_for_function(f"window.waits.length > {number}")
    return page.evaluate("window.waits")


def play(persons: int) -> list[dict[str, Any]]:
    """Play a session for each order. Return keys, seconds, and the errors found at each depth."""
    with tempfile.TemporaryDirectory() as name:
        workspace = Path(name)
        photos = workspace / "demo"
        _run(workspace, "synth", "demo", str(photos), "--persons", str(persons), "--seed", "1")
        _run(workspace, "data_manifests", "ingest", str(photos), "--layout", "profiles", "--name", "demo")
        _run(workspace, "audit", "run", "demo", "--tag", "audited")
        with (photos / "truth.csv").open(encoding="utf8", newline="") as file:
            truth = list(csv.DictReader(file))
        return [_play(workspace, truth, order) for order in ("suspicion", "id")]


def _run(workspace: Path, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env=os.environ | {"WORKSPACE": str(workspace)},
        capture_output=True,
    )
    if done.returncode:
        raise SystemExit(done.stderr.decode())


def _play(workspace: Path, truth: list[dict[str, str]], order: str) -> dict[str, Any]:
    """Play one session. A person's errors count as found once the robot has saved the person with correct labels."""
    manifest = load_manifest_rows(Store(workspace), "demo@audited")
    shots: dict[str, list[dict[str, str]]] = {}
    for row in truth:
        shots.setdefault(Path(row["path"]).parent.name.split("_")[0], []).append(row)
    planted = {person for person, rows in shots.items() if any(row["error"] for row in rows)}
    shutil.rmtree(workspace / "corrections", ignore_errors=True)  # each order starts with no person seen
    found, keys, curve = 0, 0, {}
    marks = {math.ceil(depth * len(shots)): depth for depth in DEPTHS}
    with browsing() as page, serving(workspace) as (url, _):
        _open(page, f"{url}/?by=robot-{order}&manifest=demo@audited&queue={order}")
        page.evaluate(MEASURE)
        began = time.perf_counter()
        for number in range(1, len(shots) + 1):
            person = page.locator(".person").inner_text()
            pressed = [*_keys(_card(manifest, person), shots[person]), "Enter"]
            for key in pressed:
                page.keyboard.press(key)
            page.wait_for_function(f"window.waits.length >= {number}")
            keys, found = keys + len(pressed), found + (person in planted)
            if number in marks:
                curve[f"{marks[number]:.0%}"] = found
        seconds = time.perf_counter() - began
    _check(workspace, truth, order)
    return {
        "order": order,
        "people": len(shots),
        "planted": len(planted),
        "found": curve,
        "keys_per_100": round(100 * keys / len(shots), 1),
        "seconds_per_100": round(100 * seconds / len(shots), 1),
    }


def _check(workspace: Path, truth: list[dict[str, str]], order: str) -> None:
    """Check that the log, once applied, gives the ground truth; otherwise the errors counted as found are wrong."""
    store = Store(workspace)
    version = store.version("demo@audited")
    log = read_corrections([log_path(store, version, f"robot-{order}")])
    table, report = apply_corrections(store.read(version.ref).table, log, AgeCuts(*version.age_cuts), seed=0)
    assert report.counts["conflict"] == report.counts["unplaced"] == 0, report.counts
    truth_of = {row["path"]: row for row in truth}
    for row in table.select(["path", "person_id", "mask", "gender", "age_class", "status"]).to_pylist():
        right = truth_of[row["path"]]
        if right["person_id"] != row["person_id"]:
            assert row["status"] == "excluded", row
        else:
            assert (row["mask"], row["gender"]) == (right["mask"], right["gender"]), row
            assert row["age_class"] == _age_class(right["age"]), row


def _card(manifest: ManifestRows, person: str) -> dict[str, Any]:
    """Return the card of a person as the Review page shows it."""
    return card_of(manifest.records(manifest.rows_of(number_of(manifest, person))), {}, [])


def _keys(card: dict[str, Any], truth: list[dict[str, str]]) -> list[str]:
    """Return the fewest keys that correct a person's labels, with the suggestions or without."""
    own = next(row for row in truth if not row["error"] or row["error"] not in _OTHER_PERSON)
    by_shot = {Path(row["path"]).stem.replace("_", " "): row for row in truth}
    right = [
        {
            "mask": by_shot[shot["name"]]["mask"],
            "gender": own["gender"],
            "age": _age_class(own["age"]),
            "exclude": str(by_shot[shot["name"]]["error"] in _OTHER_PERSON).lower(),
        }
        for shot in card["shots"]
    ]
    shown = [dict(shot["labels"]) for shot in card["shots"]]
    suggested = [
        labels
        | {field: suggestion["value"] for field, suggestion in card["suggest"].items()}
        | {"mask": shot["suggest"]["mask"] or labels["mask"]}
        for labels, shot in zip(shown, card["shots"], strict=True)
    ]
    chosen = next((place for place, shot in enumerate(card["shots"]) if shot["suspect"]), 0)
    ways = [_edits(shown, right, chosen)]
    if suggested != shown:
        ways.append(["s", *_edits(suggested, right, chosen)])
    return min(ways, key=len)


def _edits(shots: list[dict[str, Any]], right: list[dict[str, Any]], chosen: int) -> list[str]:
    """Return the keys from labels to the right ones, with shot `chosen` chosen already."""
    keys = []
    if shots[0]["gender"] != right[0]["gender"]:
        keys.append(right[0]["gender"][0])
    if _age_class(shots[0]["age"]) != right[0]["age"]:
        keys.append(_AGE_KEYS[right[0]["age"]])
    for place, (shot, wanted) in enumerate(zip(shots, right, strict=True)):
        leaves = wanted["exclude"] == "true"
        needed = ["x"] if leaves else [wanted["mask"][0]] if shot["mask"] != wanted["mask"] else []
        if needed:
            keys += needed if place == chosen else [str(place + 1), *needed]
            chosen = place
    return keys


def _age_class(age: str) -> int:
    return age_class_of(int(float(age)), AgeCuts())


def main() -> None:
    """Measure and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="number of rows of the manifest")
    parser.add_argument(
        "--people", type=int, default=100, help="accept this number of people, with a pause and again without"
    )
    parser.add_argument(
        "--session", action="store_true", help="play a review of rendered people instead, which takes minutes"
    )
    parser.add_argument("--persons", type=int, default=200, help="number of rendered people of --session")
    parser.add_argument("--json", action="store_true", help="print all figures as one JSON object on the last line")
    arguments = parser.parse_args()
    if arguments.session:
        sessions = play(arguments.persons)
        for one in sessions:
            found = ", ".join(f"{count} after {depth}" for depth, count in one["found"].items())
            print(
                f"{one['order']:10} {one['keys_per_100']:6} keys and {one['seconds_per_100']:5} s per 100 people; ",
                end="",
            )
            print(f"of {one['planted']} people with errors found: {found}")
        figures: dict[str, Any] = {"sessions": sessions}
    else:
        figures = {"rows": arguments.rows, "people": arguments.people}
        figures |= {name: round(value, 3) for name, value in measure(arguments.rows, arguments.people).items()}
        for name, value in figures.items():
            print(f"{name:16} {value:>12,}")
    if arguments.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
