"""The same bytes from serial execution, worker processes and Ray, with any number of threads, and after a kill."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from threadpoolctl import threadpool_limits

from audit.run import run_audit
from audit.settings import AuditSettings
from data_manifests.schema import BY_NAME, conform
from data_manifests.taxonomy import AgeCuts, age_class_of, class_id_of
from data_manifests.versions.content_hash import file_sha256, sample_id
from data_manifests.versions.store import Store
from pipeline.stage import run_stage
from preprocess.folder import run_folder
from preprocess.run import folder_steps, run_one
from preprocess.settings import BackgroundSettings, CropSettings, PreprocessSettings
from synth.images import run_images
from tests.support.portraits import FACES_DIR, rendered_portraits
from train.data.feature_cache import embed_rows
from train.data.pixel_cache import open_pixels

pytestmark = [pytest.mark.workers, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
N_KILLED, N_DONE = 140, 60  # photos, and those done when the run is killed: fewer than SERIAL_BELOW are left
FEW = 10
Run = Callable[[str, int], str]


@contextmanager
def two_threads() -> Iterator[None]:
    """Let this process compute on two threads, as outside the tests."""
    with ExitStack() as stack:
        stack.enter_context(threadpool_limits(2))
        for set_threads, before in (
            (torch.set_num_threads, torch.get_num_threads()), (cv2.setNumThreads, cv2.getNumThreads()),
        ):  # fmt: skip
            stack.callback(set_threads, before)
            set_threads(2)
        yield


@lru_cache(maxsize=1)
def portraits(count: int) -> tuple[np.ndarray, ...]:
    """Return real portraits where they are available, else rendered people in many sizes and brightnesses."""
    if FACES_DIR:
        return tuple(np.array(Image.open(path)) for path in sorted(Path(FACES_DIR).rglob("*.jpg"))[:count])
    people = [shot.image for shot in rendered_portraits()]
    sizes = [round(250 + 1.3 * number) for number in range(count)]
    return tuple(cv2.resize(people[i % len(people)], (side, side * 4 // 3)) for i, side in enumerate(sizes))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("portraits")
    for number, picture in enumerate(portraits(N_KILLED)):
        Image.fromarray(picture).save(folder / f"p{number:03d}.png", compress_level=1)
    return folder


def new_store(workspace: Path, photos: Path, count: int) -> Store:
    """Return a new workspace with the first photos as version 1 of `people`, two photos a person."""
    store = Store(workspace)
    paths = sorted(photos.glob("*.png"))[:count]
    rows = []
    for number, path in enumerate(paths):
        sha256 = file_sha256(path)
        name, person = sample_id(path.name, sha256), f"p{number // 2:03d}"
        with Image.open(path) as picture:
            width, height = picture.size
        rows.append(
            {"sample_id": name, "source_id": name, "root": "people", "path": path.name, "sha256": sha256,
             "width_px": width, "height_px": height, "person_id": person, "profile_id": person, "shot": "normal",
             "mask": "none", "gender": ("male", "female")[number // 2 % 2], "age": 20 + number % 50,
             "label_source": "ingest", "status": "ok", "is_synthetic": False}
        )  # fmt: skip
    table = pa.table({name: pa.array([row[name] for row in rows], BY_NAME[name].type) for name in rows[0]})
    age_class = age_class_of(table["age"], AgeCuts())
    table = table.append_column("age_class", age_class)
    table = table.append_column("class_id", class_id_of(table["mask"], table["gender"], age_class))
    store.set_root("people", photos)
    store.write("people", conform(table), "ingest")
    return store


def digest(folder: Path) -> str:
    """Return a hash of the names and bytes of all files below a folder, without hidden ones."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return hashlib.sha256(
        b"".join(f"{path.relative_to(folder)} {file_sha256(path)}\n".encode() for path in files)
    ).hexdigest()


def settings(executor: str, jobs: int) -> PreprocessSettings:
    return PreprocessSettings(executor=executor, jobs=jobs, background=BackgroundSettings(backend="grabcut"))


def run_steps(store: Store, executor: str, jobs: int) -> tuple[str, str]:
    """Run detect, landmarks, crop and background in one pass; return the content hash and the hash of the pictures."""
    chosen = settings(executor, jobs)
    steps = folder_steps(chosen, CropSettings(when="always"), lambda line: None)
    version = run_stage("faces", steps, store.read("people@1"), store, jobs=jobs, executor=executor).version
    return version.content_hash, digest(store.workspace / "images")


@pytest.fixture(scope="module")
def undisturbed(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, tuple[str, str]]:
    """Return the workspace and the hashes of a run in this process, which has two threads."""
    store = new_store(tmp_path_factory.mktemp("serial"), photos, FEW)
    with two_threads():
        return store, run_steps(store, "serial", 1)


