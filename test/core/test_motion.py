# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
import pytest

from vidseg_ros.core.labels import IGNORE_ID
from vidseg_ros.core.metrics import Confusion
from vidseg_ros.core.motion import (
    dis_flow,
    dis_flow_fast,
    MotionTracker,
    occlusion,
    PairMotion,
    round_trip,
    warp_image,
    warp_labels,
)
from vidseg_ros.core.street import StreetClip


def _flow(x: float, y: float, height: int = 4, width: int = 5) -> NDArray[np.float32]:
    return np.full((height, width, 2), (x, y), np.float32)


def test_labels_come_back_along_the_flow() -> None:
    labels = np.arange(20, dtype=np.uint8).reshape(4, 5)
    back = warp_labels(labels, _flow(2, 1))
    np.testing.assert_array_equal(back[:3, :3], labels[1:, 2:])
    assert (back[3] == IGNORE_ID).all()
    assert (back[:, 3:] == IGNORE_ID).all()


@pytest.mark.parametrize(('shift', 'whole'), [(0.4, 0), (0.6, 1), (-0.4, 0), (-1.3, -1)])
def test_labels_are_taken_from_the_nearest_pixel(shift: float, whole: int) -> None:
    labels = np.random.default_rng(0).integers(0, 9, (4, 5)).astype(np.uint8)
    np.testing.assert_array_equal(
        warp_labels(labels, _flow(shift, 0)), warp_labels(labels, _flow(whole, 0))
    )


def test_no_id_is_invented_between_two_classes() -> None:
    labels = np.zeros((40, 40), np.uint8)
    labels[:, 20:] = 8
    flow = np.random.default_rng(1).uniform(-3, 3, (40, 40, 2)).astype(np.float32)
    assert set(np.unique(warp_labels(labels, flow))) <= {0, 8, IGNORE_ID}


def test_a_still_picture_hides_nothing_and_a_moved_one_what_leaves_it() -> None:
    assert not occlusion(_flow(0, 0), _flow(0, 0)).any()
    hidden = occlusion(_flow(2, 0), _flow(-2, 0))
    np.testing.assert_array_equal(hidden[0], [False, False, False, True, True])


def test_flows_that_do_not_lead_back_are_occlusions() -> None:
    # |1 + 0|^2 = 1 > 0.01 * 1 + 0.5, but |0.7|^2 = 0.49 < 0.5
    assert occlusion(_flow(1, 0, 4, 9), _flow(0, 0, 4, 9)).all()
    assert not occlusion(_flow(0.7, 0, 4, 9), _flow(0, 0, 4, 9))[:, :-1].any()
    # long ways may miss by more: |1|^2 < 0.01 * (100 + 81) + 0.5
    hidden = occlusion(_flow(10, 0, 4, 30), _flow(-9, 0, 4, 30))
    assert not hidden[:, :20].any()


def test_exact_motion_of_the_street_clip_finds_its_exact_occlusions() -> None:
    clip = StreetClip(seed=3)
    frame, after = clip.frame(10), clip.frame(11)
    carried = warp_labels(after.labels, frame.flow)
    shown = ~frame.occluded & (carried != IGNORE_ID)
    assert (carried == frame.labels)[shown].mean() > 0.97
    assert (carried == frame.labels)[frame.occluded].mean() < 0.9


