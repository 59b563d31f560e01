# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""How steady label maps are over a clip: temporal consistency, label flips, video consistency.

Without labels: `TemporalConsistency` (TC and flips, along the motion of the scene). With a label
map of every frame: `VideoConsistency` (VC).
"""

from fractions import Fraction
from math import fsum
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.label_map import resize_labels
from vidseg_ros.core.labels import IGNORE_ID
from vidseg_ros.core.metrics import Confusion, confusion_matrix, mean_iou
from vidseg_ros.core.motion import (
    dis_flow,
    flow_targets,
    FlowMethod,
    MotionTracker,
    PairMotion,
    warp_labels,
)

EVALUATION_SIZE: Final = (360, 480)
"""Height and width in pixels at which motion is estimated and label maps are compared."""

_NS_PER_S: Final = 10**9


class PairConsistency(NamedTuple):
    """What two consecutive frames say; for finding the bad moments of a drive."""

    agreement: float
    """Share of the visible pixels whose label goes on along the motion, 0 to 1; NaN if none."""
    visible: float
    """Share of the pixels that are to be seen in both frames, 0 to 1."""
    tc: float
    """TC of these two alone, 0 to 1; NaN without visible pixels."""


def flipped(
    earlier: NDArray[np.uint8], later: NDArray[np.uint8], motion: PairMotion
) -> NDArray[np.bool_]:
    """Find the pixels of a frame whose label does not go on along the motion.

    Args:
        earlier: (H, W) uint8 ids.
        later: (H, W) uint8 ids of the next frame.
        motion: Between the two, at that size.

    Returns:
        (H, W) bool; False where a pixel is not to be seen in both frames.
    """
    carried = warp_labels(later, motion.forward)
    changed: NDArray[np.bool_] = motion.visible & (carried != IGNORE_ID) & (carried != earlier)
    return changed


class TemporalConsistency:
    """TC and label flips of consecutive label maps, accumulated over frames and clips.

    The label map of the next frame is carried back along the flow (nearest, so that no id is
    invented) and compared with the label map of this frame where the forward-backward check says
    that a pixel is to be seen in both. TC is the mean IoU of the two (Liu et al., ECCV 2020,
    section 4.1, whose evaluation has no occlusion check). The flow must not be one that a network
    was trained with.

    Attributes:
        carried: Earlier labels (rows) against later ones carried back (columns), visible pixels.
        legacy: The same as the official evaluation counts, see `legacy_tc`.
        flip_counts: (C,) int64 visible pixels whose label changed, by the earlier label.
        pixel_ns: For each class, visible pixels times the time they were watched, ns; whole
            numbers of any size, so that sums do not depend on their order.
    """

    def __init__(self, classes: int, flow: FlowMethod = dis_flow) -> None:
        """Start without frames.

        Args:
            classes: Number of classes C.
            flow: How `add` estimates motion.
        """
        self.carried = Confusion(classes)
        self.legacy = Confusion(classes)
        self.flip_counts = np.zeros(classes, np.int64)
        self.pixel_ns = [0] * classes
        self._motion = MotionTracker(EVALUATION_SIZE, flow)
        self._earlier: NDArray[np.uint8] | None = None

    def add(
        self, image: NDArray[np.uint8], labels: NDArray[np.uint8], stamp_ns: int
    ) -> PairConsistency | None:
        """Add the next frame of a clip.

        Args:
            image: (H, W, 3) uint8 RGB.
            labels: (h, w) uint8 predicted ids, at any resolution.
            stamp_ns: When the frame was taken, ns.

        Returns:
            How it agrees with the frame before; None for the first one of a clip, and where time
            did not go forward, which starts a new clip.

        Raises:
            ValueError: If an id is not below the number of classes.
        """
        motion = self._motion.add(image, stamp_ns)
        return self.add_moved(resize_labels(labels, EVALUATION_SIZE), motion)

    def add_moved(
        self, labels: NDArray[np.uint8], motion: PairMotion | None
    ) -> PairConsistency | None:
        """Add the label map of the next frame, whose motion a `MotionTracker` has found.

        Args:
            labels: (H, W) uint8 predicted ids at the tracker's size.
            motion: From the frame before; None starts a new clip.

        Returns:
            How it agrees with the frame before; None for the first one of a clip.

        Raises:
            ValueError: If an id is not below the number of classes.
        """
        earlier, self._earlier = self._earlier, labels
        if earlier is None or motion is None:
            return None
        return self._compare(earlier, labels, motion)

    def add_pair(
        self,
        earlier: NDArray[np.uint8],
        later: NDArray[np.uint8],
        forward: NDArray[np.float32],
        backward: NDArray[np.float32],
        elapsed_ns: int,
    ) -> PairConsistency:
        """Add two consecutive frames whose motion is known.

        Args:
            earlier: (H, W) uint8 ids.
            later: (H, W) uint8 ids of the next frame.
            forward: (H, W, 2) float32 px from ``earlier`` to ``later``.
            backward: (H, W, 2) float32 px from ``later`` to ``earlier``.
            elapsed_ns: Time between the two, above 0, ns.

        Raises:
            ValueError: If an id is not below the number of classes.
        """
        return self._compare(earlier, later, PairMotion.between(forward, backward, elapsed_ns))

    def _compare(
        self, earlier: NDArray[np.uint8], later: NDArray[np.uint8], motion: PairMotion
    ) -> PairConsistency:
        carried = warp_labels(later, motion.forward)
        visible = motion.visible & (carried != IGNORE_ID)
        classes = len(self.flip_counts)
        counted = np.where(visible, earlier, IGNORE_ID).astype(np.uint8)
        matrix = confusion_matrix(counted, carried, classes)
        self.carried.matrix += matrix
        self.legacy.add(earlier, _warp_ids_bilinear(later, motion.forward))
        seen, same = matrix.sum(axis=1), np.diag(matrix)
        self.flip_counts += seen - same
        for index, pixels in enumerate(seen.tolist()):
            self.pixel_ns[index] += pixels * motion.elapsed_ns
        pixels = int(seen.sum())
        agreement = int(same.sum()) / pixels if pixels else float('nan')
        return PairConsistency(agreement, pixels / visible.size, mean_iou(matrix))

    def cut(self) -> None:
        """Start a new clip: the next frame is not compared with the last one."""
        self._motion.cut()
        self._earlier = None

    def merge(self, other: 'TemporalConsistency') -> None:
        """Add another set's counts, as if its clips had been added here."""
        self.carried.merge(other.carried)
        self.legacy.merge(other.legacy)
        self.flip_counts += other.flip_counts
        self.pixel_ns = [a + b for a, b in zip(self.pixel_ns, other.pixel_ns, strict=True)]

    def tc(self) -> float:
        """Return TC, 0 to 1: mean over the classes that occur; NaN without any pair."""
        return self.carried.miou()

    def class_tc(self) -> NDArray[np.float64]:
        """Return the TC of each class, (C,) float64; NaN for a class that does not occur."""
        return self.carried.iou()

    def legacy_tc(self) -> float:
        """Return TC with the faults of ETC's official evaluation, 0 to 1; NaN without any pair.

        For comparison only: ids are warped bilinearly, which invents classes along every edge,
        occluded pixels count, and a class that never occurs counts as 0. Flow and resolution are
        ours (officially FlowNet2 at full size).
        """
        if not self.legacy.pixels:
            return float('nan')
        return float(np.nan_to_num(self.legacy.iou()).mean())

    def flips(self) -> float:
        """Return label flips per visible pixel and second, along the motion; NaN without any."""
        watched_ns = sum(self.pixel_ns)
        return int(self.flip_counts.sum()) * _NS_PER_S / watched_ns if watched_ns else float('nan')

    def class_flips(self) -> NDArray[np.float64]:
        """Return the flips of each class (that of the earlier frame), (C,) float64 per second."""
        pairs = zip(self.flip_counts.tolist(), self.pixel_ns, strict=True)
        return np.array([n * _NS_PER_S / ns if ns else float('nan') for n, ns in pairs])


