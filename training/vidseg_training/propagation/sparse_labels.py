# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The label maps of some frames of a clip."""

from collections.abc import Mapping, Sequence
import hashlib
from pathlib import Path
from typing import Final, final, Protocol

import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.errors import SourceError
from vidseg_ros.core.fleet.record import file_digest
from vidseg_ros.core.labels import IGNORE_ID
from vidseg_training.data.image_files import read_ids
from vidseg_training.propagation.clip import Clip, ClipReference, StreetSequence

STREET_LABEL_STEP: Final = 30
"""Of a procedural clip, every 30th frame is labelled: one every 2 s, as in CamVid."""


class SparseLabels(Protocol):
    """Label maps by position in a clip."""

    @property
    def positions(self) -> Sequence[int]:
        """Which frames are labelled, rising."""
        ...

    def read(self, position: int) -> NDArray[np.uint8]:
        """Return the (H, W) uint8 ids of a frame, void as 255.

        Raises:
            SourceError: If they cannot be read.
        """
        ...

    def fingerprint(self, position: int) -> str:
        """Return what changes when the labels do."""
        ...


@final
class LabelFolder:
    """Index PNGs named like their frames, see `SparseLabels`."""

    def __init__(self, folder: Path, clip: Clip, void: Sequence[int]) -> None:
        """Find the label maps of a clip.

        Args:
            folder: Has those of other clips, too, if their names differ.
            clip: The clip.
            void: Ids that become 255.

        Raises:
            SourceError: If two label maps belong to one frame.
        """
        self._void = list(void)
        self._files: dict[int, Path] = {}
        for file in label_files(folder):
            position = clip.position(file.stem)
            if position is None:
                continue
            if position in self._files:
                msg = (
                    f'{self._files[position]} and {file} are label maps of the same frame: keep '
                    'the one with the train ids in a folder of its own'
                )
                raise SourceError(msg)
            self._files[position] = file

    @property
    def positions(self) -> Sequence[int]:
        """See `SparseLabels`."""
        return sorted(self._files)

    def read(self, position: int) -> NDArray[np.uint8]:
        """See `SparseLabels`."""
        labels: NDArray[np.uint8] = read_ids(self._files[position]).copy()
        labels[np.isin(labels, self._void)] = IGNORE_ID
        return labels

    def fingerprint(self, position: int) -> str:
        """See `SparseLabels`."""
        return file_digest(self._files[position]).hex()


@final
class StreetLabels:
    """The exact labels of some frames of a procedural clip, see `SparseLabels`."""

    positions: Sequence[int]

    def __init__(self, clip: StreetSequence) -> None:
        """Label every `STREET_LABEL_STEP`-th frame."""
        self._clip = clip
        self.positions = range(0, len(clip), STREET_LABEL_STEP)

    def read(self, position: int) -> NDArray[np.uint8]:
        """See `SparseLabels`."""
        return self._clip.street.frame(position).labels

    def fingerprint(self, position: int) -> str:
        """See `SparseLabels`."""
        return f'labels of {self._clip.fingerprint(position)}'


def label_files(folder: Path) -> list[Path]:
    """Return the PNGs of a folder.

    Raises:
        SourceError: If there are none.
    """
    files = sorted(folder.glob('*.png'))
    if not files:
        msg = f'no label maps in {folder}: give a folder of index PNGs named like their frames'
        raise SourceError(msg)
    return files


def label_homes(labels: Path, clips: Sequence[ClipReference]) -> Mapping[str, Path]:
    """Return where the labels of each clip are, by the clip's name.

    Args:
        labels: Has a folder of label maps for each clip, or those of all.
        clips: The clips, without procedural ones.

    Raises:
        SourceError: If several clips would share label maps: their names tell frames apart by
            sequence and number only.
    """
    homes = {clip.name: labels / clip.name for clip in clips}
    homes = {name: home if home.is_dir() else labels for name, home in homes.items()}
    by_sequence: dict[str, list[str]] = {}
    for clip in clips:
        if homes[clip.name] == labels:
            by_sequence.setdefault(clip.sequence, []).append(clip.name)
    for shared in by_sequence.values():
        if len(shared) == 1:
            continue
        msg = (
            f'whose label maps are those in {labels}: {", ".join(shared)}? Put them into folders '
            f'of these names in it'
        )
        raise SourceError(msg)
    return homes


def digest_of(parts: Sequence[str]) -> str:
    """Return the SHA-256 of what a sample is made from."""
    return hashlib.sha256('\n'.join(parts).encode()).hexdigest()
