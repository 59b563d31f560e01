# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from vidseg_training.networks.dual_resolution import DualResolutionNet
from vidseg_training.networks.resnet import BasicBlock


@pytest.mark.parametrize(
    ('network', 'parameters'),
    [(DualResolutionNet(11), 3.197e6), (DualResolutionNet.small(11), 0.969e6)],
)
def test_the_networks_have_the_size_that_is_documented(
    network: DualResolutionNet, parameters: float
) -> None:
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(parameters, rel=1e-3)


@pytest.mark.parametrize('size', [(360, 480), (40, 72), (8, 8)])
def test_logits_have_a_quarter_of_any_size_that_eight_divides(size: tuple[int, int]) -> None:
    network = DualResolutionNet.small(5).eval()
    with torch.inference_mode():
        assert network(torch.rand(2, 3, *size)).shape == (2, 5, size[0] // 4, size[1] // 4)


def test_training_has_the_logits_of_the_auxiliary_head_beside() -> None:
    network = DualResolutionNet.small(5)
    logits, auxiliary = network(torch.rand(2, 3, 64, 96))
    assert logits.shape == (2, 5, 16, 24)
    assert auxiliary.shape == (2, 5, 8, 12)
    (logits.sum() + auxiliary.sum()).backward()
    assert all(p.grad is not None for p in network.parameters())


def test_every_logit_sees_the_whole_image() -> None:
    """The corner of the logits depends on the opposite corner of the image."""
    torch.manual_seed(0)
    network = DualResolutionNet.small(5).eval()
    image = torch.rand(1, 3, 256, 256, requires_grad=True)
    network(image)[0, :, 0, 0].sum().backward()
    assert image.grad is not None
    assert image.grad[0, :, -8:, -8:].abs().sum() > 0


def test_a_block_adds_its_convolutions_to_its_input() -> None:
    block = BasicBlock(4, 4, relu=False).eval()
    torch.nn.init.zeros_(block.conv2.weight)
    x = torch.randn(1, 4, 5, 6)
    with torch.inference_mode():
        torch.testing.assert_close(block(x), x)
    block = BasicBlock(4, 4).eval()
    torch.nn.init.zeros_(block.conv2.weight)
    with torch.inference_mode():
        torch.testing.assert_close(block(x), x.clamp(min=0))


def test_block_parameters_are_named_as_torchvision_names_them() -> None:
    norm = ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked')
    assert set(BasicBlock(64, 128, stride=2).state_dict()) == {
        'conv1.weight',
        'conv2.weight',
        'downsample.0.weight',
        *(f'{layer}.{name}' for layer in ('bn1', 'bn2', 'downsample.1') for name in norm),
    }