def _warp_ids_bilinear(labels: NDArray[np.uint8], flow: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Warp ids as if they were grey levels and cut off what is behind the point."""
    x, y = flow_targets(flow)
    warped = cv2.remap(
        labels.astype(np.float32), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return warped.astype(np.uint8)


class VideoConsistency:
    """VC_n of clips whose every frame has a label map (Miao et al., CVPR 2021, VSPW).

    Over each window of n frames, among the pixels whose true label is the same in all of them:
    the share whose prediction is the same in all of them (*self*) and besides equals the true
    label (*correct*, as the paper words it). Mean over the windows of a clip, then over clips.
    Void pixels are left out.

    The official script counts *self* too, but with void pixels, without the last window of a clip
    and without clips of n frames or less, as one mean over all windows: published figures compare
    with ours only roughly.

    Attributes:
        window: n.
        clips: (self, correct) of each finished clip.
        class_counts: (3, 256) int64 by true class, of all windows together: pixels whose true
            label stays, those predicted the same in all frames, those predicted right.
    """

    def __init__(self, window: int) -> None:
        """Start without frames.

        Args:
            window: n, at least 2 frames.

        Raises:
            ValueError: If the window is shorter.
        """
        if window < 2:
            msg = f'a window has at least 2 frames, not {window}'
            raise ValueError(msg)
        self.window = window
        self.clips: list[tuple[float, float]] = []
        self.class_counts = np.zeros((3, 256), np.int64)
        self._start()

    def _start(self) -> None:
        self._truth: NDArray[np.uint8] | None = None
        self._predicted: NDArray[np.uint8] | None = None
        self._windows = 0
        self._self_sum = self._correct_sum = Fraction()  # of shares of windows, exact

    def add(self, truth: NDArray[np.uint8], predicted: NDArray[np.uint8]) -> None:
        """Add the next frame of a clip.

        Args:
            truth: (H, W) uint8 true ids, ``IGNORE_ID`` for void.
            predicted: (H, W) uint8 predicted ids.

        Raises:
            ValueError: If sizes differ, from each other or from the frame before.
        """
        if truth.shape != predicted.shape:
            msg = f'shapes of truth {truth.shape} and prediction {predicted.shape} differ'
            raise ValueError(msg)
        if self._truth is None or self._predicted is None:
            self._truth_run = np.ones(truth.shape, np.int32)  # frames without a change, H W
            self._predicted_run = np.ones(truth.shape, np.int32)
        elif truth.shape != self._truth.shape:
            msg = f'a clip of {self._truth.shape} goes on with {truth.shape}; call end_clip()'
            raise ValueError(msg)
        else:
            self._truth_run = np.where(truth == self._truth, self._truth_run + 1, 1)
            self._predicted_run = np.where(
                predicted == self._predicted, self._predicted_run + 1, 1
            )
        self._truth, self._predicted = truth, predicted
        constant = (self._truth_run >= self.window) & (truth != IGNORE_ID)
        if pixels := int(constant.sum()):
            steady = constant & (self._predicted_run >= self.window)
            correct = steady & (predicted == truth)
            for row, pixels_of in enumerate((constant, steady, correct)):
                self.class_counts[row] += np.bincount(truth[pixels_of], minlength=256)
            self._windows += 1
            self._self_sum += Fraction(int(steady.sum()) / pixels)
            self._correct_sum += Fraction(int(correct.sum()) / pixels)

    def end_clip(self) -> None:
        """Finish a clip; one without a whole window does not count."""
        if self._windows:
            sums = (self._self_sum, self._correct_sum)
            mean_self, mean_correct = (float(total / self._windows) for total in sums)
            self.clips.append((mean_self, mean_correct))
        self._start()

    def merge(self, other: 'VideoConsistency') -> None:
        """Add another set's finished clips.

        Raises:
            ValueError: If the windows differ.
        """
        if other.window != self.window:
            msg = f'VC_{self.window} cannot take in VC_{other.window}'
            raise ValueError(msg)
        self.clips += other.clips
        self.class_counts += other.class_counts

    def self_consistency(self) -> float:
        """Return the share of steady predictions, 0 to 1; NaN without a finished clip."""
        return self._mean(0)

    def correct_consistency(self) -> float:
        """Return the share of steady, right predictions, 0 to 1; NaN without a finished clip."""
        return self._mean(1)

    def class_correct(self, classes: int) -> NDArray[np.float64]:
        """Return for each true class the share of steady, right predictions, over all windows.

        Args:
            classes: Number of classes C.

        Returns:
            (C,) float64, 0 to 1; NaN for a class that stays nowhere.
        """
        return self._class_shares(2, classes)

    def class_self(self, classes: int) -> NDArray[np.float64]:
        """Return the same of steady predictions, right or wrong; as `class_correct`."""
        return self._class_shares(1, classes)

    def _class_shares(self, row: int, classes: int) -> NDArray[np.float64]:
        constant, pixels = self.class_counts[0, :classes], self.class_counts[row, :classes]
        shares: NDArray[np.float64] = np.full(classes, np.nan)
        np.divide(pixels, constant, out=shares, where=constant > 0)
        return shares

    def _mean(self, which: int) -> float:
        """Return a mean over clips that does not depend on their order."""
        shares = [clip[which] for clip in self.clips]
        return fsum(shares) / len(shares) if shares else float('nan')
