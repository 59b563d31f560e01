# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import save_file
import torch

from vidseg_ros.core.errors import ParameterError, SourceError
from vidseg_ros.core.labels import CAMVID, CITYSCAPES, LabelSet, STREET
from vidseg_training.checkpoints import write_weights
from vidseg_training.config import TrainConfig
from vidseg_training.data.camvid import CamVid
from vidseg_training.networks import NETWORKS
from vidseg_training.networks.compact import CompactNet
from vidseg_training.networks.fddwnet import FDDWNet
from vidseg_training.provenance import describe_sources, licence_of
from vidseg_training.starting_weights import CAMVID_FROM_CITYSCAPES, class_rows, initial_network


def test_every_camvid_class_starts_from_a_cityscapes_class() -> None:
    assert tuple(CAMVID_FROM_CITYSCAPES) == CAMVID.names
    assert set(CAMVID_FROM_CITYSCAPES.values()) <= set(CITYSCAPES.names)


def test_rows_are_those_of_the_same_name_first() -> None:
    labels = LabelSet(names=('tree', 'tram', 'road'), colors=((0, 0, 0),) * 3)
    vegetation, road = (CITYSCAPES.names.index(name) for name in ('vegetation', 'road'))
    assert class_rows(labels, CITYSCAPES.names) == [vegetation, None, road]
    assert class_rows(labels, CAMVID.names) == [5, None, 3]


def test_published_weights_start_the_classes_they_know(tmp_path: Path) -> None:
    torch.manual_seed(1)
    source = FDDWNet(len(CITYSCAPES))
    path = tmp_path / 'weights.pth'
    torch.save({'state_dict': source.state_dict()}, path)
    config = TrainConfig(name='own_compact', network='fddwnet', dataset='folder', init=path)
    labels = LabelSet(names=('tram', 'road'), colors=((0, 0, 0), (1, 1, 1)))
    network = initial_network(config, labels).eval()
    image = torch.rand(1, 3, 16, 16)
    with torch.inference_mode():
        road = source.eval()(image)[:, CITYSCAPES.names.index('road')]
        torch.testing.assert_close(network(image)[:, 1], road)


def test_backbone_weights_start_the_backbone(tmp_path: Path) -> None:
    torch.manual_seed(1)
    path = tmp_path / 'imagenet.pth'
    backbone = NETWORKS['hrnet_w18_small'](2).backbone
    assert isinstance(backbone, torch.nn.Module)
    classifier = {'classifier.weight': torch.zeros(1000, 2048)}
    torch.save(backbone.state_dict() | classifier, path)
    config = TrainConfig(name='x', network='hrnet_w18_small', dataset='camvid', init=path)
    state = initial_network(config, CAMVID).state_dict()
    for name, value in backbone.state_dict().items():
        assert torch.equal(state[f'backbone.{name}'], value)
    with pytest.raises(ParameterError, match='CompactNet has no backbone that published weights'):
        initial_network(replace(config, network='compact'), CAMVID)
    path.write_bytes(b'nothing')
    reason = r'it is no weights file of PyTorch, or it is damaged$'  # and no advice of PyTorch's
    with pytest.raises(SourceError, match=rf'^cannot read the weights .*imagenet\.pth: {reason}'):
        initial_network(config, CAMVID)
    torch.save([1, 2], path)
    with pytest.raises(SourceError, match=r'imagenet\.pth: it holds a list, not named tensors'):
        initial_network(config, CAMVID)
    path.unlink()
    with pytest.raises(SourceError, match=r'imagenet\.pth: No such file or directory$'):
        initial_network(config, CAMVID)


@pytest.fixture
def earlier_run(tmp_path: Path) -> Path:
    """Return the weights of a CompactNet that was trained on street clips."""
    torch.manual_seed(1)
    network = CompactNet(len(STREET))
    path = tmp_path / 'last.safetensors'
    config = TrainConfig(name='street_compact', network='compact', dataset='street')
    write_weights(path, network, config, 3, classes=STREET.names)
    return path


def test_another_run_starts_what_has_the_same_name(
    small_config: TrainConfig, earlier_run: Path
) -> None:
    torch.manual_seed(1)
    source = CompactNet(len(STREET)).eval()
    network = initial_network(replace(small_config, init=earlier_run), CAMVID).eval()
    image = torch.rand(1, 3, 16, 16)
    with torch.inference_mode():
        logits, expected = network(image), source(image)
    for name in ('sky', 'road', 'car', 'pedestrian'):
        torch.testing.assert_close(
            logits[:, CAMVID.names.index(name)], expected[:, STREET.names.index(name)]
        )
    fence = logits[:, CAMVID.names.index('fence')]
    assert not any(torch.allclose(fence, known) for known in expected[0])
    with pytest.raises(SourceError, match='it is a compact, this run wants a fddwnet'):
        initial_network(replace(small_config, init=earlier_run, network='fddwnet'), CAMVID)


