# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Unlabelled video behind a labelled data set: frames to learn from a teacher alone."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.errors import SourceError
from vidseg_ros.core.labels import IGNORE_ID
from vidseg_training.data.sampling import LabelledImages


def read_frames(video: Path, step: int) -> Iterator[NDArray[np.uint8]]:
    """Yield every ``step``-th frame of a video: (H, W, 3) uint8 RGB each.

    Raises:
        SourceError: If OpenCV cannot read a single frame of it.
    """
    capture = cv2.VideoCapture(str(video))
    index = found = 0
    while capture.grab():
        if index % step == 0:
            whole, frame = capture.retrieve()
            if whole:
                found += 1
                yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
        index += 1
    capture.release()
    if not found:
        msg = f'cannot read video {video}; give a file that OpenCV opens, such as H.264 in MP4'
        raise SourceError(msg)


class WithFootage:
    """A labelled data set followed by frames of unlabelled video.

    Frames are brought to the size of the labelled images, whatever their aspect ratio, as the
    model file brings every camera image to the size of its network.

    Attributes:
        label_set: Of the labelled images.
        videos: File name of each video.
        step: Every n-th frame is taken.
        names: Of the labelled images, then file name and number of each frame taken.
    """

    def __init__(self, labelled: LabelledImages, videos: Sequence[Path], step: int) -> None:
        """Read the frames; they stay in memory at the size of the labelled images.

        Args:
            labelled: The labelled images, all of one size.
            videos: Video files.
            step: Every n-th frame is taken.

        Raises:
            SourceError: If a video cannot be read.
        """
        self.label_set = labelled.label_set
        self.videos, self.step = [path.name for path in videos], step
        self._labelled, self._paths = labelled, videos
        self._size = labelled[0][1].shape
        self._frames: list[NDArray[np.uint8]] = []
        self.names = list(labelled.names)
        for video in videos:
            for number, frame in enumerate(read_frames(video, step)):
                self.names.append(f'{video.name} {number * step}')
                shrunk = cv2.resize(frame, self._size[::-1], interpolation=cv2.INTER_LINEAR)
                self._frames.append(shrunk.astype(np.uint8, copy=False))

    def __len__(self) -> int:
        """Return the number of images and frames."""
        return len(self._labelled) + len(self._frames)

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return image (H, W, 3) uint8 RGB and labels (H, W) uint8; of video: all void."""
        if index < len(self._labelled):
            return self._labelled[index]
        image = self._frames[index - len(self._labelled)]
        return image, np.full(self._size, IGNORE_ID, np.uint8)

    def originals(self) -> Iterator[NDArray[np.uint8]]:
        """Yield every image, in order, before it was shrunk: (H, W, 3) uint8 RGB."""
        for index in range(len(self._labelled)):
            yield self._labelled[index][0]
        for video in self._paths:
            yield from read_frames(video, self.step)
