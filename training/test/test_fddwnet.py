# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from vidseg_ros.core.labels import CAMVID, CITYSCAPES
from vidseg_ros.core.metrics import Confusion
from vidseg_training.data.camvid import CamVid
from vidseg_training.export import predict
from vidseg_training.networks import NETWORKS
from vidseg_training.networks.fddwnet import AxisConv, FDDWNet, load_fddwnet

# every Cityscapes class as a CamVid class, in Cityscapes order
_TO_CAMVID = (3, 4, 1, 1, 7, 2, 6, 6, 5, 5, 0, 9, 10, 8, 8, 8, 8, 10, 10)


def test_logits_have_the_image_size_and_the_published_number_of_parameters() -> None:
    network = FDDWNet(19).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 40, 64)).shape == (1, 19, 40, 64)
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(0.8e6, rel=0.05)


def test_the_head_can_start_from_chosen_classes() -> None:
    torch.manual_seed(0)
    source = FDDWNet(4).eval()
    taken = load_fddwnet(source.state_dict(), 3, [3, 0, 3]).eval()
    image = torch.rand(1, 3, 16, 16)
    with torch.inference_mode():
        torch.testing.assert_close(taken(image), source(image)[:, [3, 0, 3]])


def test_classes_that_nobody_knows_start_from_random_weights() -> None:
    torch.manual_seed(0)
    source = FDDWNet(4).eval()
    taken = load_fddwnet(source.state_dict(), 3, [None, 2, None]).eval()
    image = torch.rand(1, 3, 16, 16)
    with torch.inference_mode():
        logits, expected = taken(image), source(image)
    torch.testing.assert_close(logits[:, 1], expected[:, 2])
    assert not torch.allclose(logits[:, 0], logits[:, 2])


@pytest.mark.parametrize('name', sorted(NETWORKS))
def test_logits_are_shifted_by_a_constant_of_each_class(name: str) -> None:
    torch.manual_seed(0)
    network = NETWORKS[name](3).eval()
    image, offset = torch.rand(1, 3, 32, 32), torch.tensor([0.5, 0.0, -2.0])
    with torch.inference_mode():
        before = network(image)
    network.shift_logits(offset)
    with torch.inference_mode():
        torch.testing.assert_close(network(image), before + offset.view(3, 1, 1))


def test_head_rows_must_be_one_per_class() -> None:
    with pytest.raises(ValueError, match='2 head rows for 3 classes'):
        load_fddwnet(FDDWNet(4).state_dict(), 3, [0, 1])


def test_published_weights_score_zero_shot_as_measured(data_dir: Path) -> None:
    """61.0 mIoU on every eighth CamVid test image at 480x360 tells that every layer is right."""
    path = data_dir / 'weights' / 'fddwnet_cityscapes.pth'
    weights = torch.load(path, map_location='cpu', weights_only=True)['state_dict']
    network = load_fddwnet(weights, len(CITYSCAPES)).eval()
    images = CamVid(data_dir / 'camvid', 'test')
    confusion = Confusion(len(CAMVID))
    for index in range(0, len(images), 8):
        image, truth = images[index]
        labels = np.array(_TO_CAMVID, np.uint8)[predict(network, image, image.shape[:2])]
        confusion.add(truth, labels)
    assert 100 * confusion.miou() == pytest.approx(61.0, abs=0.1)


@pytest.mark.parametrize('dilation', [1, 2, 5])
@pytest.mark.parametrize('kernel', [(3, 1), (1, 3)])
@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
def test_the_quick_convolution_is_the_dilated_one(
    kernel: tuple[int, int], dilation: int, layout: torch.memory_format
) -> None:
    torch.manual_seed(0)
    padding = (kernel[0] // 2 * dilation, kernel[1] // 2 * dilation)
    conv = AxisConv(4, 4, kernel, 1, padding, dilation=dilation, groups=4)
    found = []
    for function in (conv, lambda x: nn.Conv2d.forward(conv, x)):
        images = torch.linspace(-3, 5, 2 * 4 * 11 * 13).reshape(2, 4, 11, 13).sin()
        images = images.to(memory_format=layout).requires_grad_()
        conv.weight.grad = None
        result = function(images)
        result.pow(2).sum().backward()
        found.append((result, images.grad, conv.weight.grad))
    assert found[0][0].shape == (2, 4, 11, 13)
    torch.testing.assert_close(found[0], found[1], rtol=1e-5, atol=1e-5)
