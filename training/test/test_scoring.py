# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch
from torch import nn, Tensor

from vidseg_ros.core.errors import ParameterError
from vidseg_training.networks import MEAN, STD
from vidseg_training.scoring import predict, Protocol, window_starts


class Bands(nn.Module):
    """Class 0 where red is below 128, else class 1; at half resolution. Counts what it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1))
        self.seen: list[tuple[int, ...]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(tuple(x.shape[-2:]))
        red = x[:, :1, ::2, ::2] * STD[0] + MEAN[0] - 128
        return torch.cat([-red, red], 1) + self.bias


@pytest.fixture
def image() -> np.ndarray:
    """Left half dark, right half bright, 32x64; read-only, as data sets keep them."""
    pixels = np.zeros((32, 64, 3), np.uint8)
    pixels[:, 32:] = 255
    pixels.flags.writeable = False
    return pixels


@pytest.mark.parametrize(
    ('protocol', 'seen'),
    [
        (Protocol(), [(32, 64)]),
        (Protocol(flip=True), [(32, 64)] * 2),
        (Protocol(scales=(1.0, 2.0)), [(32, 64), (64, 128)]),
        (Protocol(window=(32, 48)), [(32, 48)] * 2),
        (Protocol(scales=(2.0,), flip=True, window=(64, 96)), [(64, 96)] * 4),
        (Protocol(scales=(0.75, 1.25), stride=8), [(24, 48), (40, 80)]),
    ],
)
def test_every_protocol_finds_the_halves(
    image: np.ndarray, protocol: Protocol, seen: list[tuple[int, int]]
) -> None:
    network = Bands()
    labels = predict(network, image, (32, 64), protocol)
    assert labels.shape == (32, 64)
    assert (labels[:, :31] == 0).all()
    assert (labels[:, 33:] == 1).all()
    assert network.seen == seen


def test_windows_overlap_by_a_third_at_least() -> None:
    assert window_starts(90, 90) == [0]
    assert window_starts(60, 90) == [0]
    assert window_starts(150, 90) == [0, 60]
    assert window_starts(151, 90) == [0, 30, 61]


def test_a_pixel_under_several_windows_has_their_mean(image: np.ndarray) -> None:
    """Windows 0-47 and 16-63: logits 0 in the first, 1 in the second; half of it is more."""

    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bias = nn.Parameter(torch.zeros(1))
            self.calls = 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            logits = torch.zeros(1, 3, *x.shape[-2:])
            logits[:, 1] = 0.5 if self.calls == 1 else 0.0
            logits[:, 2] = 0.0 if self.calls == 1 else 0.8
            return logits + self.bias

    labels = predict(Counter(), image, (32, 64), Protocol(window=(32, 48)))
    np.testing.assert_array_equal(np.unique(labels[:, :16]), [1])
    np.testing.assert_array_equal(np.unique(labels[:, 16:48]), [2])  # 0.4 against 0.25
    np.testing.assert_array_equal(np.unique(labels[:, 48:]), [2])


def test_a_protocol_says_what_it_does() -> None:
    assert str(Protocol()) == 'one scale, no flip'
    protocol = Protocol(scales=(0.75, 1.0), flip=True, window=(32, 48))
    assert str(protocol) == 'scales 0.75 1, flip, sliding window 48x32'
    with pytest.raises(ParameterError, match='scales and window must be above zero'):
        Protocol(scales=(0.0,))