@pytest.mark.parametrize(("executor", "jobs"), [("serial", 1), ("pool", 1), ("pool", 2), ("ray", 2)])
def test_stages_give_the_same_bytes(
    undisturbed: tuple[Store, tuple[str, str]],
    photos: Path,
    tmp_path: Path,
    executor: str,
    jobs: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if executor == "ray":
        pytest.importorskip("ray", reason="an optional part: make setup EXTRAS=ray")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert run_steps(new_store(tmp_path, photos, FEW), executor, jobs) == undisturbed[1]


DETECT = """
import sys
from data_manifests.versions import Store
from preprocess.run import run_one
from preprocess.settings import PreprocessSettings
if __name__ == "__main__":
    run_one("detect", "people@1", Store(sys.argv[1]), PreprocessSettings())
"""


def results(workspace: Path) -> int:
    """Return the number of kept results."""
    file = workspace / "cache" / "results.sqlite"
    if not file.is_file():
        return 0
    connection = sqlite3.connect(file)
    try:
        (count,) = connection.execute("SELECT count(*) FROM results").fetchone()
    except sqlite3.OperationalError:  # no table yet
        return 0
    finally:
        connection.close()
    return int(count)


def test_a_run_killed_among_140_photos_equals_the_undisturbed_one(photos: Path, tmp_path: Path) -> None:
    whole = new_store(tmp_path / "whole", photos, N_KILLED)
    expected = run_one("detect", "people@1", whole, settings("pool", 2), lambda line: None).version.content_hash
    store = new_store(tmp_path / "killed", photos, N_KILLED)
    (tmp_path / "run.py").write_text(DETECT)
    command = [sys.executable, str(tmp_path / "run.py"), str(store.workspace)]
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    environment["PYTHONPATH"] = str(ROOT)
    run = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while run.poll() is None and results(store.workspace) < N_DONE:
        time.sleep(0.02)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    assert N_DONE <= results(store.workspace) < N_KILLED
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert "loading models…" in done.stderr  # the rest ran in that process, with all threads of the machine
    assert store.log("people")[-1].content_hash == expected


def folder_images(photos: Path, folder: Path) -> Run:
    def run(executor: str, jobs: int) -> str:
        out = folder / f"{executor}{jobs}"
        run_folder(settings(executor, jobs), photos, out, Store(folder / f"{executor}{jobs}-workspace"), lambda _: None)
        return digest(out)

    return run


def masked_images(photos: Path, folder: Path) -> Run:
    def run(executor: str, jobs: int) -> str:
        out = folder / f"{executor}{jobs}"
        run_images(photos, out, ("surgical_blue", "kf94"), ("worn",), executor=executor, jobs=jobs)
        return digest(out)

    return run


@pytest.mark.parametrize("kind", [folder_images, masked_images])
def test_commands_on_plain_folders_give_the_same_bytes(
    kind: Callable[[Path, Path], Run], photos: Path, tmp_path: Path
) -> None:
    few = tmp_path / "few"
    few.mkdir()
    for path in sorted(photos.glob("*.png"))[:6]:
        shutil.copy(path, few)
    run = kind(few, tmp_path / "out")
    with two_threads():
        assert run("serial", 1) == run("pool", 2)


def test_the_audit_gives_the_same_version_and_features(
    undisturbed: tuple[Store, tuple[str, str]], tmp_path: Path
) -> None:
    found = []
    for executor in ("pool", "serial"):
        workspace = tmp_path / executor
        shutil.copytree(undisturbed[0].workspace, workspace)
        store = Store(workspace)
        with two_threads() if executor == "serial" else ExitStack():
            audit = run_audit(store.read("people@2"), store, AuditSettings(executor=executor, jobs=2, report_people=2))
        vectors = audit.data.features
        found.append(
            (audit.version.content_hash, audit.queue_path.read_bytes(), vectors.identity.tobytes(),
             vectors.appearance.tobytes(), vectors.lower_face.tobytes(), vectors.blur_score.tobytes())
        )  # fmt: skip
    assert found[0] == found[1]


def test_prepared_pixels_and_embeddings_do_not_depend_on_threads(
    undisturbed: tuple[Store, tuple[str, str]], tmp_path: Path
) -> None:
    found = []
    for threads in (1, 2):
        workspace = tmp_path / str(threads)
        shutil.copytree(undisturbed[0].workspace, workspace, ignore=shutil.ignore_patterns("cache"))
        store = Store(workspace)
        table = store.read("people@2").table
        items = [(store.file_of(row["root"], row["path"]), row["sha256"]) for row in table.to_pylist()]
        with two_threads() if threads == 2 else ExitStack():
            pixels, _ = open_pixels(items, workspace, size=(96, 72), prepare={}, jobs=threads)
            vectors = embed_rows(table, store, "dlib", "people@2")
        found.append((pixels.take(range(len(items))).tobytes(), vectors.tobytes()))
    assert found[0] == found[1]
