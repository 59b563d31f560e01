# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Pictures of propagated samples for people: a contact sheet and a short video."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
from av.video.frame import VideoFrame
import cv2
import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.atomic_file import write_atomically
from vidseg_ros.core.class_list import parse_classes
from vidseg_ros.core.errors import OutputError, SourceError
from vidseg_ros.core.labels import IGNORE_ID, LabelSet
from vidseg_ros.core.overlay import blend, contact_sheet, legend
from vidseg_training.propagation.manifest import MANIFEST, read_manifest, sample_file

SHEET: Final = 'samples.png'
VIDEO: Final = 'samples.webm'

PANEL_WIDTH: Final = 320
"""Width of each of the three pictures of a sample, px."""

SHEET_SAMPLES: Final = 6
VIDEO_SAMPLES: Final = 150
"""Most samples on the sheet and in the video; of more, evenly spread ones."""

SAMPLES_PER_S: Final = 3
"""So many samples of the video are shown in a second."""

_HIDDEN: Final = (230, 30, 60)
_UNSURE: Final = (250, 180, 40)
_VP9: Final = {'deadline': 'realtime', 'cpu-used': '7', 'lag-in-frames': '0', 'crf': '32'}


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A sample as it lies on the disk."""

    caption: str
    image: NDArray[np.uint8]
    """(H, W, 3) uint8 RGB."""
    labels: NDArray[np.uint8]
    """(H, W) uint8 ids, 255 void."""
    confidence: NDArray[np.uint8]
    """(H, W) uint8, 0 where the labelled frame does not show the pixel."""
    coverage: float
    """Share of the pixels with a label."""

    def panels(self, classes: LabelSet) -> list[NDArray[np.uint8]]:
        """Return frame, labels over it, and where the check failed, (h, 320, 3) uint8 RGB each.

        There is red what is void, amber what has kept its label.
        """
        hidden = (self.image * 0.55).astype(np.uint8)
        failed = self.confidence == 0
        hidden[failed & (self.labels == IGNORE_ID)] = _HIDDEN
        kept = failed & (self.labels != IGNORE_ID)
        hidden[kept] = hidden[kept] // 2 + np.array(_UNSURE, np.uint8) // 2
        tinted = blend(self.image, self.labels, classes, 0.65)
        height = max(2, round(self.image.shape[0] * PANEL_WIDTH / self.image.shape[1]) // 2 * 2)
        size = (PANEL_WIDTH, height)
        return [
            np.asarray(cv2.resize(panel, size, interpolation=cv2.INTER_AREA), np.uint8)
            for panel in (self.image, tinted, hidden)
        ]


def write_pictures(folder: Path, classes: LabelSet | None) -> list[Path]:
    """Write a contact sheet and a video of a clip's samples beside them.

    Args:
        folder: Of the clip, with its manifest.
        classes: Names and colours; None takes any colours and draws no legend.

    Returns:
        The files; none if there are no samples.

    Raises:
        SourceError: If manifest or samples cannot be read.
        OutputError: If a picture cannot be written.
    """
    _, records = read_manifest(folder / MANIFEST)
    made = [record for record in records.values() if 'skipped' not in record]
    if not made:
        return []
    shown = [read_sample(folder, record) for record in _spread(made, SHEET_SAMPLES)]
    colors = classes or _any_colors(shown)
    captions = [
        caption
        for sample in shown
        for caption in (
            sample.caption,
            f'labels on {sample.coverage:.0%}',
            'red: hidden, amber: unsure',
        )
    ]
    tiles = [panel for sample in shown for panel in sample.panels(colors)]
    picture = contact_sheet(tiles, columns=3, captions=captions)
    if classes is not None:
        picture = np.concatenate([picture, legend(classes, picture.shape[1])])
    _, data = cv2.imencode('.png', cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    write_atomically(folder / SHEET, data.tobytes())
    samples = (read_sample(folder, record) for record in _spread(made, VIDEO_SAMPLES))
    _write_video(folder / VIDEO, (np.hstack(sample.panels(colors)) for sample in samples))
    return [folder / SHEET, folder / VIDEO]


def read_sample(folder: Path, record: Mapping[str, Any]) -> Sample:
    """Read the files of a sample.

    Args:
        folder: Of the clip.
        record: Of the manifest.

    Raises:
        SourceError: If a file is missing or damaged.
    """
    return Sample(
        caption=f'{record["source"]} {record["offset"]:+d}',
        image=read_plane(folder, record, 'images'),
        labels=read_plane(folder, record, 'labels'),
        confidence=read_plane(folder, record, 'confidence'),
        coverage=record['coverage'],
    )


def read_plane(folder: Path, record: Mapping[str, Any], kind: str) -> NDArray[np.uint8]:
    """Read one file of a sample.

    Args:
        folder: Of the clip.
        record: Of the manifest.
        kind: Key of `FILES`.

    Returns:
        The image (H, W, 3) uint8 RGB, or the labels or the confidence as stored, (H, W) uint8.

    Raises:
        SourceError: If it is missing or damaged.
    """
    path = folder / sample_file(kind, record['name'])
    is_image = kind == 'images'
    plane = cv2.imread(str(path), cv2.IMREAD_COLOR if is_image else cv2.IMREAD_UNCHANGED)
    if plane is None:
        msg = f'cannot read {path}; propagate again, which makes missing samples anew'
        raise SourceError(msg)
    if is_image:
        plane = cv2.cvtColor(plane, cv2.COLOR_BGR2RGB)
    return plane.astype(np.uint8, copy=False)


def _spread(records: Sequence[Mapping[str, Any]], count: int) -> list[Mapping[str, Any]]:
    """Return at most ``count`` of them, evenly spread."""
    chosen = np.linspace(0, len(records) - 1, min(count, len(records))).round().astype(int)
    return [records[index] for index in chosen.tolist()]


def _any_colors(samples: Sequence[Sample]) -> LabelSet:
    """Return classes for all ids of samples."""
    known = [sample.labels[sample.labels != IGNORE_ID] for sample in samples]
    most = max((int(ids.max()) for ids in known if ids.size), default=0)
    return parse_classes([f'class {number}' for number in range(most + 1)])


def _write_video(path: Path, pictures: Iterator[NDArray[np.uint8]]) -> None:
    """Write a VP9 video, which every browser shows; pictures of another size are stretched."""
    part = path.with_name(f'{path.name}.part')
    try:
        with av.open(str(part), 'w', format='webm') as container:
            stream = container.add_stream('libvpx-vp9', rate=SAMPLES_PER_S, options=_VP9)
            stream.pix_fmt = 'yuv420p'
            for number, picture in enumerate(pictures):
                if number == 0:
                    stream.height, stream.width = picture.shape[:2]
                size = (stream.width, stream.height)
                fitted = cv2.resize(picture, size).astype(np.uint8, copy=False)
                frame = VideoFrame.from_ndarray(fitted, format='rgb24')
                frame.pts, frame.time_base = number, Fraction(1, SAMPLES_PER_S)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        part.replace(path)
    except (OSError, av.FFmpegError) as error:
        part.unlink(missing_ok=True)
        msg = f'cannot write {path}: {error}; check the path and the free space'
        raise OutputError(msg) from error