def test_a_run_of_another_width_is_refused_with_the_keys_that_differ(
    small_config: TrainConfig, tmp_path: Path
) -> None:
    """As of another version; its head would not fit before the whole is compared."""
    path = tmp_path / 'last.safetensors'
    network = CompactNet(len(STREET))
    network.head[1] = torch.nn.Conv2d(96, len(STREET), 1)
    write_weights(path, network, small_config, 3, classes=STREET.names)
    said = r'last\.safetensors are not those of a CompactNet: of other shape: head\.1\.weight is '
    with pytest.raises(SourceError, match=said):
        initial_network(replace(small_config, init=path), CAMVID)
    write_weights(path, CompactNet(3), small_config, 3, classes=STREET.names)
    with pytest.raises(SourceError, match=said):
        initial_network(replace(small_config, init=path), CAMVID)


def test_comparing_a_run_draws_nothing_of_what_starts_new_classes(
    small_config: TrainConfig, earlier_run: Path
) -> None:
    started = initial_network(replace(small_config, init=earlier_run), CAMVID).state_dict()
    torch.manual_seed(small_config.seed)
    fresh = CompactNet(len(CAMVID)).state_dict()
    fence = CAMVID.names.index('fence')
    assert torch.equal(started['head.1.weight'][fence], fresh['head.1.weight'][fence])


def test_published_weights_may_be_safetensors(tmp_path: Path) -> None:
    """Such a file has no settings of a run, and is no run therefore."""
    path = tmp_path / 'imagenet.safetensors'
    backbone = NETWORKS['hrnet_w18_small'](2).backbone
    assert isinstance(backbone, torch.nn.Module)
    classifier = {'classifier.weight': torch.zeros(1000, 2048)}
    save_file(backbone.state_dict() | classifier, path, {'format': 'pt'})
    config = TrainConfig(name='x', network='hrnet_w18_small', dataset='camvid', init=path)
    state = initial_network(config, CAMVID).state_dict()
    for name, value in backbone.state_dict().items():
        assert torch.equal(state[f'backbone.{name}'], value)
    save_file(FDDWNet(len(CITYSCAPES)).state_dict(), path)
    initial_network(replace(config, network='fddwnet'), CAMVID)
    with pytest.raises(SourceError, match=r'imagenet\.safetensors are not those of a '):
        initial_network(config, CAMVID)
    path.write_bytes(b'nothing')
    with pytest.raises(SourceError, match=r'imagenet\.safetensors: it is no safetensors file, or'):
        initial_network(config, CAMVID)


def test_a_run_whose_data_are_gone_knows_its_classes(
    small_config: TrainConfig, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    source = CompactNet(19)
    path = tmp_path / 'last.safetensors'
    gone = replace(small_config, dataset='vspw', data=tmp_path / 'gone')
    write_weights(path, source, gone, 3, classes=CITYSCAPES.names)
    state = initial_network(replace(small_config, init=path), CAMVID).state_dict()
    expected = source.state_dict()['head.1.weight']
    torch.testing.assert_close(
        state['head.1.weight'][CAMVID.names.index('tree')],
        expected[CITYSCAPES.names.index('vegetation')],
    )
    write_weights(path, source, gone, 3, classes=())
    with pytest.raises(SourceError, match='gone'):
        initial_network(replace(small_config, init=path), CAMVID)


def test_the_card_names_what_the_weights_started_from(
    small_config: TrainConfig, earlier_run: Path, tmp_path: Path
) -> None:
    test = CamVid(small_config.data, 'test')
    _, street = describe_sources(replace(small_config, init=earlier_run), test)
    assert street.name.startswith('procedural street clips')
    assert street.use == 'starting weights, training'
    _, imagenet = describe_sources(replace(small_config, init=Path('resnet18.pth')), test)
    assert imagenet.name == 'resnet18.pth, backbone trained on ImageNet'
    save_file({'conv1.weight': torch.zeros(1)}, tmp_path / 'hrnet.safetensors')
    started = replace(small_config, init=tmp_path / 'hrnet.safetensors')
    _, published = describe_sources(started, test)
    assert published.name == 'hrnet.safetensors, backbone trained on ImageNet'
    for name in ('gone.ckpt', 'gone.safetensors'):
        _, gone = describe_sources(replace(small_config, init=tmp_path / name), test)
        assert gone.name == f'the run {name}'
    for source in (imagenet, published, gone):
        assert 'non-commercial' in licence_of((source,))
