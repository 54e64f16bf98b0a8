"""The training loop: learning, resuming, and errors."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch

from data_manifests.errors import BackendError, ConfigError, ManifestError, StageError
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions.store import Store
from pipeline.runs import Run
from tests.support.train_drawn import rows_of, tiny_settings, write_people, write_rows
from train.engine.loop import TrainingProgress, fit
from train.engine.new_run import new_run
from train.engine.optim import SCHEDULES, Schedule, make_optimizer
from train.models.checkpoint import load_trained, read_checkpoint
from train.models.network import build_model, choose_device
from train.settings import OptimSettings, TrainSettings, load_train_settings


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def start(store: Store, settings: TrainSettings) -> Run:
    return new_run(store, store.read("drawn").version, settings)


def train(
    store: Store, settings: TrainSettings, run: Run | None = None, stop_after: int = 0
) -> tuple[Run, TrainingProgress]:
    run = run or start(store, settings)

    def stop(progress: TrainingProgress) -> None:
        if progress.epoch == stop_after:
            raise KeyboardInterrupt

    return run, fit(store.read("drawn"), settings, store, run, after_epoch=stop)


def metrics_of(run: Run) -> list[dict[str, str]]:
    with (run.path / "metrics.csv").open() as file:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]


# -- learning -------------------------------------------------------------------------------------------------------
@pytest.mark.slow
def test_it_learns_the_labels(store: Store) -> None:
    write_people(store, train=48, val=12)
    run, progress = train(store, tiny_settings(optim={"lr": 0.004, "epochs": 14}))
    assert progress.best > 0.75  # chance is 1/18
    rows = metrics_of(run)
    assert len(rows) == 14
    assert float(rows[-1]["train_loss"]) < 0.5 * float(rows[0]["train_loss"])
    best = max(rows, key=lambda row: float(row["val_f1"]))
    assert int(best["epoch"]) == progress.best_epoch
    checkpoint = read_checkpoint(run.path / "best.pt")
    assert checkpoint["epoch"] == progress.best_epoch
    assert checkpoint["scores"]["f1"] == pytest.approx(progress.best)


def test_it_stops_without_improvement(store: Store) -> None:
    write_people(store, train=6, val=6)
    _, progress = train(store, tiny_settings(optim={"lr": 1e-12, "epochs": 30, "patience": 2}))
    assert progress.epoch == progress.best_epoch + 2 < 30


@pytest.mark.parametrize("schedule", ["cosine", "plateau"])
def test_an_interrupted_run_resumes_to_the_same_result(store: Store, schedule: str) -> None:
    write_people(store, train=12, val=6)
    settings = tiny_settings(
        model={"drop_rate": 0.3},
        data={"augment": {"flip": 0.5, "crop": 0.3, "color": 0.2}},
        optim={"epochs": 5, "schedule": schedule, "warmup_epochs": 1, "decay_epochs": 1},
    )
    whole, progress = train(store, settings)
    broken = start(store, settings)
    for stop in (2, 3):
        with pytest.raises(KeyboardInterrupt):
            train(store, settings, broken, stop_after=stop)
        torch.rand(7)  # a new process has another random state
    _, resumed = train(store, settings, broken)
    assert metrics_of(broken) == metrics_of(whole)
    assert (resumed.best, resumed.best_epoch) == (progress.best, progress.best_epoch)
    for name in ("best.pt", "last.pt"):
        one, other = (read_checkpoint(run.path / name)["model"] for run in (whole, broken))
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_another_seed_gives_another_network(store: Store) -> None:
    write_people(store, train=6, val=6)
    one, other = (train(store, tiny_settings(seed=seed, optim={"epochs": 1}))[0] for seed in (1, 2))
    weights = [read_checkpoint(run.path / "best.pt")["model"] for run in (one, other)]
    assert any(not torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_a_class_absent_from_validation_leaves_scores_finite(store: Store) -> None:
    write_rows(store, rows_of(store, 6, split="train") + rows_of(store, 1, split="val", first=6))
    _, progress = train(store, tiny_settings(optim={"epochs": 1}))
    assert 0 <= progress.best <= 1


def test_one_sample_of_each_class_is_enough_to_run(store: Store) -> None:
    write_people(store, train=6, val=6)  # six people, three pictures: one picture of each class
    _, progress = train(store, tiny_settings(optim={"epochs": 1}, data={"batch_size": 17}))
    assert progress.epoch == 1  # the single picture of a second batch is dropped


# -- errors --------------------------------------------------------------------------------------------------------
def test_a_non_finite_loss_stops_at_once(store: Store) -> None:
    write_people(store, train=12, val=6)
    with pytest.raises(StageError, match=r"the loss became (nan|inf) in epoch 1/2, batch \d .*Lower optim\.lr"):
        train(store, tiny_settings(optim={"name": "sgd", "lr": 1e30}))


def test_clipping_keeps_the_loss_finite(store: Store) -> None:
    write_people(store, train=12, val=6)
    settings = tiny_settings(optim={"name": "sgd", "lr": 0.01, "clip_norm": 1e-9, "weight_decay": 0, "epochs": 1})
    run, _ = train(store, settings)
    torch.manual_seed(settings.seed)
    fresh = build_model(settings.model, settings.data.size)
    trained = load_trained(run.path / "best.pt", torch.device("cpu")).model
    for before, after in zip(fresh.parameters(), trained.parameters(), strict=True):
        assert torch.allclose(before, after, atol=1e-6)


@pytest.mark.parametrize("damage", ["cut", "empty", "foreign", "absent", "code"])
def test_a_bad_checkpoint_is_one_error(tmp_path: Path, store: Store, damage: str) -> None:
    write_people(store, train=6, val=6)
    run, _ = train(store, tiny_settings(optim={"epochs": 1}))
    path = run.path / "best.pt"
    data = path.read_bytes()
    path.unlink()
    if damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "foreign":
        torch.save({"model": torch.zeros(1)}, path)
    elif damage == "code":
        torch.save(Path("/"), path)  # a pickled object, which could run code
    words = {"foreign": "is not a checkpoint of this toolkit", "absent": "does not exist"}.get(damage, "is broken")
    with pytest.raises(BackendError, match=words):
        load_trained(path, torch.device("cpu"))


def test_a_checkpoint_of_other_age_cuts_is_refused(store: Store) -> None:
    write_people(store, train=6, val=6)
    run, _ = train(store, tiny_settings(optim={"epochs": 1}))
    trained = load_trained(run.path / "best.pt", torch.device("cpu"))
    trained.check_taxonomy(AgeCuts(30, 60), "drawn@1")
    with pytest.raises(ManifestError, match=r"has the age classes <30, 30-59, >=60, but faces@2 has <45.*30,60"):
        trained.check_taxonomy(AgeCuts(45, 60), "faces@2")


def test_a_full_disk_leaves_the_older_checkpoint(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    write_people(store, train=6, val=6)
    settings = tiny_settings(optim={"epochs": 2})
    run = start(store, settings)
    with pytest.raises(KeyboardInterrupt):
        train(store, settings, run, stop_after=1)
    before = (run.path / "last.pt").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("data_manifests.versions.atomic_io.os.replace", full)
    with pytest.raises(StageError, match="could not be written: No space left on device"):
        train(store, settings, run)
    assert (run.path / "last.pt").read_bytes() == before
    assert not list(run.path.glob(".*.pt*"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_missing_gpu_is_reported() -> None:
    with pytest.raises(ConfigError, match=r"device on this machine must be one of \{auto, cpu.*Got 'cuda' instead"):
        choose_device("cuda")
    assert choose_device("auto").type in ("cpu", "mps")


def test_unknown_names_list_the_choices() -> None:
    model = torch.nn.Linear(1, 1)
    with pytest.raises(ConfigError, match=r"model\.backbone must be one of \{.*resnet18.*Got 'resnt18' instead"):
        build_model(tiny_settings(model={"backbone": "resnt18"}).model, (32, 32))
    with pytest.raises(ConfigError, match=r"optim\.name must be one of \{.*adamw.*Got 'adamm' instead"):
        make_optimizer(OptimSettings(name="adamm"), model)
    settings = OptimSettings(schedule="cosin")
    with pytest.raises(ConfigError, match=r"optim\.schedule must be one of \{constant, cosine, step, plateau\}"):
        Schedule(settings, make_optimizer(settings, model), 1)
    with pytest.raises(ConfigError, match=r"setting must be one of \{name, lr, .*Got 'optim.lrr' instead"):
        load_train_settings(None, {"optim.lrr": "1"})


# -- learning rate --------------------------------------------------------------------------------------------------
def rates(name: str, scores: list[float], **more: float) -> list[float]:
    """Return the learning rate of each update, two per epoch."""
    settings = OptimSettings.model_validate({"schedule": name, "lr": 1.0, "epochs": len(scores), **more})
    optimizer = make_optimizer(settings, torch.nn.Linear(1, 1))
    schedule, found = Schedule(settings, optimizer, 2), []
    for score in scores:
        for _ in range(2):
            found.append(schedule.lr)
            optimizer.step()
            schedule.after_update()
        schedule.after_epoch(score)
    return found


def test_schedules() -> None:
    assert set(SCHEDULES) == {"constant", "cosine", "step", "plateau"}
    assert rates("constant", [0, 0]) == [1, 1, 1, 1]
    assert rates("cosine", [0, 0]) == pytest.approx([1, 0.85355, 0.5, 0.14645], abs=1e-4)
    assert rates("step", [0] * 4, decay_epochs=2, decay_rate=0.5) == [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5]
    assert rates("constant", [0, 0], warmup_epochs=1) == pytest.approx([1 / 3, 2 / 3, 1, 1])
    # the rate falls after the third epoch without a better score
    assert rates("plateau", [0.5] * 5, decay_epochs=2, decay_rate=0.1) == pytest.approx([1] * 8 + [0.1] * 2)
    assert rates("plateau", [0.1, 0.2, 0.3, 0.4, 0.5], decay_epochs=2) == [1] * 10
