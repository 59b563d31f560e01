# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from vidseg_ros.core.errors import SourceError
from vidseg_ros.core.labels import CAMVID, CITYSCAPES, LabelSet
from vidseg_training.checkpoints import CHECKPOINT, read_weights, WEIGHTS, write_weights
from vidseg_training.config import TrainConfig
from vidseg_training.fitting import run
from vidseg_training.networks import NETWORKS
from vidseg_training.networks.head import head_axes, replace_head
from vidseg_training.starting_weights import class_rows, initial_network


def test_every_network_has_a_head_that_depends_on_its_classes() -> None:
    for name, build in NETWORKS.items():
        axes = head_axes(build)
        with torch.device('meta'):
            state = build(7).state_dict()
        assert {state[key].shape[axis] for key, axis in axes.items()} == {7}, name
        assert any(key.endswith('weight') for key in axes), name


@pytest.mark.parametrize('name', ['compact', 'dual_resolution_small', 'fddwnet'])
def test_a_network_gets_other_classes_for_the_same_trunk(name: str) -> None:
    """A class that is taken over keeps its logits, and each new one has some of its own."""
    torch.manual_seed(0)
    build = NETWORKS[name]
    old, new = build(4), build(3)
    new.load_state_dict(replace_head(build, old.state_dict(), [2, None, 0]))
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        before, after = old.eval()(image), new.eval()(image)
    torch.testing.assert_close(after[:, [0, 2]], before[:, [2, 0]])
    assert after.shape[1] == 3
    axes = head_axes(build)
    assert set(axes.values()) <= {0, 1}
    for key, value in new.state_dict().items():
        if key not in axes:
            torch.testing.assert_close(value, old.state_dict()[key], rtol=0, atol=0)


def test_classes_are_found_by_name_then_by_likeness() -> None:
    labels = LabelSet(names=('car', 'tree', 'tram'), colors=((0, 0, 0),) * 3)
    assert class_rows(labels, ('road', 'car', 'tree', 'vegetation')) == [1, 2, None]
    assert class_rows(labels, CITYSCAPES.names) == [13, 8, None]
    assert class_rows(CAMVID, CAMVID.names) == list(range(11))


@pytest.mark.parametrize('what', ['', CHECKPOINT, WEIGHTS])
def test_a_run_on_other_data_starts_a_network(
    small_config: TrainConfig, tmp_path: Path, what: str
) -> None:
    """Only the rows of the last convolution differ: tram is new, road is CamVid's."""
    run(replace(small_config, epochs=1), tmp_path / 'big')
    state = read_weights(tmp_path / 'big').state
    labels = LabelSet(names=('tram', 'road'), colors=((0, 0, 0), (1, 1, 1)))
    config = replace(small_config, init=tmp_path / 'big' / what)
    start = initial_network(config, labels).state_dict()
    for name, value in start.items():
        if not name.startswith('head.1.'):
            torch.testing.assert_close(value, state[name], rtol=0, atol=0)
    road = CAMVID.names.index('road')
    torch.testing.assert_close(start['head.1.weight'][1], state['head.1.weight'][road])
    assert not torch.equal(start['head.1.weight'][0], state['head.1.weight'][0])


def test_runs_that_cannot_start_a_network_are_named(
    small_config: TrainConfig, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    network = NETWORKS['compact'](11)
    write_weights(tmp_path / WEIGHTS, network, small_config, 1, classes=CAMVID.names)
    config = replace(small_config, network='fddwnet', init=tmp_path / WEIGHTS)
    with pytest.raises(SourceError, match=r'not those of a FDDWNet: without layer1\.conv\.0'):
        initial_network(config, CAMVID)
    write_weights(tmp_path / WEIGHTS, network, small_config, 1, classes=())
    with pytest.raises(SourceError, match='does not name its classes'):
        initial_network(replace(config, network='compact'), CAMVID)
    with pytest.raises(SourceError, match=r'cannot start from .*none\.pth'):
        initial_network(replace(config, init=tmp_path / 'none.pth'), CAMVID)
    torch.save({'conv1.weight': torch.zeros(1)}, tmp_path / 'backbone.pth')
    with pytest.raises(SourceError, match=r'backbone\.pth: CompactNet has no backbone'):
        initial_network(replace(config, network='compact', init=tmp_path / 'backbone.pth'), CAMVID)
