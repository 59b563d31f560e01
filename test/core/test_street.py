# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
import cv2
import numpy as np
from numpy.typing import NDArray
import pytest

from vidseg_ros.core.labels import STREET
from vidseg_ros.core.motion import occlusion
from vidseg_ros.core.street import StreetClip, StreetFrame

SIZE = (180, 320)


@pytest.fixture(scope='module')
def clip() -> StreetClip:
    return StreetClip(seed=3, size=SIZE)


def fetch(picture: NDArray[np.uint8], flow: NDArray[np.float32], how: int) -> NDArray[np.uint8]:
    """Return what the next picture has where each point has gone."""
    y, x = np.mgrid[: flow.shape[0], : flow.shape[1]].astype(np.float32)
    fetched = cv2.remap(picture, x + flow[..., 0], y + flow[..., 1], how, borderValue=(255,) * 4)
    return np.asarray(fetched, np.uint8)


def inner(frame: StreetFrame) -> NDArray[np.bool_]:
    """Return the pixels that stay in sight and are at least 2 px from another class."""
    around = np.ones((5, 5), np.uint8)
    alike = cv2.dilate(frame.labels, around) == cv2.erode(frame.labels, around)
    return np.asarray(alike & ~frame.occluded, np.bool_)


@pytest.mark.parametrize('index', [0, 40, 100])
def test_exact_flow_finds_the_same_class_and_colour_in_the_next_frame(
    clip: StreetClip, index: int
) -> None:
    now, later = clip.frame(index), clip.frame(index + 1)
    sure = inner(now)
    assert sure.mean() > 0.5

    labels = fetch(later.labels, now.flow, cv2.INTER_NEAREST)
    image = fetch(later.image, now.flow, cv2.INTER_LINEAR)
    change = np.abs(image.astype(int) - now.image)[sure].mean()
    assert (labels == now.labels)[sure].mean() > 0.999
    assert (labels == now.labels)[~now.occluded].mean() > 0.985  # outlines too

    wrong_labels = fetch(later.labels, -now.flow, cv2.INTER_NEAREST)
    wrong_image = fetch(later.image, -now.flow, cv2.INTER_LINEAR)
    assert (wrong_labels == now.labels)[sure].mean() < 0.99
    assert np.abs(wrong_image.astype(int) - now.image)[sure].mean() > 2.5 * change


def test_points_that_leave_the_picture_are_occluded(clip: StreetClip) -> None:
    frame = clip.frame(20)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    to_x, to_y = x + frame.flow[..., 0], y + frame.flow[..., 1]
    out = (to_x < -0.5) | (to_x > SIZE[1] - 0.5) | (to_y < -0.5) | (to_y > SIZE[0] - 0.5)
    assert out.mean() > 0.02
    assert frame.occluded[out].all()


def test_sky_turns_with_the_camera_but_never_comes_nearer(clip: StreetClip) -> None:
    frame = clip.frame(20)
    sky, road = frame.labels == 0, frame.labels == 1
    assert np.abs(frame.flow[sky]).max() < 2  # rotation only: under 0.2 degrees a frame
    assert np.ptp(frame.flow[sky][:, 1]) < 0.2  # the same all over
    assert np.ptp(frame.flow[road][:, 1]) > 5  # while the road streams by


@pytest.mark.parametrize('seed', [0, 1])
def test_all_classes_appear_within_ten_seconds(seed: int) -> None:
    clip = StreetClip(seed=seed, size=SIZE, fps=1.0)
    labels = np.stack([frame.labels for frame in clip.frames(10)])
    counts = np.bincount(labels.ravel(), minlength=len(STREET))
    assert counts.size == len(STREET)  # no void, nothing else
    assert counts.min() > 50, counts


def test_same_seed_and_index_give_the_same_bytes_in_any_order() -> None:
    first = StreetClip(seed=5, size=SIZE)
    early, late = first.frame(2), first.frame(700)
    second = StreetClip(seed=5, size=SIZE)
    late_again, early_again = second.frame(700), second.frame(2)
    for one, other in ((early, early_again), (late, late_again)):
        assert one.image.tobytes() == other.image.tobytes()
        assert one.labels.tobytes() == other.labels.tobytes()
        assert one.flow.tobytes() == other.flow.tobytes()
        assert one.occluded.tobytes() == other.occluded.tobytes()


def test_seeds_give_different_streets(clip: StreetClip) -> None:
    here, there = clip.frame(0), StreetClip(seed=4, size=SIZE).frame(0)
    assert (here.labels != there.labels).mean() > 0.1
    assert np.abs(here.image.astype(int) - there.image).mean() > 10


def test_frames_are_numbered_and_stamped_from_zero(clip: StreetClip) -> None:
    frames = list(clip.frames(3))
    assert [frame.stamp_ns for frame in frames] == [0, 66_666_667, 133_333_333]
    np.testing.assert_array_equal(frames[2].image, clip.frame(2).image)


def test_arrays_have_the_documented_form_and_belong_to_the_caller(clip: StreetClip) -> None:
    frame = clip.frame(1)
    for array, shape, kind in (
        (frame.image, (*SIZE, 3), 'uint8'),
        (frame.labels, SIZE, 'uint8'),
        (frame.flow, (*SIZE, 2), 'float32'),
        (frame.occluded, SIZE, 'bool'),
    ):
        assert array.shape == shape
        assert array.dtype == kind
    labels = frame.labels.copy()
    frame.labels[:] = 9
    np.testing.assert_array_equal(clip.frame(1).labels, labels)


def test_motion_between_any_two_frames(clip: StreetClip) -> None:
    np.testing.assert_array_equal(clip.flow_between(20, 21), clip.frame(20).flow)
    now, before = clip.frame(23), clip.frame(20)
    flow = clip.flow_between(23, 20)
    labels = fetch(before.labels, flow, cv2.INTER_NEAREST)
    seen_twice = ~occlusion(flow, clip.flow_between(20, 23))
    assert seen_twice.mean() > 0.5
    assert (labels == now.labels)[seen_twice].mean() > 0.985
    assert (before.labels == now.labels)[seen_twice].mean() < 0.95
