# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
import cv2
import numpy as np
from numpy.typing import NDArray
import pytest

from vidseg_ros.core.motion import warp_image
from vidseg_ros.core.street import StreetClip
from vidseg_training.propagation.correspondence import (
    carry_labels,
    chain,
    correspond,
    Correspondence,
)
from vidseg_training.propagation.motion import ClipFrame, ExactStreetMotion, FlowMotion


def shift(x: float, y: float = 0.0, size: tuple[int, int] = (3, 5)) -> NDArray[np.float32]:
    return np.full((*size, 2), (x, y), np.float32)


def sure(flow: NDArray[np.float32], confidence: int = 255) -> Correspondence:
    sure_everywhere = np.full(flow.shape[:2], confidence, np.uint8)
    return Correspondence(flow, sure_everywhere, np.zeros_like(flow))


LABELS = np.array([[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11, 12, 13, 14]], np.uint8)


def test_no_motion_changes_nothing() -> None:
    np.testing.assert_array_equal(carry_labels(LABELS, sure(shift(0))), LABELS)
    image = np.repeat(LABELS[..., None], 3, 2) * 10
    np.testing.assert_array_equal(warp_image(image, shift(0)), image)


def test_labels_come_from_where_the_flow_leads_and_void_from_outside() -> None:
    carried = carry_labels(LABELS, sure(shift(2, -1)))
    expected = [[255] * 5, [2, 3, 4, 255, 255], [7, 8, 9, 255, 255]]
    np.testing.assert_array_equal(carried, expected)


def test_labels_are_never_interpolated() -> None:
    np.testing.assert_array_equal(carry_labels(LABELS, sure(shift(0.4)))[0], [0, 1, 2, 3, 4])
    np.testing.assert_array_equal(carry_labels(LABELS, sure(shift(0.6)))[0], [1, 2, 3, 4, 255])


def test_a_mirrored_clip_has_the_mirrored_labels_under_the_negated_flow() -> None:
    flow = shift(1.0)
    mirrored = sure(shift(-1.0))
    np.testing.assert_array_equal(
        carry_labels(LABELS[:, ::-1], mirrored)[:, ::-1], carry_labels(LABELS, sure(flow))
    )


def test_images_are_interpolated_and_go_on_beyond_the_border() -> None:
    image = np.repeat(np.array([[0, 10, 20, 30, 40]], np.uint8).repeat(3, 0)[..., None], 3, 2)
    assert warp_image(image, shift(0.5))[1, :, 0].tolist() == [5, 15, 25, 35, 40]


def test_hidden_pixels_are_void_unless_they_are_kept() -> None:
    way = sure(shift(0))
    way.confidence[1, 2] = 0
    assert carry_labels(LABELS, way, 'void')[1].tolist() == [5, 6, 255, 8, 9]
    assert carry_labels(LABELS, way, 'keep')[1].tolist() == [5, 6, 7, 8, 9]


@pytest.mark.parametrize(('gap', 'expected'), [(1, 4), (-1, 4), (2, 255), (-2, 255), (3, 255)])
def test_a_label_stays_if_the_flows_disagree_on_the_place_but_not_on_the_label(
    gap: float, expected: int
) -> None:
    labels = np.array([[1, 1, 4, 4, 4, 1, 1]], np.uint8)
    way = sure(shift(0, size=(1, 7)), 0)
    way.gap[..., 0] = gap
    assert carry_labels(labels, way)[0, 3] == expected
    assert carry_labels(labels, way, 'void')[0, 3] == 255


def test_gaps_of_steps_add_up() -> None:
    step, before = sure(shift(1)), sure(shift(2))
    step.gap[...] = (0.5, 0)
    before.gap[...] = (1, -2)
    np.testing.assert_allclose(chain(step, before).gap, shift(1.5, -2))


def test_a_foreground_that_moves_hides_what_was_behind_it() -> None:
    """One row; a 2 px object at columns 4-5 of the source is at 2-3 of the target."""
    flow = np.zeros((1, 8, 2), np.float32)
    flow[0, 2:4, 0] = 2  # the object of the target is 2 px to the right in the source
    back = np.zeros((1, 8, 2), np.float32)
    back[0, 4:6, 0] = -2
    flows = iter([flow, back])
    frames = [ClipFrame(at, np.zeros((1, 8, 3), np.uint8)) for at in (1, 0)]
    way = correspond(FlowMotion('two', lambda _a, _b: next(flows)), *frames)
    # Columns 4 and 5 of the target show background that the object hid in the source.
    assert way.confidence[0].tolist() == [255, 255, 255, 255, 0, 0, 255, 255]
    labels = np.array([[0, 0, 0, 0, 7, 7, 0, 0]], np.uint8)
    assert carry_labels(labels, way)[0].tolist() == [0, 0, 7, 7, 255, 255, 0, 0]


def test_a_source_may_give_the_same_array_again_and_again() -> None:
    buffer = np.zeros((1, 8, 2), np.float32)
    shifts = iter([1, -1])

    def flow(_first: NDArray[np.uint8], _second: NDArray[np.uint8]) -> NDArray[np.float32]:
        buffer[..., 0] = next(shifts)
        return buffer

    frames = [ClipFrame(at, np.zeros((1, 8, 3), np.uint8)) for at in (1, 0)]
    way = correspond(FlowMotion('one', flow), *frames)
    assert (way.flow[..., 0] == 1).all()
    assert way.confidence[0].tolist() == [255] * 7 + [0]


def test_steps_add_up_and_the_least_sure_one_counts() -> None:
    step, before = sure(shift(1), 200), sure(shift(2))
    before.confidence[0] = [255, 90, 0, 255, 255]
    way = chain(step, before)
    np.testing.assert_allclose(way.flow, shift(3))
    assert way.confidence[0].tolist() == [90, 0, 200, 200, 0]  # the last one leaves the picture
    np.testing.assert_array_equal(carry_labels(LABELS, way, 'void')[0], [3, 255, 255, 255, 255])


def test_steps_are_fetched_between_pixels() -> None:
    before = sure(shift(0, size=(1, 4)))
    before.flow[0, :, 0] = [0, 2, 4, 6]
    way = chain(sure(shift(0.5, size=(1, 4))), before)
    np.testing.assert_allclose(way.flow[0, :, 0], [1.5, 3.5, 5.5, 6.5])


def test_exact_motion_gives_exact_labels_where_the_labelled_frame_shows_them() -> None:
    clip = StreetClip(seed=3, size=(180, 320))
    frames = {at: ClipFrame(at, clip.frame(at).image) for at in (18, 19, 20, 21)}
    truth = {at: clip.frame(at).labels for at in (18, 21)}
    motion = ExactStreetMotion(clip)
    direct = correspond(motion, frames[21], frames[18])
    steps = correspond(motion, frames[19], frames[18])
    for at in (20, 21):
        steps = chain(correspond(motion, frames[at], frames[at - 1]), steps)
    around = np.ones((5, 5), np.uint8)
    inner = cv2.dilate(truth[21], around) == cv2.erode(truth[21], around)
    for way in (direct, steps):
        carried = carry_labels(truth[18], way)
        known = carried != 255
        assert known.mean() > 0.8
        assert (carried == truth[21])[known & inner].mean() > 0.998
        assert (carried == truth[21])[known].mean() > 0.98  # outlines are good to half a pixel
        hidden = carry_labels(truth[18], way, 'keep')[~known]
        assert (hidden == truth[21][~known]).mean() < 0.9
