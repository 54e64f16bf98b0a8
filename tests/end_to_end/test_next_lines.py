"""Every command ends with one line `next: …`, and the command it names can be run as it stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from data_manifests.splits import assign_splits
from data_manifests.versions import Store
from facecurate.cli import cli
from pipeline.runs import find_run
from tests.support.correction_logs import event, log
from tests.support.next_lines import check_command, leaf_commands
from tests.support.partial_sets import draw_partial_folder, write_partial
from tests.support.synth_faces import draw_people
from tests.support.train_drawn import SIDE, rows_of, write_rows

NOT_CHECKED = {
    "schema": "prints a page of the documentation",
    "settings": "prints settings for the Makefile",
    "completion": "prints a script for a shell",
    "app": "serves until it is stopped",
    "train queue work": "serves until it is stopped",
    "synth age-report": "needs dozens of people of many ages; tests/synth/test_ages_kept.py runs it",
}
TINY = ["model.backbone=test_resnet", "model.pretrained=false", "data.size=[32, 32]", "optim.epochs=1", "threads=1",
        "device=cpu"]  # fmt: skip


@dataclass(frozen=True)
class Bench:
    """A workspace, and a folder for what the commands write; the photos and logs are read by the quick commands."""

    store: Store
    folder: Path
    photos: Path = Path()
    logs: tuple[str, ...] = ()

    def out(self, name: str) -> str:
        return str(self.folder / name)

    def run(self, words: list[str], code: int = 0) -> list[str]:
        """Run a command in the workspace and return the lines that it prints."""
        environment = {"WORKSPACE": str(self.store.workspace), "OMP_NUM_THREADS": "1"}
        done = CliRunner().invoke(cli, words, env=environment, catch_exceptions=False)
        assert done.exit_code == code, done.output
        return done.stdout.splitlines()

    def next_of(self, words: list[str]) -> str:
        """Run a command, check its last line and that no other one begins so, and return the command it names."""
        lines = self.run(words)
        assert [line for line in lines if line.startswith("next: ")] == lines[-1:]
        command = lines[-1].removeprefix("next: ")
        check_command(command, self.store)
        return command


Words = Callable[[Bench], list[str]]
PROGRAMS = ("facecurate ", "make ")


# -- commands on versions ---------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """The versions 1 (photos) and 2 (split) of `masks`, a folder of photos, and the logs of two annotators."""
    folder = tmp_path_factory.mktemp("next")
    store = Store(folder / "workspace")
    first = write_partial(store, "mask+gender", 24, name="masks", split=False)
    store.tag(first.ref, "photos")
    store.write("masks", assign_splits(store.read(first.ref).table), "split", parents=[first])
    one, two = store.read("masks@2").table.to_pylist()[:2]
    pinned = store.version("masks@2").pinned
    for name, new in (("ann", "incorrect"), ("bob", "none")):
        records = [event(row, "mask", row["mask"], value, name, manifest=pinned)
                   for row, value in ((one, new), (two, "none"))]  # fmt: skip
        log(folder, *records, name=f"{name}.csv")
    logs = (str(folder / "ann.csv"), str(folder / "bob.csv"))
    return Bench(store, folder, draw_partial_folder(folder / "photos", "mask"), logs)


QUICK: Mapping[str, Words] = {
    "ingest": lambda b: ["ingest", str(b.photos), "--layout", "folder", "--name", "drawn"],
    "split": lambda b: ["split", "masks@1"],
    "split again": lambda b: ["split", "masks@2", "--folds", "3"],
    "apply": lambda b: ["apply", "masks@2", b.logs[0]],
    "apply in conflict": lambda b: ["apply", "masks@2", *b.logs],
    "apply, dry run": lambda b: ["apply", "masks@2", b.logs[0], "--dry-run"],
    "log": lambda b: ["log", "masks"],
    "show": lambda b: ["show", "masks@1"],
    "show failed": lambda b: ["show", "masks", "--status", "failed"],
    "show a file": lambda b: ["show", str(b.store.resolve("masks@2"))],
    "diff": lambda b: ["diff", "masks@1", "masks@2"],
    "verify": lambda b: ["verify", "masks@2"],
    "lineage": lambda b: ["lineage", "masks@2", b.store.read("masks@2").table["sample_id"][0].as_py()],
    "tag": lambda b: ["tag", "masks@2", "curated"],
    "root": lambda b: ["root"],
    "root moved": lambda b: ["root", "moved", str(b.photos)],
    "agreement": lambda b: ["agreement", *b.logs],
    "agreement of one": lambda b: ["agreement", b.logs[0]],
    "consensus": lambda b: ["consensus", *b.logs, "--rule", "majority", "--out", b.out("consensus.csv")],
    "export": lambda b: ["export", "masks@2", "--format", "csv", "--out", b.out("csv")],
    "weights": lambda b: ["weights"],
    "queue": lambda b: ["train", "queue", "list"],
}


@pytest.mark.parametrize("case", list(QUICK))
def test_a_quick_command_names_the_next_one(bench: Bench, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKSPACE", str(bench.store.workspace))
    assert bench.next_of(QUICK[case](bench)).startswith(PROGRAMS)


def test_the_first_lines_lead_from_photos_to_the_audit(bench: Bench) -> None:
    ingest = ["ingest", str(bench.photos), "--layout", "folder", "--name", "line"]
    assert bench.next_of(ingest) == "facecurate split line@1"
    assert bench.next_of(["split", "line@1"]) == "facecurate audit run line@2 --tag photos"


def test_files_that_are_gone_are_ingested_again(tmp_path: Path) -> None:
    bench = Bench(Store(tmp_path / "workspace"), tmp_path, draw_partial_folder(tmp_path / "my photos", "mask", 6))
    bench.run(["ingest", str(bench.photos), "--layout", "folder", "--name", "gone"])
    next(bench.photos.rglob("*.png")).unlink()
    last = bench.run(["verify", "gone"], code=1)[-1]
    assert last == f"next: facecurate ingest '{bench.photos}' --layout folder --name gone"


# -- stages -----------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Six rendered people (`faces@1`), the same with face boxes and balanced, and one person of the demo (`demo`)."""
    folder = tmp_path_factory.mktemp("stages")
    store = Store(folder / "workspace")
    photos = folder / "drawn"
    table = draw_people(photos, {"a": 24, "b": 30, "c": 65, "d": 40, "e": 45, "f": 66})
    store.set_root("drawn", photos)
    store.write("faces", table, "ingest")
    store.tag("faces@1", "photos")
    bench = Bench(store, folder, photos)
    bench.run(["preprocess", "detect", "faces@1"])
    store.tag("faces", "detected")
    bench.run(["synth", "run", "faces@1", "--tag", "balanced"])
    bench.run(["synth", "demo", bench.out("demo"), "--persons", "1"])
    bench.run(["ingest", bench.out("demo"), "--layout", "profiles", "--name", "demo"])
    return bench


