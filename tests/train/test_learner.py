"""Updates: mixing, accumulation, averaging, mixed precision, rates by layer; and resuming."""

from __future__ import annotations

import csv
import gc
from typing import Any

import pytest
import timm
import torch
from torch import Tensor

from data_manifests.errors import BackendError, ConfigError
from data_manifests.labels import labels_of_class
from data_manifests.versions.store import Store
from pipeline.runs import Run
from tests.support.train_drawn import tiny_settings, write_people
from train.data.augment import mix
from train.data.loader import Batch
from train.engine.learner import Learner
from train.engine.loop import TrainingProgress, fit, grouped
from train.engine.losses import HeadLoss
from train.engine.new_run import new_run
from train.engine.optim import make_optimizer, precision_on
from train.models.checkpoint import load_trained, read_checkpoint
from train.models.network import build_model
from train.settings import OptimSettings, TrainSettings


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def batch_of(rows: int, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(18, (rows,), generator=generator)
    labels = torch.from_numpy(labels_of_class(target.numpy()))
    return Batch(
        torch.rand(rows, 3, 32, 32, generator=generator), labels, 30 + target, [str(row) for row in range(rows)]
    )


def learner_of(settings: TrainSettings, batches: int = 4) -> Learner:
    torch.manual_seed(0)
    model = build_model(settings.model, (32, 32))
    target = torch.arange(18)
    return Learner(
        model,
        HeadLoss(settings.loss, model.head, torch.from_numpy(labels_of_class(target.numpy())), 30 + target),
        settings,
        batches,
    )


def weights_of(learner: Learner) -> list[Tensor]:
    return [weight.detach().clone() for weight in learner.model.parameters()]


def vit(**sections: Any) -> TrainSettings:
    """Return settings of a network without batch statistics: four batches of four equal one of sixteen."""
    return tiny_settings(model={"backbone": "test_vit", **sections.pop("model", {})}, **sections)


# -- updates --------------------------------------------------------------------------------------------------------
def test_accumulated_batches_are_one_large_batch() -> None:
    sgd = {"name": "sgd", "lr": 0.1, "precision": "full"}
    whole, parts = learner_of(vit(optim=sgd)), learner_of(vit(optim=sgd | {"accumulate": 3}))
    batch = batch_of(16)
    whole.backward(whole.forward_loss(batch)[0])
    whole.update()
    for rows in (slice(0, 7), slice(7, 12), slice(12, 16)):  # of different sizes
        part = Batch(batch.image[rows], batch.labels[rows], batch.age[rows], batch.sample_id[rows])
        parts.backward(parts.forward_loss(part)[0] * len(part.labels) / 16)
    parts.update()
    for one, other in zip(weights_of(whole), weights_of(parts), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)


def test_groups_and_the_updates_of_a_schedule() -> None:
    batches = [batch_of(2)] * 7
    assert [len(group) for group in grouped(batches, 3)] == [3, 3, 1]
    assert learner_of(tiny_settings(optim={"accumulate": 3}), batches=7).schedule.per_epoch == 3


def test_the_average_follows_the_weights_and_is_evaluated() -> None:
    learner = learner_of(tiny_settings(optim={"ema": 0.5, "lr": 0.1}))
    assert learner.ema is not None
    average = None
    for step in range(4):
        learner.backward(learner.forward_loss(batch_of(8, step))[0])
        learner.update()
        now = weights_of(learner)[0]
        decay = learner.ema.get_decay(step + 1)
        average = now if average is None else decay * average + (1 - decay) * now
    eval_weights = next(learner.eval_model.parameters())
    torch.testing.assert_close(eval_weights, average)
    assert not torch.equal(eval_weights, weights_of(learner)[0])
    plain = learner_of(tiny_settings())
    assert plain.eval_model is plain.model


def test_lower_layers_have_lower_rates() -> None:
    model = build_model(tiny_settings().model, (32, 32))
    optimizer = make_optimizer(OptimSettings(lr=1.0, layer_decay=0.5), model)
    learner = learner_of(tiny_settings(optim={"lr": 1.0, "layer_decay": 0.5, "schedule": "constant"}))
    rate = {id(weight): group["lr"] for group in learner.optimizer.param_groups for weight in group["params"]}
    backbone: Any = learner.model.backbones[0]
    rates = [
        rate[id(layer)] for layer in (backbone.conv1[0].weight, backbone.layer2[0].conv1.weight, backbone.fc.weight)
    ]
    assert rates == sorted(rates)
    assert rates[-1] == learner.schedule.lr == 1.0
    assert rates[0] < 0.1
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(model.parameters()))


def test_position_embeddings_and_biases_do_not_decay() -> None:
    model = build_model(vit().model, (32, 32))
    optimizer = make_optimizer(OptimSettings(weight_decay=0.1), model)
    decays = {id(weight): group["weight_decay"] for group in optimizer.param_groups for weight in group["params"]}
    backbone: Any = model.backbones[0]
    assert decays[id(backbone.pos_embed)] == decays[id(backbone.head.bias)] == 0
    assert decays[id(backbone.head.weight)] == 0.1


