# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
import pytest
import torch
import torch.nn.functional as F

from vidseg_training.networks.layers import pool_to_bins
from vidseg_training.networks.mobilenet import MobileNetV2
from vidseg_training.networks.pspnet import PSPNet, PyramidPoolingHead
from vidseg_training.networks.resnet import BasicBlock, Bottleneck, residual_stage, ResNet


@pytest.fixture(scope='module')
def small() -> PSPNet:
    """Return a PSPNet of five classes on a ResNet-10."""
    torch.manual_seed(0)
    return PSPNet(ResNet(BasicBlock, (1, 1, 1, 1)), 5)


def test_resnet18_has_the_published_number_of_parameters() -> None:
    """12.9 M with the auxiliary head: Yang et al., CVPR 2022, table 2."""
    network = PSPNet.resnet18(19)
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(12.9e6, rel=5e-3)


def test_resnet101_has_the_number_of_parameters_of_its_parts() -> None:
    """torchvision's 44549160 without the classifier, and the layers of the heads."""
    network = PSPNet.resnet101(19)
    head = 4 * (2048 * 512 + 1024) + 4096 * 512 * 9 + 1024 + 512 * 19 + 19
    auxiliary = 1024 * 512 * 9 + 1024 + 512 * 19 + 19
    expected = 44549160 - 2049000 + head + auxiliary
    assert sum(p.numel() for p in network.parameters()) == expected


def test_mobilenet_has_the_published_number_of_parameters() -> None:
    """torchvision's 3504872 without the classifier and the 1x1 convolution before it."""
    backbone = MobileNetV2()
    expected = 3504872 - 1281000 - (320 * 1280 + 2560)
    assert sum(p.numel() for p in backbone.parameters()) == expected


@pytest.mark.parametrize('size', [(40, 72), (8, 8)])
def test_logits_have_an_eighth_of_the_size(small: PSPNet, size: tuple[int, int]) -> None:
    with torch.inference_mode():
        logits = small.eval()(torch.rand(1, 3, *size))
    assert logits.shape == (1, 5, size[0] // 8, size[1] // 8)


def test_the_mobile_backbone_stays_at_stride_eight() -> None:
    with torch.inference_mode():
        middle, last = MobileNetV2().eval()(torch.rand(1, 3, 40, 72))
    assert (middle.shape, last.shape) == ((1, 96, 5, 9), (1, 320, 5, 9))


def test_training_has_the_logits_of_the_auxiliary_head_beside(small: PSPNet) -> None:
    logits, auxiliary = small.train()(torch.rand(2, 3, 32, 48))
    assert logits.shape == auxiliary.shape == (2, 5, 4, 6)
    (logits.sum() + auxiliary.sum()).backward()
    assert all(p.grad is not None for p in small.parameters())


@pytest.mark.parametrize('bins', [1, 2, 3, 6])
@pytest.mark.parametrize('size', [(12, 18), (7, 10), (1, 5)])
def test_bins_are_those_of_adaptive_pooling(bins: int, size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    torch.testing.assert_close(pool_to_bins(x, bins), F.adaptive_avg_pool2d(x, bins))


def test_every_pixel_knows_the_whole_image() -> None:
    torch.manual_seed(0)
    head = PyramidPoolingHead(8, 4).eval()
    x = torch.rand(1, 8, 24, 24, requires_grad=True)
    head(x)[0, :, 0, 0].sum().backward()
    assert x.grad is not None
    assert (x.grad[0].abs().sum(0) > 0).all()


@pytest.mark.parametrize(
    ('block', 'dilations'),
    [(BasicBlock, [(2, 4), (4, 4)]), (Bottleneck, [(1, 2, 1), (1, 4, 1)])],
)
def test_a_dilated_stage_begins_with_half_the_dilation(
    block: type[BasicBlock | Bottleneck], dilations: list[tuple[int, ...]]
) -> None:
    stage = residual_stage(8, 8, 2, dilation=4, block=block)
    found = [
        tuple(
            layer.dilation[0]
            for name, layer in one.named_modules()
            if isinstance(layer, torch.nn.Conv2d) and name.startswith('conv')
        )
        for one in stage
    ]
    assert found == dilations
    assert stage(torch.rand(1, 8, 9, 9)).shape == (1, 8 * block.expansion, 9, 9)


def test_a_bottleneck_adds_its_convolutions_to_its_input() -> None:
    block = Bottleneck(16, 4).eval()
    torch.nn.init.zeros_(block.conv3.weight)
    x = torch.randn(1, 16, 5, 6)
    with torch.inference_mode():
        torch.testing.assert_close(block(x), x.clamp(min=0))
