# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Loading of a state dict with the names and shapes of torchvision's."""

from collections.abc import Callable

import pytest
import torch
from torch import nn, Tensor

from vidseg_ros.core.errors import ParameterError, SourceError
from vidseg_training.networks import NETWORKS
from vidseg_training.networks.compact import CompactNet
from vidseg_training.networks.pretrained import class_axes, load_backbone, replace_classes

Weights = dict[str, Tensor]

_BLOCKS = {18: (2, 2, 2, 2), 101: (3, 4, 23, 3)}
_MOBILE_STAGES = (
    (1, 16, 1),
    (6, 24, 2),
    (6, 32, 3),
    (6, 64, 4),
    (6, 96, 3),
    (6, 160, 3),
    (6, 320, 1),
)


def _conv_norm(weights: Weights, conv: str, norm: str, shape: tuple[int, ...]) -> None:
    weights[f'{conv}.weight'] = torch.randn(shape)
    for name in ('weight', 'bias', 'running_mean', 'running_var'):
        weights[f'{norm}.{name}'] = torch.rand(shape[0])
    weights[f'{norm}.num_batches_tracked'] = torch.tensor(7)


def resnet(depth: int) -> Weights:
    """Return random weights in the layout of torchvision's resnet18 or resnet101."""
    weights: Weights = {}
    _conv_norm(weights, 'conv1', 'bn1', (64, 3, 7, 7))
    width = 64
    for stage, blocks in enumerate(_BLOCKS[depth], start=1):
        middle = 32 * 2**stage
        out = middle if depth == 18 else 4 * middle
        for block in range(blocks):
            at = f'layer{stage}.{block}'
            if depth == 18:
                shapes = [(middle, width, 3, 3), (middle, middle, 3, 3)]
            else:
                shapes = [(middle, width, 1, 1), (middle, middle, 3, 3), (out, middle, 1, 1)]
            for number, shape in enumerate(shapes, start=1):
                _conv_norm(weights, f'{at}.conv{number}', f'{at}.bn{number}', shape)
            if block == 0 and width != out:
                shortcut = f'{at}.downsample'
                _conv_norm(weights, f'{shortcut}.0', f'{shortcut}.1', (out, width, 1, 1))
            width = out
    weights['fc.weight'], weights['fc.bias'] = torch.randn(1000, width), torch.randn(1000)
    return weights


def mobilenet_v2() -> Weights:
    """Return random weights in the layout of torchvision's mobilenet_v2."""
    weights: Weights = {}
    _conv_norm(weights, 'features.0.0', 'features.0.1', (32, 3, 3, 3))
    width, number = 32, 1
    for expansion, channels, blocks in _MOBILE_STAGES:
        for _ in range(blocks):
            at, wide = f'features.{number}.conv', width * expansion
            parts = [(wide, 1, 3, 3)] if expansion == 1 else [(wide, width, 1, 1), (wide, 1, 3, 3)]
            for part, shape in enumerate(parts):
                _conv_norm(weights, f'{at}.{part}.0', f'{at}.{part}.1', shape)
            last = len(parts)
            _conv_norm(weights, f'{at}.{last}', f'{at}.{last + 1}', (channels, wide, 1, 1))
            width, number = channels, number + 1
    _conv_norm(weights, 'features.18.0', 'features.18.1', (1280, 320, 1, 1))
    weights['classifier.1.weight'] = torch.randn(1000, 1280)
    weights['classifier.1.bias'] = torch.randn(1000)
    return weights


@pytest.mark.parametrize(
    ('network', 'published', 'parameters'),
    [
        ('pspnet_resnet18', lambda: resnet(18), 11689512),
        ('pspnet_resnet101', lambda: resnet(101), 44549160),
        ('pspnet_mobilenet_v2', mobilenet_v2, 3504872),
    ],
)
def test_the_whole_backbone_is_loaded(
    network: str, published: Callable[[], Weights], parameters: int
) -> None:
    weights = published()
    buffers = ('running_mean', 'running_var', 'num_batches_tracked')
    learned = [value for name, value in weights.items() if not name.endswith(buffers)]
    assert sum(value.numel() for value in learned) == parameters  # as torchvision documents it
    built = NETWORKS[network](4)
    load_backbone(built, weights, 'file')
    backbone = built.backbone
    assert isinstance(backbone, nn.Module)
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, weights[name])


def test_old_files_have_no_counters() -> None:
    weights = {n: v for n, v in resnet(18).items() if not n.endswith('num_batches_tracked')}
    network = NETWORKS['pspnet_resnet18'](4)
    load_backbone(network, weights, 'file')
    assert torch.equal(network.state_dict()['backbone.conv1.weight'], weights['conv1.weight'])


def test_weights_of_another_network_are_refused() -> None:
    network = NETWORKS['pspnet_resnet18'](4)
    before = network.state_dict()['backbone.conv1.weight'].clone()
    message = r'of file are not those of a ResNet: without bn1\.bias, .* more; besides class'
    with pytest.raises(SourceError, match=message):
        load_backbone(network, mobilenet_v2(), 'file')
    deeper = resnet(18)
    deeper['layer1.2.conv1.weight'] = torch.zeros(64, 64, 3, 3)
    with pytest.raises(SourceError, match=r'ResNet: besides layer1\.2\.conv1\.weight$'):
        load_backbone(network, deeper, 'file')
    wider = resnet(18) | {'conv1.weight': torch.zeros(64, 1, 7, 7)}
    with pytest.raises(SourceError, match=r'conv1\.weight is \(64, 1, 7, 7\), not \(64, 3, 7, 7'):
        load_backbone(network, wider, 'file')
    assert torch.equal(network.state_dict()['backbone.conv1.weight'], before)


def test_a_network_without_published_backbone_is_refused() -> None:
    with pytest.raises(ParameterError, match='CompactNet has no backbone'):
        load_backbone(CompactNet(3), {}, 'file')


@pytest.mark.parametrize('name', sorted(set(NETWORKS) - {'pspnet_resnet101'}))  # as resnet18
def test_other_classes_keep_their_logits(name: str) -> None:
    torch.manual_seed(0)
    source = NETWORKS[name](4).eval()
    network, state = replace_classes(NETWORKS[name], source.state_dict(), [3, None, 0])
    network.load_state_dict(state)
    image = torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        logits, expected = network.eval()(image), source(image)
    torch.testing.assert_close(logits[:, [0, 2]], expected[:, [3, 0]], rtol=1e-4, atol=1e-4)
    assert logits.shape[1] == 3
    assert not any(torch.allclose(logits[:, 1], expected[:, row]) for row in range(4))


def test_axes_of_the_classes() -> None:
    assert class_axes(CompactNet) == {'head.1.weight': 0, 'head.1.bias': 0}
    assert class_axes(NETWORKS['fddwnet'])['layer31.up_conv.0.weight'] == 1
    assert set(class_axes(NETWORKS['pspnet_resnet18'])) == {
        'classifier.weight',
        'classifier.bias',
        'auxiliary.1.weight',
        'auxiliary.1.bias',
    }
