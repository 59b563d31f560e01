# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
import pytest
from safetensors.torch import save_file
import torch

from vidseg_ros.core.errors import ParameterError, SourceError
from vidseg_ros.core.fleet.record import file_digest
from vidseg_ros.core.motion import dis_flow
from vidseg_training.motion_config import MotionConfig
from vidseg_training.motion_training import train_motion
from vidseg_training.propagation.learned import LearnedMotion
from vidseg_training.propagation.motion import ClipFrame, open_motion


@pytest.fixture(scope='module')
def weights(moving_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a network that has learned from DIS and the frames of the moving clip."""
    config = MotionConfig(
        clips=(str(moving_clip),), width=8, crop_size=(64, 64), epochs=1, windows=40, batch_size=2
    )
    return train_motion(config, tmp_path_factory.mktemp('run'))


def _frames(clip: Path) -> list[ClipFrame]:
    images = [cv2.imread(str(path), cv2.IMREAD_COLOR) for path in sorted(clip.iterdir())]
    return [
        ClipFrame(index, image[..., ::-1].astype(np.uint8))
        for index, image in enumerate(images)
        if image is not None
    ]


def test_a_checkpoint_is_a_motion_source(weights: Path, moving_clip: Path) -> None:
    source = open_motion(weights)
    assert source.name.startswith('reconstruction-')
    assert source.past_frames == 1
    frames = _frames(moving_clip)
    for past in ([frames[4]], []):
        flow = source.backward_flow(frames[6], frames[5], past)
        assert (flow.shape, flow.dtype) == ((72, 96, 2), np.float32)
        # Each frame is the one before it, 2 px further left.
        np.testing.assert_allclose(np.median(flow[16:-16, 16:-16], (0, 1)), (2, 0), atol=0.1)


def test_the_name_follows_the_weights(weights: Path, tmp_path: Path) -> None:
    assert open_motion(str(weights)).name == LearnedMotion.load(weights.parent).name
    other = tmp_path / 'other.safetensors'
    changed = LearnedMotion.load(weights)
    state = {name: value + 1 for name, value in changed.network.state_dict().items()}
    save_file(state, other, {'motion': '{"mode": "reconstruction", "width": 8, "flow": "dis"}'})
    assert open_motion(other).name != changed.name


def test_a_network_with_a_flow_of_ones_own_asks_for_it(weights: Path, tmp_path: Path) -> None:
    state = LearnedMotion.load(weights).network.state_dict()
    path = tmp_path / 'own.safetensors'
    save_file(state, path, {'motion': '{"mode": "reconstruction", "width": 8, "flow": "own"}'})
    with pytest.raises(ParameterError, match=r'starts from a flow of its trainer'):
        LearnedMotion.load(path)
    assert LearnedMotion.load(path, dis_flow).network.mode == 'reconstruction'


def test_the_name_follows_the_flow_where_the_file_does_not_say_it(
    weights: Path, tmp_path: Path
) -> None:
    def my_flow(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
        return dis_flow(first, second) / 2

    recorded = LearnedMotion.load(weights)
    alone = f'reconstruction-{file_digest(weights).hex()[:8]}'
    assert recorded.name == f'{alone}-dis'  # with which steadiness is measured
    assert LearnedMotion.load(weights, dis_flow).name == recorded.name
    assert LearnedMotion.load(weights, my_flow).name == f'{alone}-my_flow'
    own = tmp_path / 'own.safetensors'
    about = {'motion': '{"mode": "reconstruction", "width": 8, "flow": "own"}'}
    save_file(recorded.network.state_dict(), own, about)
    names = [LearnedMotion.load(own, flow).name for flow in (my_flow, dis_flow)]
    assert [name.rpartition('-')[2] for name in names] == ['my_flow', 'dis_flow']


def test_prediction_does_not_look_at_the_target(moving_clip: Path, tmp_path: Path) -> None:
    config = MotionConfig(
        clips=(str(moving_clip),),
        mode='prediction',
        width=8,
        crop_size=(64, 64),
        epochs=1,
        windows=4,
    )
    source = LearnedMotion.load(train_motion(config, tmp_path))
    frames = _frames(moving_clip)
    black = ClipFrame(6, np.zeros_like(frames[6].image))
    flows = [source.backward_flow(target, frames[5], [frames[4]]) for target in (frames[6], black)]
    np.testing.assert_array_equal(*flows)
    np.testing.assert_allclose(np.median(flows[0][16:-16, 16:-16], (0, 1)), (2, 0), atol=0.3)


def test_files_that_are_no_motion_network_are_refused(tmp_path: Path, weights: Path) -> None:
    damaged = tmp_path / 'damaged.safetensors'
    damaged.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(SourceError, match=r'cannot read the weights .*damaged'):
        LearnedMotion.load(damaged)
    with pytest.raises(SourceError, match='cannot read the weights'):
        LearnedMotion.load(tmp_path)
    foreign = tmp_path / 'foreign.safetensors'
    save_file({'weight': torch.zeros(3)}, foreign)
    with pytest.raises(SourceError, match=r'foreign\.safetensors is no motion network'):
        LearnedMotion.load(foreign)
    save_file(
        {'weight': torch.zeros(3)},
        foreign,
        {'motion': '{"mode": "prediction", "width": 8, "flow": "dis"}'},
    )
    with pytest.raises(SourceError, match='are not those of a MotionNet'):
        LearnedMotion.load(foreign)
    for settings, said in (
        (
            '{"mode": ',
            'foreign.safetensors are not those of a motion network: the file is damaged',
        ),
        ('{"mode": "prediction"}', 'are not those of a motion network: the file is damaged'),
        ('[]', 'are not those of a motion network: the file is damaged'),
        ('{"mode": "dream", "width": 8, "flow": "dis"}', 'mode dream, .*of another version'),
        ('{"mode": "prediction", "width": 8, "flow": "raft"}', 'flow raft, .*another version'),
    ):
        save_file({'weight': torch.zeros(3)}, foreign, {'motion': settings})
        with pytest.raises(SourceError, match=said):
            LearnedMotion.load(foreign)