STAGES: Mapping[str, Words] = {
    "doctor": lambda b: ["doctor", str(b.photos), "--no-open", "--name", "looked"],
    "audit run": lambda b: ["audit", "run", "faces@1"],
    "report": lambda b: ["report", "faces@1", "--out", b.out("report.html")],
    "preprocess run": lambda b: ["preprocess", "run", "faces@1", "background.backend=none"],
    "preprocess detect": lambda b: ["preprocess", "detect", "faces@1"],
    "preprocess landmarks": lambda b: ["preprocess", "landmarks", "faces@detected"],
    "preprocess crop": lambda b: ["preprocess", "crop", "faces@detected"],
    "preprocess background": lambda b: ["preprocess", "background", "faces@detected", "background.backend=grabcut"],
    "preprocess drop-ages": lambda b: ["preprocess", "drop-ages", "faces@1", "--ages", "40"],
    "preprocess images": lambda b: ["preprocess", "images", str(b.photos), b.out("crops"), "background.backend=none"],
    "synth demo": lambda b: ["synth", "demo", b.out("demo again"), "--persons", "1"],
    "synth review": lambda b: ["synth", "review", "demo", "--truth", b.out("demo/truth.csv"), "--out", b.out("r.csv")],
    "synth plan": lambda b: ["synth", "plan", "faces@1"],
    "synth run": lambda b: ["synth", "run", "faces@1"],
    "synth verify": lambda b: ["synth", "verify", "faces@balanced"],
    "synth gallery": lambda b: ["synth", "gallery", "faces@balanced"],
    "synth images": lambda b: ["synth", "images", str(b.photos), b.out("masked"), "--jobs", "1"],
}


