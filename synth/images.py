"""Masks on a plain folder of photos: the tree is kept, and a CSV says what was made of each file, or why nothing was.

    python -m synth images photos masked --mask surgical_blue,kf94,cloth --wear worn,nose_out --seed 7

A photo is read and its face found once for all of its outputs. Results are written as they are made and noted in
`OUT/.results.sqlite`, so a run that was stopped goes on where it was.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from data_manifests.errors import BackendError, StageError
from pipeline.executor import WorkerDied, map_records
from pipeline.faces import LocatedFace, make_locator, require_landmarks
from pipeline.photos import SUFFIXES, checked_folders, find_pictures, load_rgb, save_rgb, write_report
from pipeline.results import ResultCache, open_results
from synth.mask_choices import UNMASKED, Order, Orders
from synth.masks import Scene, UserTemplate, compose, load_templates, measure_scene

REPORT, RESULTS = "synth.csv", ".results.sqlite"
PARTS = ("nose", "mouth", "chin")
COLUMNS = ("file", "output", "mask", "wear", "seed", "status", "reason", "faces", "width_px", "height_px",
           *(f"{part}_covered_score" for part in PARTS), "recipe")  # fmt: skip
Keyed = tuple[str, dict[str, Any]]
_MAX_TEXT = 300  # of a reason: an error of a library can be a page


@dataclass(frozen=True)
class Job:
    """A photo and what is still to be made of it."""

    file: str
    orders: tuple[Order, ...]


@dataclass(frozen=True)
class ImagesResult:
    """`ok + failed = files × outputs`; `others` counts files that are no pictures, by suffix."""

    ledger: Counter[str]
    reused: int
    files: int
    reasons: Counter[str]
    others: Counter[str] = field(default_factory=Counter)

    def lines(self, out: Path) -> list[str]:
        """For people: the commonest reasons, what was left out, then the ledger."""
        ok, failed = self.ledger["ok"], self.ledger["failed"]
        lines = [f"  {count} × {reason}" for reason, count in self.reasons.most_common(8)]
        if self.others:
            named = ", ".join(f"{suffix or 'no suffix'} {count}" for suffix, count in self.others.most_common(6))
            lines.append(f"  {self.others.total()} other files left out: {named}")
        total = f"{ok + failed} ({self.files} files × {(ok + failed) // max(self.files, 1)} outputs)"
        return [*lines, f"images: ok {ok} + failed {failed} = {total}; {self.reused} reused; wrote {out / REPORT}"]


def run_images(
    src: Path,
    out: Path,
    masks: Sequence[str],
    wears: Sequence[str],
    *,
    seed: int = 0,
    templates: Path | None = None,
    jobs: int | None = None,
    executor: str = "pool",
) -> ImagesResult:
    """Put every mask in every wear on the main face of every picture below `src`; results and `synth.csv` below `out`.

    `masks` and `wears` are words of `synth.mask_choices`; the mask "none" gives the photo itself, once.
    A photo that cannot be used gives failed rows with the reason and
    never stops the others. Raises StageError for a bad pair of folders, ConfigError for a broken template folder.
    """
    src, out = checked_folders(src, out)
    own = load_templates(templates) if templates else {}
    files = find_pictures(src)
    orders = Orders(src, files, list(masks), list(wears), seed, own)
    out.mkdir(parents=True, exist_ok=True)
    with open_results(out / RESULTS) as cache:
        made, died = _make_missing(cache, orders, src, out, templates, jobs or os.cpu_count() or 1, executor)
        ledger, reasons = Counter[str](), Counter[str]()

        def rows() -> Iterator[Mapping[str, object]]:
            for file in files:
                for row in _rows(cache, file, orders.of(file), file in died):
                    ledger[str(row["status"])] += 1
                    if row["status"] == "failed":
                        reasons[re.sub(r"\d[\d.]*", "…", str(row["reason"]))] += 1
                    yield row
            yield from ({"file": file, "status": "left_out", "reason": _NO_PICTURE} for file in others)

        others = _other_files(src)
        write_report(out / REPORT, COLUMNS, rows())
    suffixes = Counter(Path(file).suffix.lower() for file in others)
    return ImagesResult(ledger, ledger.total() - made, len(files), reasons, suffixes)


def _make_missing(
    cache: ResultCache, orders: Orders, src: Path, out: Path, templates: Path | None, jobs: int, executor: str
) -> tuple[int, set[str]]:
    """Make what is not there; how many pictures that were, and the photos that killed their worker."""
    begun: list[str] = []
    made, died = 0, set()

    def todo() -> Iterator[Job]:
        for file in orders.files:
            job = _missing(cache, out, file, orders.of(file))
            if job:
                begun.append(file)
                yield job
            bar.update(orders.per_photo - (len(job.orders) if job else 0))

    with tqdm(total=len(orders.files) * orders.per_photo, desc="masks", unit="img") as bar:
        work = map_records(partial(make_masker, src, out, templates), todo(), jobs=jobs, executor=executor)
        for place, results in work:
            if isinstance(results, WorkerDied):
                died.add(begun[place])  # not kept: more memory or another library version may do better
                continue
            for key, result in results:
                cache.put(key, result)
            made += len(results)
            bar.update(len(results))
    return made, died


_NO_PICTURE = f"not a picture that is read here ({', '.join(SUFFIXES)})"


def make_masker(src: Path, out: Path, templates: Path | None) -> Callable[[Job], list[Keyed]]:
    """The worker: a photo's job → a result per order, each with its key. Models and templates are read once."""
    own = load_templates(templates) if templates else {}
    locate = make_locator()

    def work(job: Job) -> list[Keyed]:
        try:
            picture = load_rgb(src / job.file)
            found = require_landmarks(locate(picture))
            scene = measure_scene(picture, found.landmarks_xy)
        except BackendError:
            raise  # concerns every photo
        except Exception as error:  # a batch never stops for one photo; the reason goes into its rows
            return [(order.key, _failed(error)) for order in job.orders]
        return [(order.key, _make(order, picture, found, scene, out, own)) for order in job.orders]

    return work


