# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from vidseg_training.networks.hrnet import HighResolutionModule, HighResolutionTrunk, HRNet


def test_the_network_has_the_published_number_of_parameters() -> None:
    """3.9 M: HRNetV2-W18-Small-v2 in the table of github.com/HRNet/HRNet-Semantic-Segmentation."""
    assert sum(p.numel() for p in HRNet(19).parameters()) == pytest.approx(3.9e6, rel=0.015)


def test_branches_halve_and_logits_have_a_quarter_of_the_size() -> None:
    network = HRNet(5).eval()
    images = torch.rand(1, 3, 36, 52)
    with torch.inference_mode():
        branches = network.backbone(images)
        logits = network(images)
    assert [tuple(branch.shape[1:]) for branch in branches] == [
        (18, 9, 13),
        (36, 5, 7),
        (72, 3, 4),
        (144, 2, 2),
    ]
    assert logits.shape == (1, 5, 9, 13)


def test_every_branch_gets_the_sum_of_all() -> None:
    torch.manual_seed(0)
    module = HighResolutionModule((2, 4, 8)).eval()
    sizes = ((2, 8, 8), (4, 4, 4), (8, 2, 2))
    branches = [torch.rand(1, *size, requires_grad=True) for size in sizes]
    for fused, size in zip(module(branches), sizes, strict=True):
        assert fused.shape == (1, *size)
        grads = torch.autograd.grad(fused.sum(), branches, retain_graph=True)
        assert all((grad != 0).any() for grad in grads)


def test_parameters_are_named_as_in_the_published_weights() -> None:
    """One of each kind, as they stand in the published weights for ImageNet."""
    shapes = {
        name: tuple(value.shape) for name, value in HighResolutionTrunk().state_dict().items()
    }
    published = {
        'conv2.weight': (64, 64, 3, 3),
        'layer1.0.downsample.0.weight': (256, 64, 1, 1),
        'layer1.1.conv3.weight': (256, 64, 1, 1),
        'transition1.0.0.weight': (18, 256, 3, 3),
        'transition1.1.0.0.weight': (36, 256, 3, 3),
        'stage2.0.branches.1.1.conv2.weight': (36, 36, 3, 3),
        'stage2.0.fuse_layers.0.1.0.weight': (18, 36, 1, 1),
        'transition2.2.0.0.weight': (72, 36, 3, 3),
        'stage3.2.fuse_layers.2.0.0.0.weight': (18, 18, 3, 3),
        'stage3.2.fuse_layers.2.0.1.0.weight': (72, 18, 3, 3),
        'transition3.3.0.1.running_mean': (144,),
        'stage4.1.fuse_layers.3.0.2.1.weight': (144,),
        'stage4.1.branches.3.0.bn1.bias': (144,),
    }
    assert {name: shapes[name] for name in published} == published
