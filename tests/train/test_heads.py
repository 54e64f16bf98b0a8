"""Heads, losses, and frozen or shared networks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from data_manifests.errors import ConfigError
from data_manifests.labels import labels_of_class
from data_manifests.taxonomy import MASKS, AgeCuts
from data_manifests.versions.store import Store
from tests.support.train_drawn import rows_of, tiny_settings, write_people, write_rows
from train.engine.loop import fit
from train.engine.losses import HeadLoss, Loss
from train.engine.new_run import new_run
from train.evaluation import load_best, predict_rows, usable_rows
from train.models.checkpoint import load_trained
from train.models.heads import HEADS, head_of, log_probability, n_outputs, split_outputs
from train.models.network import build_model
from train.settings import LossSettings, ModelSettings


def labels_of(class_id: torch.Tensor) -> torch.Tensor:
    """Return labels (N, 3) of classes (N,)."""
    return torch.from_numpy(labels_of_class(class_id.numpy()))


CLASSES = torch.arange(18).repeat(10)  # of training rows, each ten times
EVEN = labels_of(CLASSES)
YEARS = torch.tensor([25, 45, 65])[CLASSES % 3]


def outputs_of(head: str, rows: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, n_outputs(HEADS[head]), generator=torch.Generator().manual_seed(seed)) * 3


# -- heads ----------------------------------------------------------------------------------------------------------
@given(head=st.sampled_from(sorted(HEADS)), seed=st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_every_head_gives_probabilities(head: str, seed: int) -> None:
    probability = log_probability(outputs_of(head, 4, seed), HEADS[head]).exp()
    assert probability.shape == (4, 18)
    torch.testing.assert_close(probability.sum(1), torch.ones(4))


def test_the_classes_are_composed_from_the_parts() -> None:
    head = HEADS["tasks"]
    outputs = outputs_of("tasks", 50)
    parts = {name: logits.argmax(1) for name, logits in split_outputs(outputs, head).items()}
    composed = parts["mask"] * 6 + parts["gender"] * 3 + parts["age"]
    assert torch.equal(log_probability(outputs, head).argmax(1), composed)


def test_separate_parts_predict_the_age_of_men_and_women() -> None:
    head = HEADS["gendered_age"]
    outputs = torch.zeros(1, n_outputs(head))
    parts = split_outputs(outputs, head)
    parts["male_age"][0, 2] = 50.0  # views: men are old,
    parts["female_age"][0, 0] = 50.0  # women young
    probability = log_probability(outputs, head).exp().view(3, 2, 3)
    torch.testing.assert_close(probability.sum(0)[0], torch.tensor([0.0, 0.0, 0.5]))
    torch.testing.assert_close(probability.sum(0)[1], torch.tensor([0.5, 0.0, 0.0]))


def test_the_loss_of_a_part_uses_only_its_own_samples() -> None:
    criterion = HeadLoss(LossSettings(), HEADS["gendered_age"], EVEN, YEARS)
    outputs = outputs_of("gendered_age", 3).requires_grad_()
    men = labels_of(torch.tensor([0, 7, 14]))
    criterion(outputs, men, torch.tensor([25, 45, 65])).backward()
    assert outputs.grad is not None
    grads = split_outputs(outputs.grad, HEADS["gendered_age"])
    assert grads["female_age"].abs().sum() == 0
    assert grads["male_age"].abs().sum() > 0


def test_task_weights() -> None:
    outputs, target = outputs_of("tasks", 6), torch.arange(6)
    only_age = HeadLoss(LossSettings(tasks={"mask": 0, "gender": 0, "age": 2}), HEADS["tasks"], EVEN, YEARS)
    age = split_outputs(outputs, HEADS["tasks"])["age"]
    torch.testing.assert_close(
        only_age(outputs, labels_of(target), target), 2 * functional.cross_entropy(age, target % 3)
    )
    with pytest.raises(ConfigError, match=r"loss\.tasks of this head must be one of \{mask, gender, age\}\. Got 'sex'"):
        HeadLoss(LossSettings(tasks={"sex": 1}), HEADS["tasks"], EVEN, YEARS)


# -- losses ---------------------------------------------------------------------------------------------------------
def loss_of(logits: torch.Tensor, target: torch.Tensor, counts: list[int], **values: object) -> float:
    return float(Loss(LossSettings.model_validate(values), torch.tensor(counts))(logits, target))


def test_focal_by_hand() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    p = np.array([1 / (1 + np.exp(-2)), 1 / (1 + np.exp(-1))])
    expected = np.mean((1 - p) ** 5 * -np.log(p))
    assert loss_of(logits, torch.tensor([0, 1]), [5, 5], terms={"focal": 1}, gamma=5) == pytest.approx(expected)
    plain = functional.cross_entropy(logits, torch.tensor([0, 1]))
    assert loss_of(logits, torch.tensor([0, 1]), [5, 5], terms={"focal": 1}, gamma=0) == pytest.approx(float(plain))


def test_soft_f1_by_hand() -> None:
    target = torch.tensor([0, 0, 1])
    sure = 100 * functional.one_hot(torch.tensor([0, 1, 1]), 3).float()
    # class 0: 1 hit, 1 predicted, 2 true → 2/3; class 1: 1 hit, 2 predicted, 1 true → 2/3; class 2 is not in the batch
    assert loss_of(sure, target, [1, 1, 1], terms={"f1": 1}) == pytest.approx(1 / 3)


def test_terms_are_summed_with_their_weights() -> None:
    logits, target = torch.randn(8, 4, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 4
    one, other = (loss_of(logits, target, [1] * 4, terms={name: 1}) for name in ("f1", "focal"))
    both = loss_of(logits, target, [1] * 4, terms={"f1": 1, "focal": 0.5})
    assert both == pytest.approx(one + 0.5 * other)


def test_weighting_balances_the_classes() -> None:
    loss = Loss(LossSettings(weighting="inverse"), torch.tensor([90, 10, 0]))
    assert loss.weight.tolist() == pytest.approx([50 / 90, 5.0, 1])  # equal to 50 samples of each of the two
    effective = Loss(LossSettings(weighting="effective"), torch.tensor([90, 10, 0])).weight
    assert 1 < effective[1] / effective[0] < 9
    assert float((effective[:2] * torch.tensor([90, 10])).sum()) == pytest.approx(100)


def test_logit_adjustment_only_while_training() -> None:
    loss = Loss(LossSettings(logit_adjustment=1), torch.tensor([90, 10]))
    logits, target = torch.zeros(1, 2), torch.tensor([1])
    assert float(loss(logits, target)) == pytest.approx(-np.log(0.1))
    assert float(loss.eval()(logits, target)) == pytest.approx(np.log(2))


def test_unknown_names_list_the_choices() -> None:
    with pytest.raises(ConfigError, match=r"loss\.terms must be one of \{cross_entropy, focal, bce, f1\}\. Got 'fcal'"):
        loss_of(torch.zeros(1, 2), torch.zeros(1), [1, 1], terms={"fcal": 1})
    with pytest.raises(ConfigError, match=r"loss\.weighting must be one of \{none, inverse, effective\}"):
        loss_of(torch.zeros(1, 2), torch.zeros(1), [1, 1], weighting="x")
    choices = r"\{auto, class, tasks, gendered_age, mask, gender, age, mask\+gender, …\}"
    with pytest.raises(ConfigError, match=rf"model\.head must be one of {choices}\. Got 'task'"):
        head_of(ModelSettings(head="task"), AgeCuts())
    with pytest.raises(ConfigError, match=r"model\.age must be one of \{classes, bins, corn, distribution\}\. Got 'b'"):
        head_of(ModelSettings(head="age", age="b"), AgeCuts())
    with pytest.raises(
        ConfigError, match=r"model\.head with model\.age=corn must be one of \{tasks, gendered_age, age"
    ):
        head_of(ModelSettings(head="class", age="corn"), AgeCuts())


def test_a_label_without_training_samples_is_not_predicted(store: Store) -> None:
    torch.set_num_threads(1)
    rows = rows_of(store, 12, split="train") + rows_of(store, 6, split="val", first=12)
    write_rows(store, [row for row in rows if row["mask"] == "none"])
    manifest = store.read("drawn")
    for networks in ("shared", "separate"):
        chosen = tiny_settings(model={"head": "gendered_age", "networks": networks}, optim={"lr": 1e-9, "epochs": 1})
        run = new_run(store, manifest.version, chosen)
        (row,) = fit(manifest, chosen, store, run).history
        assert row["val_mask_accuracy"] is None  # one class says nothing about a network
        predictions = predict_rows(load_best(run), usable_rows(manifest, "val"), store, manifest.version.ref, "")
        labels = labels_of_class(predictions["predicted"].to_numpy(np.int64))
        assert set(labels[:, 0]) == {MASKS.index("none")}  # an untrained network would predict three states by chance
        assert row["val_gender_accuracy"] < 1.0


# -- networks -------------------------------------------------------------------------------------------------------
def network(**values: object) -> Any:
    return build_model(tiny_settings(model=values).model, (32, 32))


def test_frozen_stages_do_not_change() -> None:
    model = network(freeze=2).train()
    moving = {name.split(".")[2] for name, weight in model.named_parameters() if weight.requires_grad}
    assert moving == {"layer2", "layer3", "layer4", "fc"}
    norm = model.backbones[0].layer1[0].bn1
    before = norm.running_mean.clone()
    model(torch.randn(4, 3, 32, 32))
    assert torch.equal(norm.running_mean, before)
    assert model.backbones[0].layer2[0].bn1.training
    only_head = [name for name, weight in network(freeze="backbone").named_parameters() if weight.requires_grad]
    assert only_head == ["backbones.0.fc.weight", "backbones.0.fc.bias"]


def test_separate_networks_share_only_a_penalty() -> None:
    model = network(head="tasks", networks="separate", soft_sharing=0.1)
    assert len(model.backbones) == 3
    assert model(torch.randn(2, 3, 32, 32)).shape == (2, 8)
    penalty = model.sharing_penalty()
    assert penalty > 0
    with torch.no_grad():
        for weights in zip(*(backbone.parameters() for backbone in model.backbones), strict=True):
            if len({weight.shape for weight in weights}) == 1:
                for weight in weights:
                    weight.copy_(weights[0])
    assert float(model.sharing_penalty().detach()) == pytest.approx(0, abs=1e-9)
    assert float(network(head="tasks", networks="separate").sharing_penalty()) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "loss"),
    [
        ({"head": "tasks"}, {"terms": {"focal": 1}, "weighting": "inverse"}),
        ({"head": "gendered_age", "networks": "separate"}, {"terms": {"cross_entropy": 1, "f1": 0.5}}),
    ],
)
def test_other_heads_learn_and_load_from_disk(store: Store, model: dict, loss: dict) -> None:
    torch.set_num_threads(1)
    version = write_people(store, train=36, val=12)
    chosen = tiny_settings(model=model, loss=loss, optim={"lr": 0.004, "epochs": 8})
    run = new_run(store, version, chosen)
    progress = fit(store.read("drawn"), chosen, store, run)
    assert progress.best > 0.5  # chance is 1/18
    trained = load_trained(run.path / "best.pt", torch.device("cpu"))
    assert list(trained.model.head) == list(HEADS[model["head"]])