def _make(
    order: Order, picture: np.ndarray, found: LocatedFace, scene: Scene, out: Path, own: Mapping[str, UserTemplate]
) -> dict[str, Any]:
    try:
        if order.mask == UNMASKED:
            saved = save_rgb(picture, out, order.output)
            return {"status": "ok", "reason": found.face.remark, "faces": found.face.n_faces, **asdict(saved)}
        done = compose(
            picture, found.landmarks_xy, mask_type=order.mask, wear=order.wear, seed=order.seed, templates=own,
            scene=scene,
        )  # fmt: skip
        saved = save_rgb(done.image, out, order.output)
    except Exception as error:
        return _failed(error) | {"faces": found.face.n_faces}
    covered = {f"{part}_covered_score": round(min(done.coverage[f"{part}_score"], 1.0), 4) for part in PARTS}
    recipe = json.dumps(done.recipe | {"landmarks_xy": np.round(found.landmarks_xy, 2).ravel().tolist()})
    about = {"status": "ok", "reason": found.face.remark, "faces": found.face.n_faces}
    return {**about, **asdict(saved), **covered, "recipe": recipe}


def _failed(error: Exception) -> dict[str, Any]:
    text = str(error) if isinstance(error, StageError) else f"{type(error).__name__}: {error}"
    return {"status": "failed", "reason": " ".join(text.split())[:_MAX_TEXT]}


def _missing(cache: ResultCache, out: Path, file: str, orders: tuple[Order, ...]) -> Job | None:
    """What of a photo is not there yet, in the folder as in the notes."""
    known = dict(cache.find([order.key for order in orders]))
    left = tuple(order for order in orders if not _is_there(known.get(order.key), out))
    return Job(file, left) if left else None


def _is_there(result: Mapping[str, Any] | None, out: Path) -> bool:
    if result is None or result["status"] == "failed":
        return result is not None
    picture = out / result["path"]
    return picture.is_file() and picture.stat().st_size == result["bytes"]


def _rows(cache: ResultCache, file: str, orders: tuple[Order, ...], died: bool) -> Iterator[dict[str, object]]:
    known = dict(cache.find([order.key for order in orders]))
    for order in orders:
        row: dict[str, object] = {"file": file, "mask": order.mask, "wear": order.wear, "seed": order.seed}
        result = known.get(order.key)
        if result is None:
            assert died
            result = {"status": "failed", "reason": "the worker process died on this picture"}
        output = order.output if result["status"] == "ok" else ""
        yield row | {"output": output} | {name: value for name, value in result.items() if name in COLUMNS}


def _other_files(src: Path) -> list[str]:
    """Files below `src` that are no pictures by their suffix, hidden ones left aside."""
    paths = (path.relative_to(src) for path in src.rglob("*") if path.is_file())
    return sorted(
        path.as_posix()
        for path in paths
        if path.suffix.lower() not in SUFFIXES and not any(part.startswith(".") for part in path.parts)
    )
