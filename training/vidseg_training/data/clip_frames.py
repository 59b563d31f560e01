# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The frames of clips, one after the other, with the label maps that some of them have."""

from collections.abc import Sequence
import hashlib
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.errors import SourceError
from vidseg_ros.core.image_codec import IMAGE_TYPES
from vidseg_ros.core.label_map import resize_labels
from vidseg_ros.core.labels import IGNORE_ID
from vidseg_training.data.frame_store import FrameStore
from vidseg_training.data.sampling import LabelledImages
from vidseg_training.propagation.clip import Clip, ImageSequence, list_clips


class ClipFrames:
    """All frames of all clips, by one index.

    Frames are brought to one size, whatever their aspect ratio, as the model file brings every
    camera image to the size of its network. Those of a folder are read when they are needed, those
    of a video are in a temporary file, see `FrameStore`.

    Attributes:
        size: Height and width in pixels.
        bounds: For every frame the first and the last index of its clip.
        names: Of the clips.
        fingerprint: Changes with the clips, wherever they lie: with the content of a video, with
            names of folders and with names, sizes and number of images.
    """

    def __init__(self, paths: Sequence[Path], labelled: LabelledImages) -> None:
        """Open clips.

        Args:
            paths: Videos, folders of images, and folders of such folders.
            labelled: Gives the size; and the label map to every frame of a folder that has the
                file name of one of its images, and lies in its folder if that has a name as well.

        Raises:
            SourceError: If a clip cannot be read.
            OutputError: If there is no room for the frames of videos.
        """
        self._labelled = labelled
        self.size: tuple[int, int] = labelled[0][1].shape
        self._files: dict[int, tuple[ImageSequence, int]] = {}
        self._decoded = FrameStore(self.size)
        self._stored: dict[int, int] = {}  # frame -> place in there
        self._labels: dict[int, int] = {}  # frame -> image of the data set
        self.bounds: list[tuple[int, int]] = []
        self.names: list[str] = []
        self._places: dict[int, str] = {}  # first frame of a clip -> where it lies, for people
        by_name = {
            (*Path(name).parts[:-1], Path(name).stem): index
            for index, name in enumerate(labelled.names)
        }
        digest = hashlib.sha256()
        for given, place in ((path, one) for path in paths for one in _places(path)):
            for reference in list_clips(str(place)):
                clip = reference.open(reach=0)
                within = place.relative_to(given)
                self._places[len(self)] = str(Path(given.name) / within)
                self._add(clip, place.parts, by_name)
                told = clip.fingerprint(0)  # of a video: of all of it
                if isinstance(clip, ImageSequence):
                    told = f'{within} {clip.name}\n{clip.summary()}\n'
                digest.update(told.encode())
        self.fingerprint = digest.hexdigest()

    def _add(
        self, clip: Clip, folders: tuple[str, ...], by_name: dict[tuple[str, ...], int]
    ) -> None:
        """Take in a clip."""
        first = len(self.bounds)
        self.names.append(clip.name)
        self.bounds += [(first, first + len(clip) - 1)] * len(clip)
        for position in range(len(clip)):
            frame = first + position
            if not isinstance(clip, ImageSequence):
                image = clip.read(position)
                if image is not None:
                    self._stored[frame] = len(self._decoded)
                    self._decoded.append(self._resized(image))
            elif clip.has(position):
                self._files[frame] = (clip, position)
                name = clip.frame_name(position)
                for key in ((name,), *((folder, name) for folder in folders)):
                    if key in by_name:
                        self._labels[frame] = by_name[key]

    def __len__(self) -> int:
        """Return the number of positions, with those that have no frame."""
        return len(self.bounds)

    def has(self, frame: int) -> bool:
        """Whether there is a frame at an index."""
        return frame in self._files or frame in self._stored

    def labelled(self, frame: int) -> bool:
        """Whether a frame has a label map."""
        return frame in self._labels

    def describe(self, frames: Sequence[int]) -> str:
        """Name frames of one clip, for people: its folder or file, then the frames."""
        first = self.bounds[frames[0]][0]
        names = [f'{frame - first:06d}' for frame in frames]  # of a video
        if frames[0] in self._files:
            names = [clip.frame_name(at) for clip, at in map(self._files.__getitem__, frames)]
        return ' '.join([self._places[first], *names])

    def __getitem__(self, frame: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return image (H, W, 3) uint8 RGB and labels (H, W) uint8, all void without a label map.

        Raises:
            SourceError: If the frame cannot be read.
        """
        if frame in self._stored:
            image = self._decoded[self._stored[frame]]
        else:
            image = self._read(*self._files[frame])
        if frame not in self._labels:
            return image, np.full(self.size, IGNORE_ID, np.uint8)
        return image, resize_labels(self._labelled[self._labels[frame]][1], self.size)

    def _read(self, clip: ImageSequence, position: int) -> NDArray[np.uint8]:
        image = clip.read(position)
        if image is None:
            msg = (
                f'cannot read frame {clip.frame_name(position)} of the clip {clip.name}: remove '
                'it, then frames beside it have no neighbour there'
            )
            raise SourceError(msg)
        return self._resized(image)

    def _resized(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if image.shape[:2] == self.size:
            return image
        resized = cv2.resize(image, self.size[::-1], interpolation=cv2.INTER_LINEAR)
        return resized.astype(np.uint8, copy=False)


def _places(path: Path) -> list[Path]:
    """Return a video or a folder of images; of a folder of folders those that have images.

    VSPW has label maps in ``mask`` beside the frames in ``origin``: they are no clip.
    """
    if not path.is_dir() or any(file.suffix.lower() in IMAGE_TYPES for file in path.iterdir()):
        return [path]
    folders = sorted(folder for folder in path.iterdir() if folder.is_dir())
    if (path / 'origin').is_dir():
        folders = [folder for folder in folders if folder.name != 'mask']
    return [place for folder in folders for place in _places(folder)] or [path]
