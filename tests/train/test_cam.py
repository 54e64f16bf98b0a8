"""Attention maps of networks: Grad-CAM++ and Smooth Grad-CAM++."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from data_manifests.errors import ConfigError
from data_manifests.taxonomy import AgeCuts
from tests.support.train_drawn import tiny_settings
from train.explain import cam as cam_module
from train.explain.cam import AttentionMaps, attention_shares, reshape_transform, target_layer
from train.models.checkpoint import Trained
from train.models.network import build_model

GREY = (127, 127, 127)
BOX = [6.0, 8.0, 26.0, 28.0]


class ByColour(nn.Module):
    """A network that predicts class 3 for red and class 5 for blue, anywhere in the picture."""

    feature_info = ({"module": "stage", "num_chs": 3, "reduction": 1},)

    def __init__(self) -> None:
        super().__init__()
        self.stage = nn.Conv2d(3, 3, 1, bias=False)
        self.stage.weight.data = torch.eye(3)[..., None, None]
        self.head = nn.Linear(3, 18, bias=False)
        self.head.weight.data = torch.zeros(18, 3)
        self.head.weight.data[3, 0] = self.head.weight.data[5, 2] = 5.0

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(self.stage(image).relu().mean((2, 3)))


def trained_with(**model: object) -> Trained:
    settings = tiny_settings(model=model)
    return Trained(build_model(settings.model, settings.data.size, AgeCuts()), settings, AgeCuts(), 1, {})


def by_colour() -> Trained:
    trained = trained_with()
    trained.model.backbones = nn.ModuleList([ByColour()])
    trained.model.mean.zero_()
    trained.model.std.fill_(1)
    return trained


def test_a_map_covers_the_evidence_for_the_class() -> None:
    image = torch.zeros(1, 3, 32, 32)
    image[:, 0, 4:12, 4:12] = 1  # red above left
    image[:, 2, 20:28, 20:28] = 1  # blue below right
    attention = AttentionMaps(by_colour())
    red, blue = attention.maps(image.repeat(2, 1, 1, 1), [3, 5])
    assert red.shape == (32, 32)
    assert red[5:11, 5:11].min() > 0.9
    assert red[16:].max() < 0.05
    assert blue[21:27, 21:27].min() > 0.9
    assert blue[:16].max() < 0.05
    smooth = attention.smooth_map(image[0], 3, np.random.default_rng(0))
    assert smooth[4:12, 4:12].mean() > 0.9 > 5 * smooth[16:].mean()


def test_the_smooth_map_without_noise_is_the_plain_map(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    attention = AttentionMaps(trained_with())
    image = torch.rand(3, 32, 32)
    (plain,) = attention.maps(image[None], [4])
    noisy = attention.smooth_map(image, 4, np.random.default_rng(0))
    monkeypatch.setattr(cam_module, "NOISE", 0.0)
    assert np.allclose(attention.smooth_map(image, 4, np.random.default_rng(0)), plain, atol=1e-4)
    assert not np.allclose(noisy, plain, atol=1e-2)


@pytest.mark.parametrize(
    "model",
    [
        {"backbone": "test_vit"},
        {"backbone": "test_efficientnet"},
        {"backbone": "test_convnext"},
        {"backbone": "test_resnet", "freeze": "backbone"},
        {"backbone": "test_resnet", "head": "tasks", "networks": "separate"},
        {"backbone": "test_resnet", "head": "gendered_age", "age": "corn"},
    ],
    ids=lambda model: "-".join(map(str, model.values())),
)
def test_all_kinds_of_networks_have_maps(model: dict) -> None:
    torch.manual_seed(0)
    settings = tiny_settings(model=model, data={"size": [64, 64]})
    network = build_model(settings.model, (64, 64), AgeCuts())
    attention = AttentionMaps(Trained(network, settings, AgeCuts(), 1, {}))
    maps = attention.maps(torch.rand(2, 3, 64, 64), [0, 17])
    assert maps.shape == (2, 64, 64)
    assert maps.min() >= 0
    assert maps.max() <= 1
    assert np.ptp(maps[0]) > 0.5  # not flat
    assert all(parameter.grad is None for parameter in network.parameters())


def test_the_target_layer_is_the_deepest_with_a_fine_map() -> None:
    backbone = trained_with().model.backbones[0]
    reductions = {stage["reduction"]: stage["module"] for stage in backbone.feature_info}
    assert target_layer(backbone, (224, 224)) is backbone.get_submodule(reductions[32])
    assert target_layer(backbone, (128, 96)) is backbone.get_submodule(reductions[8])
    assert target_layer(backbone, (16, 16)) is backbone.get_submodule(next(iter(reductions.values())))


def test_tokens_and_channels_are_reshaped() -> None:
    class Tokens(nn.Module):
        num_prefix_tokens = 1

    tokens = Tokens()
    tokens.patch_embed = nn.Module()
    tokens.patch_embed.grid_size = (2, 3)
    output = torch.arange(7.0).view(1, 7, 1)  # a class token, then six patches row by row
    assert reshape_transform(tokens)(output)[0, 0].tolist() == [[1, 2, 3], [4, 5, 6]]
    last = nn.Module()
    last.output_fmt = "NHWC"
    assert reshape_transform(last)(torch.zeros(1, 4, 5, 8)).shape == (1, 8, 4, 5)
    assert reshape_transform(nn.Module())(torch.zeros(1, 8, 4, 5)).shape == (1, 8, 4, 5)


def test_a_network_on_vectors_has_no_maps() -> None:
    trained = trained_with()
    settings = trained.settings.model_copy(
        update={"model": trained.settings.model.model_copy(update={"embedding": "dlib"})}
    )
    with pytest.raises(ConfigError, match=r"this network takes vectors of the embedding 'dlib'"):
        AttentionMaps(replace(trained, settings=settings))


def test_shares_of_attention() -> None:
    regions = np.zeros((2, 4, 4, 4), np.uint8)
    regions[:, :2, :, 0] = 255  # the face is the upper half
    regions[:, 2:, :, 3] = 255
    maps = np.zeros((2, 4, 4), np.float32)
    maps[0, 0, 0], maps[0, 3, 0] = 1, 0.25
    shares = attention_shares(maps, regions)
    assert shares[0].tolist() == pytest.approx([0.8, 0, 0, 0.2])
    assert np.isnan(shares[1]).all()