def test_dis_finds_a_shifted_texture() -> None:
    noise = np.random.default_rng(2).integers(0, 256, (150, 200, 3)).astype(np.uint8)
    texture = cv2.GaussianBlur(noise, (0, 0), 3)
    texture = cv2.normalize(texture, np.empty(0), 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    first, second = texture[10:130, 10:170], texture[7:127, 6:166]  # content moves by (+4, +3)
    flow = dis_flow(first, second)[20:-20, 20:-20]
    np.testing.assert_allclose(flow.mean(axis=(0, 1)), (4, 3), atol=0.1)


def test_real_labels_carried_one_frame_on_are_as_right_as_measured(data_dir: Path) -> None:
    """CamVid's dense clip: 74 without motion; 89.0 along DIS, 94 % visible (rounded)."""
    folder = data_dir / 'camvid'
    names = sorted(path.name for path in (folder / 'val').glob('*.png'))
    assert len(names) == 101

    def read(name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        image = cv2.imread(str(folder / 'val' / name), cv2.IMREAD_COLOR)
        labels = cv2.imread(str(folder / 'valannot' / name), cv2.IMREAD_UNCHANGED)
        assert image is not None
        assert labels is not None
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        return image.astype(np.uint8), np.where(labels == 11, IGNORE_ID, labels).astype(np.uint8)

    copied, moved, visible = Confusion(11), Confusion(11), []
    for index in range(0, 100, 10):
        (earlier, labels), (later, truth) = read(names[index]), read(names[index + 1])
        there, back = dis_flow(later, earlier), dis_flow(earlier, later)
        for confusion, carried in ((copied, labels), (moved, warp_labels(labels, there))):
            known = np.where(carried == IGNORE_ID, IGNORE_ID, truth).astype(np.uint8)
            confusion.add(known, carried)
        visible.append(1 - occlusion(there, back).mean())
    assert 100 * copied.miou() == pytest.approx(74, abs=4)
    assert 100 * moved.miou() == pytest.approx(89, abs=1.5)
    assert np.mean(visible) == pytest.approx(0.94, abs=0.01)


def test_the_same_flow_again_and_in_another_thread() -> None:
    first, second = (frame.image for frame in StreetClip(seed=1, size=(90, 160)).frames(2))
    for method in (dis_flow, dis_flow_fast):
        flow = method(first, second)
        method(second, first)
        np.testing.assert_array_equal(method(first, second), flow)
        with ThreadPoolExecutor(1) as other:
            np.testing.assert_array_equal(other.submit(method, first, second).result(), flow)


def test_what_is_visible_is_what_is_not_hidden() -> None:
    forward = _flow(0, 0)
    forward[0, 0] = (-1, 0)  # leaves the picture
    motion = PairMotion.between(forward, _flow(0, 0), 5)
    assert np.argwhere(~motion.visible).tolist() == [[0, 0]]
    assert motion.elapsed_ns == 5
    assert motion.forward is forward


def test_motion_is_tracked_within_a_clip() -> None:
    frames = [frame.image for frame in StreetClip(seed=1, size=(90, 160)).frames(3)]
    tracker = MotionTracker((45, 80))
    assert tracker.add(frames[0], 10) is None
    found = tracker.add(frames[1], 30)
    first, second = (
        cv2.resize(frame, (80, 45), interpolation=cv2.INTER_AREA).astype(np.uint8)
        for frame in frames[:2]
    )
    expected = PairMotion.between(dis_flow(first, second), dis_flow(second, first), 20)
    assert found is not None
    np.testing.assert_array_equal(found.forward, expected.forward)
    np.testing.assert_array_equal(found.visible, expected.visible)
    assert found.elapsed_ns == 20
    assert tracker.add(frames[2], 30) is None, 'time stands still'
    assert tracker.add(frames[2], 31) is not None
    tracker.cut()
    assert tracker.add(frames[2], 40) is None


def test_pictures_are_fetched_between_pixels_and_go_on_at_the_border() -> None:
    image = np.zeros((4, 5, 3), np.uint8)
    image[..., 0] = [0, 10, 20, 30, 40]
    assert warp_image(image, _flow(1.5, 0))[2, :, 0].tolist() == [15, 25, 35, 40, 40]


def test_confidence_falls_from_255_to_1_and_is_0_where_hidden() -> None:
    forward = _flow(0, 0, 1, 5)
    backward = _flow(0, 0, 1, 5)
    # The tolerance of a gap g is 0.01 g^2 + 0.5: a gap of half of it, of all, and of more.
    backward[0, :, 1] = [0, np.sqrt(0.25 / 0.995), np.sqrt(0.49999 / 0.99), 0.72, 9]
    confidence, gap = round_trip(forward, backward)
    assert confidence[0].tolist() == [255, 128, 1, 0, 0]
    np.testing.assert_array_equal(gap, backward)


def test_confidence_is_0_exactly_where_the_check_says_occluded() -> None:
    rng = np.random.default_rng(2)
    forward, backward = (rng.normal(0, 0.6, (30, 40, 2)).astype(np.float32) for _ in range(2))
    hidden = occlusion(forward, backward)
    assert 0.2 < hidden.mean() < 0.8
    np.testing.assert_array_equal(round_trip(forward, backward).confidence == 0, hidden)


def test_dis_finds_the_large_motion_of_a_third_of_a_second() -> None:
    clip = StreetClip(seed=3, size=(180, 320))
    estimate = dis_flow(clip.frame(25).image, clip.frame(20).image)
    error = np.linalg.norm(estimate - clip.flow_between(25, 20), axis=2)
    assert error.mean() < 3.5  # px; with a flow of zeros to start from it is 4.0
