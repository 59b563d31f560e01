# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
import numpy as np
from numpy.typing import NDArray
import pytest

from vidseg_ros.core.errors import ParameterError
from vidseg_ros.core.street import StreetClip
from vidseg_training.propagation.motion import (
    ClipFrame,
    FLOW_METHODS,
    MotionSource,
    open_motion,
)


def blobs(shift: int) -> NDArray[np.uint8]:
    """Return a smooth random picture of which a window moves to the right."""
    noise = np.random.default_rng(0).uniform(0, 255, (12, 20, 3)).astype(np.float32)
    large = noise.repeat(8, 0).repeat(8, 1)
    kernel = np.ones(9) / 9
    for axis in (0, 1):
        large = np.apply_along_axis(np.convolve, axis, large, kernel, 'same')
    window: NDArray[np.uint8] = large[16:80, 32 - shift : 128 - shift].astype(np.uint8)
    return window


@pytest.mark.parametrize('name', FLOW_METHODS)
def test_flow_leads_from_the_target_to_the_source(name: str) -> None:
    source: MotionSource = open_motion(name)
    flow = source.backward_flow(ClipFrame(1, blobs(3)), ClipFrame(0, blobs(0)), [])
    assert (source.name, source.past_frames) == (name, 0)
    assert (flow.shape, flow.dtype) == ((64, 96, 2), np.float32)
    middle = flow[16:-16, 16:-16]
    np.testing.assert_allclose(np.median(middle, axis=(0, 1)), (-3, 0), atol=0.3)


def constant(first: NDArray[np.uint8], _second: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.full((*first.shape[:2], 2), first[0, 0, 0], np.float32)


def test_any_function_of_two_frames_is_a_source() -> None:
    source = open_motion(constant)
    target, other = (ClipFrame(i, np.full((2, 3, 3), 7 + i, np.uint8)) for i in (0, 1))
    assert source.name == 'constant'
    np.testing.assert_array_equal(source.backward_flow(target, other, []), np.full((2, 3, 2), 7))


def test_exact_motion_of_a_street_clip_asks_for_no_pictures() -> None:
    clip = StreetClip(seed=3, size=(90, 160))
    nothing = np.zeros((0, 0, 3), np.uint8)
    flow = open_motion('exact', clip).backward_flow(
        ClipFrame(4, nothing), ClipFrame(2, nothing), []
    )
    np.testing.assert_array_equal(flow, clip.flow_between(4, 2))


def test_unknown_sources_are_refused() -> None:
    with pytest.raises(ParameterError, match="no motion source 'raft': give one of dis, farne"):
        open_motion('raft')
    with pytest.raises(ParameterError, match='known of street clips only'):
        open_motion('exact')