@pytest.mark.slow
@pytest.mark.workers
@pytest.mark.parametrize("case", list(STAGES))
def test_a_stage_names_the_next_command(stages: Bench, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKSPACE", str(stages.store.workspace))
    assert stages.next_of(STAGES[case](stages)).startswith(PROGRAMS)


# -- training ---------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Runs on drawn people with face boxes, the third of which counts as interrupted, and two jobs, one cancelled."""
    folder = tmp_path_factory.mktemp("trained")
    store = Store(folder / "workspace")
    rows = [*rows_of(store, 12, split="train"), *rows_of(store, 6, split="val", first=12)]
    first = write_rows(store, [row | {"box_xyxy": [4.0, 4.0, SIDE - 4.0, SIDE - 4.0]} for row in rows])
    store.write("drawn", assign_splits(store.read(first.ref).table, folds=2), "split", parents=[first])
    bench = Bench(store, folder)
    for seed in (0, 1, 2):
        bench.run(["train", "fit", "drawn@1", *TINY, f"seed={seed}"])
    find_run(store, "drawn-0003").update(state="started")
    for _ in range(2):
        bench.run(["train", "queue", "add", "fit", "drawn@1", *TINY])
    bench.run(["train", "queue", "cancel", "2"])
    return bench


TRAINING: Mapping[str, Words] = {
    "train fit": lambda b: ["train", "fit", "drawn@1", "--once", *TINY, "seed=0"],
    "train evaluate": lambda b: ["train", "evaluate", "drawn-0001"],
    "train predict": lambda b: ["train", "predict", "drawn-0001", "drawn@1", "--out", b.out("answers.csv")],
    "train report": lambda b: ["train", "report", "drawn-0001"],
    "train cam": lambda b: ["train", "cam", "drawn-0001", "--per-class", "1", "--measured", "1"],
    "train shortcuts": lambda b: ["train", "shortcuts", "drawn-0001"],
    "train ensemble": lambda b: ["train", "ensemble", "drawn-0001", "drawn-0002", "--out", b.out("ensemble.csv")],
    "train folds": lambda b: ["train", "folds", "drawn@2", *TINY],
    "train compare": lambda b: ["train", "compare", "drawn@1", "drawn@2", "--seeds", "1", *TINY],
    "train refit": lambda b: ["train", "refit", "drawn-0001"],
    "train resume": lambda b: ["train", "resume", "drawn-0003"],
    "train queue add": lambda b: ["train", "queue", "add", "fit", "drawn@1", *TINY],
    "train queue cancel": lambda b: ["train", "queue", "cancel", "1"],
    "train queue retry": lambda b: ["train", "queue", "retry", "2"],
}


@pytest.mark.slow
@pytest.mark.parametrize("case", list(TRAINING))
def test_training_names_the_next_command(trained: Bench, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKSPACE", str(trained.store.workspace))
    assert trained.next_of(TRAINING[case](trained)).startswith(PROGRAMS)


# -- completeness -----------------------------------------------------------------------------------------------------
def test_every_command_is_checked_or_has_a_reason(bench: Bench) -> None:
    calls = [words(bench) for cases in (QUICK, STAGES, TRAINING) for words in cases.values()]
    leaves = leaf_commands()
    checked = {leaf for leaf in leaves for words in calls if words[: leaf.count(" ") + 1] == leaf.split(" ")}
    assert leaves - checked == set(NOT_CHECKED)


@pytest.mark.parametrize("command", ["show", "shwo faces", "split faces --fold", "split faces --folds 1", "synth plan"])
def test_a_command_that_does_not_parse_is_noticed(tmp_path: Path, command: str) -> None:
    with pytest.raises(click.UsageError):
        check_command(f"facecurate {command}", Store(tmp_path))


@pytest.mark.parametrize("command", ["facecurate split REF", "make nothing", "python -m train fit", "facecurate log …"])
def test_a_command_that_is_not_filled_in_is_noticed(tmp_path: Path, command: str) -> None:
    with pytest.raises(AssertionError):
        check_command(command, Store(tmp_path))
