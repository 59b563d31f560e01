# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from vidseg_ros.nodes.mask_pairing import pair_masks, Published, Received


def play(*stamps: int) -> list[Published]:
    """Publish frame i at 10 * i."""
    return [Published(frame, stamp, 10 * frame) for frame, stamp in enumerate(stamps)]


def test_every_mask_goes_to_the_frame_of_its_stamp() -> None:
    masks = [Received(100, 5), Received(102, 27), Received(103, 39)]
    assert pair_masks(play(100, 101, 102, 103), masks) == ({0: 0, 2: 1, 3: 2}, set())


def test_stamps_that_jump_back_are_told_apart_by_time() -> None:
    masks = [Received(100, 5), Received(101, 15), Received(100, 25), Received(101, 35)]
    assert pair_masks(play(100, 101, 100, 101), masks) == ({0: 0, 1: 1, 2: 2, 3: 3}, set())


def test_the_mask_of_a_later_frame_with_the_same_stamp_is_not_given_to_an_earlier_one() -> None:
    masks = [Received(101, 15), Received(100, 25)]
    assert pair_masks(play(100, 101, 100), masks) == ({1: 0, 2: 1}, set())


def test_two_frames_of_one_stamp_in_flight_at_once_both_go_without() -> None:
    masks = [Received(7, 15), Received(7, 17), Received(8, 25)]
    assert pair_masks(play(7, 7, 8), masks) == ({2: 2}, {0, 1})


def test_a_repeated_stamp_that_was_answered_in_between_is_fine() -> None:
    masks = [Received(7, 5), Received(7, 15)]
    assert pair_masks(play(7, 7), masks) == ({0: 0, 1: 1}, set())


def test_a_mask_that_nobody_waits_for_is_left_out() -> None:
    masks = [Received(99, 5), Received(100, 6), Received(100, 7)]
    assert pair_masks(play(100), masks) == ({0: 1}, set())
