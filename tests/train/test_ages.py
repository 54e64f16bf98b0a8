"""Ages predicted in steps finer than the age class."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from data_manifests.errors import ManifestError
from data_manifests.taxonomy import AgeCuts
from data_manifests.versions.store import Store
from tests.support.train_drawn import rows_of, tiny_settings, write_people, write_rows
from train.engine.loop import fit
from train.engine.losses import HeadLoss
from train.engine.new_run import new_run
from train.models.age_heads import AGE_HEADS, AgeSteps, corn_log_steps, ten_starts
from train.models.checkpoint import load_trained
from train.models.heads import head_of, log_probability, n_outputs
from train.settings import LossSettings, ModelSettings

FINE = [name for name in AGE_HEADS if name != "classes"]


def ages_of(name: str, cuts: AgeCuts | None = None) -> AgeSteps:
    ages = AGE_HEADS[name](cuts or AgeCuts())
    assert ages is not None
    return ages


@given(name=st.sampled_from(FINE), cuts=st.sampled_from([(30, 60), (30, 58), (45, 60)]), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_steps_lie_within_classes_and_their_probabilities_add_up(name: str, cuts: tuple[int, int], seed: int) -> None:
    ages, years = ages_of(name, AgeCuts(*cuts)), torch.arange(117)
    by_step = ages.class_of[ages.step_of(years)]
    assert torch.equal(by_step, (years >= cuts[0]).long() + (years >= cuts[1]).long())
    outputs = 5 * torch.randn(4, ages.n_outputs, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(ages.log_steps(outputs).exp().sum(1), torch.ones(4))
    torch.testing.assert_close(ages.log_classes(outputs).exp().sum(1), torch.ones(4))


def test_the_ten_steps() -> None:
    assert ten_starts(AgeCuts(30, 60)) == [0, 20, 25, 30, 36, 42, 48, 54, 60, 65]
    assert len(ten_starts(AgeCuts(45, 60))) == 10
    assert ages_of("bins").step_of(torch.tensor([18, 20, 29, 30, 59, 60, 99])).tolist() == [0, 1, 2, 3, 7, 8, 9]
    assert (ages_of("bins").n_outputs, ages_of("corn").n_outputs, ages_of("distribution").n_outputs) == (10, 9, 117)


def test_corn_by_hand() -> None:
    outputs = torch.tensor([[1.0, -2.0]])  # beyond step 0; beyond step 1 given that
    first, second = 1 / (1 + np.exp(-1)), 1 / (1 + np.exp(2))
    expected = [1 - first, first * (1 - second), first * second]
    torch.testing.assert_close(corn_log_steps(outputs).exp(), torch.tensor([expected]).float())
    # the binary tasks of a picture in step 1: beyond 0 (yes), beyond 1 (no)
    asked = functional.binary_cross_entropy_with_logits(outputs[0], torch.tensor([1.0, 0.0]), reduction="sum")
    torch.testing.assert_close(functional.nll_loss(corn_log_steps(outputs), torch.tensor([1])), asked)


@pytest.mark.parametrize("name", FINE)
def test_outputs_follow_from_shares(name: str) -> None:
    ages = ages_of(name)
    shares = torch.rand(len(ages.starts), generator=torch.Generator().manual_seed(0)) + 0.01
    predicted = ages.log_steps(ages.outputs_of(shares)[None])[0].exp()
    torch.testing.assert_close(predicted, shares / shares.sum())


def test_an_ordinal_head_starts_uniform() -> None:
    head = head_of(ModelSettings(head="age", age="corn"), AgeCuts())
    years = torch.arange(18, 60)  # the oldest class is absent
    unknown = torch.full_like(years, -1)
    labels = torch.stack([unknown, unknown, (years >= 30).long()], 1)
    criterion = HeadLoss(LossSettings(), head, labels, years)
    steps = head["age"].age_steps.log_steps(criterion.first_bias[None])[0].exp()  # type: ignore[union-attr]
    torch.testing.assert_close(steps[:8], torch.full((8,), 1 / 8), atol=5e-3, rtol=0)
    assert steps[8:].max() < 0.01


def test_a_distribution_prefers_nearby_ages() -> None:
    ages = ages_of("distribution")

    def loss(predicted: int) -> float:
        near = -((torch.arange(117) - predicted) ** 2) / (2 * 2.0**2)
        return float(ages.distribution_loss(near[None].float(), torch.tensor([40])))

    assert loss(40) == pytest.approx(0, abs=1e-5)
    assert 0 < loss(42) < loss(50) < loss(70)


def test_the_loss_uses_steps_and_the_class_follows_from_them() -> None:
    head = head_of(ModelSettings(head="tasks", age="bins"), AgeCuts())
    assert n_outputs(head) == 3 + 2 + 10
    labels, age = torch.tensor([[0, 0, 0], [0, 0, 1], [0, 0, 2]]), torch.tensor([22, 47, 70])
    outputs = torch.zeros(3, 15)
    outputs[torch.arange(3), 5 + torch.tensor([1, 5, 9])] = 100.0  # the right steps
    assert log_probability(outputs, head).view(3, 3, 2, 3).exp().sum((1, 2)).argmax(1).tolist() == [0, 1, 2]
    only_age = LossSettings(tasks={"mask": 0, "gender": 0})
    criterion = HeadLoss(only_age, head, labels, age)
    assert float(criterion(outputs, labels, age)) == pytest.approx(0, abs=1e-6)
    assert float(criterion(outputs, labels, torch.tensor([26, 47, 70]))) > 10  # the class is right, the step is not


@pytest.mark.slow
@pytest.mark.parametrize("age", FINE)
@pytest.mark.parametrize("head", ["age", "gendered_age"])
def test_each_encoding_learns_and_loads_from_disk(store: Store, head: str, age: str) -> None:
    torch.set_num_threads(1)
    version = write_people(store, train=36, val=12)
    model = {"head": head, "age": age}
    chosen = tiny_settings(model=model, optim={"lr": 0.004, "epochs": 8, "metric": "age_f1"}, data={"augment": {}})
    run = new_run(store, version, chosen)
    progress = fit(store.read("drawn"), chosen, store, run)
    assert progress.best > 0.6  # chance is a third
    trained = load_trained(run.path / "best.pt", torch.device("cpu"))
    assert n_outputs(trained.model.head) == n_outputs(head_of(ModelSettings(head=head, age=age), AgeCuts()))


def test_missing_ages_in_years_are_reported(store: Store) -> None:
    write_rows(store, rows_of(store, 6, split="train") + rows_of(store, 6, split="val", first=6))
    table = store.read("drawn").table
    place = table.column_names.index("age")
    years = [None if row == 4 else age for row, age in enumerate(table["age"].to_pylist())]
    bare = table.set_column(place, "age", pa.array(years, pa.int32()))
    store.write("drawn", bare, "ingest")
    settings = tiny_settings(model={"head": "tasks", "age": "corn"}, optim={"epochs": 1})
    manifest = store.read("drawn")
    with pytest.raises(ManifestError, match=r"model\.age=corn needs ages in years, but 1 rows of drawn@2 have only"):
        fit(manifest, settings, store, new_run(store, manifest.version, settings))
    plain = tiny_settings(model={"head": "tasks"}, optim={"epochs": 1})
    assert fit(manifest, plain, store, new_run(store, manifest.version, plain)).epoch == 1