def test_precision() -> None:
    half = learner_of(vit(optim={"precision": "bf16"}))
    full = learner_of(vit(optim={"precision": "full"}))
    one, other = (learner.forward_loss(batch_of(4))[1] for learner in (half, full))
    assert one.dtype == other.dtype == torch.float32
    assert not torch.equal(one, other)
    torch.testing.assert_close(one, other, atol=0.05, rtol=0.05)


@pytest.mark.parametrize(
    ("able", "chosen"), [({"avx512_bf16": True}, torch.bfloat16), ({"amx_bf16": True}, torch.bfloat16), ({}, None)]
)
def test_auto_precision_is_mixed_on_cpus_with_bf16(
    monkeypatch: pytest.MonkeyPatch, able: dict[str, bool], chosen: torch.dtype | None
) -> None:
    begun = learner_of(vit(optim={"precision": "bf16"}))
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_f": True} | able)
    learner = learner_of(vit())
    assert precision_on(torch.device("mps"), "auto", learner.model) is None
    depthwise = timm.create_model("test_efficientnet")
    assert precision_on(torch.device("cpu"), "auto", depthwise) is None
    assert precision_on(torch.device("cpu"), "bf16", depthwise) is torch.bfloat16
    assert learner.precision is chosen
    learner.load_state_dict(begun.state_dict() | {"model": begun.model.state_dict()})
    assert learner.precision is torch.bfloat16  # the first precision of the run, whatever this machine would choose


def test_half_floats_are_scaled_and_an_overflow_is_skipped() -> None:
    learner = learner_of(vit(optim={"precision": "fp16", "clip_norm": 1.0}))
    assert learner.scaler.is_enabled()
    before, scale = weights_of(learner), learner.scaler.get_scale()
    learner.backward(learner.forward_loss(batch_of(4))[0] * float("inf"))
    learner.update()
    assert all(torch.equal(one, other) for one, other in zip(before, weights_of(learner), strict=True))
    assert learner.scaler.get_scale() == scale / 2
    learner.backward(learner.forward_loss(batch_of(4))[0])
    learner.update()
    assert any(not torch.equal(one, other) for one, other in zip(before, weights_of(learner), strict=True))
    assert all(weight.isfinite().all() for weight in weights_of(learner))


# -- mixing ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_a_mixed_picture_holds_its_share_of_each(name: str) -> None:
    torch.manual_seed(3)
    image = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 3, 32, 32).contiguous()
    mixed, share = mix(image, {name: 1.0}, 1.0)
    assert 0 < share < 1
    torch.testing.assert_close(
        mixed.mean((1, 2, 3)), share * torch.arange(4.0) + (1 - share) * torch.arange(4.0).roll(1)
    )


def test_mixing_follows_its_chance_and_methods() -> None:
    torch.manual_seed(0)
    image = torch.rand(4, 3, 8, 8)
    shares = [mix(image, {"mixup": 0.4, "cutmix": 1.0}, 0.25)[1] for _ in range(200)]
    assert 25 < sum(share < 1 for share in shares) < 75  # four standard deviations around 50
    assert mix(image, {}, 1.0)[0] is image
    with pytest.raises(ConfigError, match=r"data\.mix must be one of \{mixup, cutmix\}\. Got 'mixap'"):
        learner_of(tiny_settings(data={"mix": {"mixap": 1.0}}))


def test_the_loss_of_mixed_pictures_counts_both_labels() -> None:
    learner = learner_of(vit(data={"mix": {"mixup": 1.0}}))
    batch = batch_of(4)
    torch.manual_seed(5)
    loss, outputs, shown = learner.forward_loss(batch)
    torch.manual_seed(5)
    _, share = mix(batch.image, {"mixup": 1.0}, 1.0)
    mine, theirs = (learner.criterion(outputs, labels, batch.age) for labels in (batch.labels, batch.labels.roll(1, 0)))
    torch.testing.assert_close(loss, share * mine + (1 - share) * theirs)
    assert torch.equal(shown, batch.labels if share >= 0.5 else batch.labels.roll(1, 0))


# -- resuming -------------------------------------------------------------------------------------------------------
def train(store: Store, settings: TrainSettings, run: Run, stop_after: int = 0) -> TrainingProgress:
    def stop(progress: TrainingProgress) -> None:
        if progress.epoch == stop_after:
            raise KeyboardInterrupt

    return fit(store.read("drawn"), settings, store, run, after_epoch=stop)


