# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Propagated samples behind a labelled data set (Zhu et al., CVPR 2019)."""

from pathlib import Path
import re
from typing import Any, Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.errors import ParameterError, SourceError
from vidseg_ros.core.label_map import resize_labels
from vidseg_ros.core.labels import IGNORE_ID
from vidseg_training.data.sampling import LabelledImages
from vidseg_training.propagation.manifest import MANIFEST, read_manifest
from vidseg_training.propagation.pictures import read_plane

_DIS: Final = re.compile(r'(.*-)?(dis|dis_flow)|(reconstruction|prediction)-[0-9a-f]{8}')
"""Names in manifests. One of a network that does not say its first flow is of a version that did
not write it; that was mostly DIS."""


class WithPropagated:
    """A labelled data set followed by the samples that `vidseg-train propagate` made.

    They are brought to the size of the labelled images, labels by nearest pixel.

    Attributes:
        label_set: Of the labelled images.
        names: Name of each image and sample.
        real: Number of the labelled images, which come first.
    """

    def __init__(
        self,
        labelled: LabelledImages,
        folder: Path,
        mode: Literal['joint', 'label'],
        offset: int,
        *,
        accumulate: bool = False,
    ) -> None:
        """Choose samples.

        Args:
            labelled: The labelled images, all of one size.
            folder: What the samples were written to.
            mode: What they must have been made as.
            offset: k; samples at ±k belong to it.
            accumulate: Those at ±1 to ±k do.

        Raises:
            SourceError: If there are no such samples, not at all distances, or a manifest is
                damaged.
            ParameterError: If they were made in another mode.
        """
        self.label_set = labelled.label_set
        self.real = len(labelled)
        self._labelled = labelled
        self._size = labelled[0][1].shape
        self._samples = _choose(folder, mode, 1 if accumulate else offset, offset)
        self.names = [
            *getattr(labelled, 'names', [str(index) for index in range(self.real)]),
            *(f'{clip.name}/{record["name"]}' for clip, record in self._samples),
        ]

    def __len__(self) -> int:
        """Return the number of images and samples."""
        return self.real + len(self._samples)

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return image (H, W, 3) uint8 RGB and labels (H, W) uint8, void as 255.

        Raises:
            SourceError: If a file cannot be read, or labels have an id without a class.
        """
        if index < self.real:
            return self._labelled[index]
        clip, record = self._samples[index - self.real]
        image, labels = (read_plane(clip, record, kind) for kind in ('images', 'labels'))
        if image.shape[:2] != labels.shape:
            msg = f'sample {record["name"]} of {clip}: its image and labels differ in size'
            raise SourceError(msg)
        labels = resize_labels(labels, self._size)
        strange = np.unique(labels[(labels >= len(self.label_set)) & (labels != IGNORE_ID)])
        if strange.size:
            msg = (
                f'sample {record["name"]} of {clip} has the ids {strange.tolist()}, which are no '
                f'class; propagate with --void {" ".join(map(str, strange))} if they are void'
            )
            raise SourceError(msg)
        if image.shape[:2] != self._size:
            resized = cv2.resize(image, self._size[::-1], interpolation=cv2.INTER_LINEAR)
            image = resized.astype(np.uint8, copy=False)
        return image, labels


def motions_of(folder: Path) -> list[str]:
    """Return what samples were carried along, as manifests name it.

    Args:
        folder: What the samples were written to.

    Raises:
        SourceError: If a manifest is damaged.
    """
    headers = [read_manifest(path)[0] for path in sorted(folder.glob(f'*/{MANIFEST}'))]
    return sorted({header['motion'] for header in headers if 'motion' in header})


def is_dis(motion: str) -> bool:
    """Whether a motion of `motions_of` may be DIS, or that of a network which starts from it."""
    return _DIS.fullmatch(motion) is not None


def _choose(folder: Path, mode: str, least: int, most: int) -> list[tuple[Path, dict[str, Any]]]:
    """Return clip folder and record of the samples that are ±least to ±most frames away."""
    samples: list[tuple[Path, dict[str, Any]]] = []
    there: set[int] = set()
    for path in sorted(folder.glob(f'*/{MANIFEST}')):
        header, records = read_manifest(path)
        if header and header['mode'] != mode:
            msg = f'{path.parent} was made by --mode {header["mode"]}, not {mode}'
            raise ParameterError(msg)
        for record in records.values():
            distance = abs(record['offset'])
            there.add(distance)
            if 'skipped' not in record and least <= distance <= most:
                samples.append((path.parent, record))
    lacking = [distance for distance in range(least, most + 1) if distance not in there]
    if lacking or not samples:
        offsets = ', '.join(f'±{distance}' for distance in sorted(there)) or 'none at all'
        wanted = ', '.join(f'±{distance}' for distance in lacking or [most])
        msg = (
            f'no samples at {wanted} in {folder}, there are {offsets}; make them by '
            'vidseg-train propagate'
        )
        raise SourceError(msg)
    return samples