EVERYTHING = {
    "mixed": tiny_settings(
        model={"drop_rate": 0.3, "drop_path_rate": 0.1},
        data={"mix": {"mixup": 0.4, "cutmix": 1.0}, "mix_chance": 0.7, "sampler": "copy_old"},
        loss={"terms": {"f1": 1, "focal": 0.5}},
        optim={"name": "adamp", "epochs": 4, "ema": 0.9, "accumulate": 2, "clip_norm": 1, "schedule": "plateau",
               "decay_epochs": 1, "warmup_epochs": 1, "metric": "loss", "layer_decay": 0.8},
    ),
    "half": tiny_settings(
        model={"backbone": "test_vit", "head": "gendered_age", "age": "corn", "drop_rate": 0.2},
        data={"augment": {"grid_dropout": 0.5, "rand_augment": 5}, "sampler": "person"},
        optim={"epochs": 4, "ema": 0.99, "precision": "fp16", "schedule": "step", "decay_epochs": 2},
    ),
    "soft": tiny_settings(
        model={"head": "tasks", "networks": "separate", "soft_sharing": 0.01, "freeze": 1},
        data={"sampler": "class"}, optim={"epochs": 4, "name": "sgd", "metric": "age_accuracy"},
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERYTHING)
def test_an_interrupted_run_resumes_to_the_same_result(store: Store, name: str) -> None:
    version = write_people(store, train=12, val=6)
    settings = EVERYTHING[name]
    whole, broken = (new_run(store, version, settings) for _ in range(2))
    progress = train(store, settings, whole)
    for stop in (1, 3):
        with pytest.raises(KeyboardInterrupt):
            train(store, settings, broken, stop_after=stop)
        torch.rand(7)  # a new process has another random state
    resumed = train(store, settings, broken)
    assert (resumed.best, resumed.best_epoch) == (progress.best, progress.best_epoch)
    assert metrics_of(broken) == metrics_of(whole)
    for file in ("best.pt", "last.pt"):
        one, other = (read_checkpoint(run.path / file) for run in (whole, broken))
        for part in ("model", "learning_model", "optimizer", "scaler", "schedule"):
            assert_same(one.get(part), other.get(part))


def metrics_of(run: Run) -> list[dict[str, str]]:
    with (run.path / "metrics.csv").open() as file:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]


def assert_same(one: Any, other: Any) -> None:
    if isinstance(one, Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for mine, theirs in zip(one, other, strict=True):
            assert_same(mine, theirs)
    else:
        assert one == other


def test_the_best_epoch_is_by_the_chosen_metric(store: Store) -> None:
    version = write_people(store, train=12, val=6)
    for metric, pick in (("loss", min), ("gender_accuracy", max)):
        settings = tiny_settings(optim={"epochs": 4, "metric": metric, "lr": 0.01})
        run = new_run(store, version, settings)
        progress = train(store, settings, run)
        values = [float(row[f"val_{metric}"]) for row in metrics_of(run)]
        assert progress.best_epoch == values.index(pick(values)) + 1
        assert read_checkpoint(run.path / "best.pt")["scores"][metric] == pytest.approx(pick(values), rel=1e-4)


def test_the_best_checkpoint_holds_the_average(store: Store) -> None:
    version = write_people(store, train=6, val=6)
    settings = tiny_settings(optim={"epochs": 1, "ema": 0.9})
    run = new_run(store, version, settings)
    train(store, settings, run)
    last = read_checkpoint(run.path / "last.pt")
    best = load_trained(run.path / "best.pt", torch.device("cpu")).model.state_dict()
    assert all(torch.equal(best[key], last["model"][key]) for key in best)
    assert any(not torch.equal(best[key], last["learning_model"][key]) for key in best)


@pytest.mark.parametrize("damage", ["cut", "other"])
def test_a_last_checkpoint_that_does_not_fit_is_one_error(store: Store, damage: str) -> None:
    version = write_people(store, train=6, val=6)
    settings = tiny_settings(optim={"epochs": 2})
    run = new_run(store, version, settings)
    with pytest.raises(KeyboardInterrupt):
        train(store, settings, run, stop_after=1)
    path = run.path / "last.pt"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:1000])
    else:
        values = read_checkpoint(path)
        torch.save(values | {"optimizer": {}}, path)
    words = {"cut": "is broken", "other": r"last\.pt does not fit this run"}[damage]
    with pytest.raises(BackendError, match=words):
        train(store, settings, run)


@pytest.mark.slow
def test_epochs_do_not_leak_memory(store: Store) -> None:
    version = write_people(store, train=12, val=6)
    settings = tiny_settings(optim={"epochs": 5, "ema": 0.9, "accumulate": 2}, data={"mix": {"mixup": 0.4}})
    held: list[tuple[int, int]] = []

    def count(progress: TrainingProgress) -> None:
        if progress.epoch not in (2, 5):
            return
        gc.collect()
        tensors = [thing for thing in gc.get_objects() if type(thing) in (Tensor, torch.nn.Parameter)]
        held.append((len(tensors), sum(tensor.nbytes for tensor in tensors)))

    fit(store.read("drawn"), settings, store, new_run(store, version, settings), after_epoch=count)
    assert held[0] == held[1]
