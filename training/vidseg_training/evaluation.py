# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The score of a run on a split of its data set."""

from dataclasses import dataclass, replace
from math import isfinite, isnan
from pathlib import Path
from typing import Final

from vidseg_ros.core.errors import ParameterError
from vidseg_ros.core.labels import LabelSet
from vidseg_ros.core.metrics import Confusion
from vidseg_training.data import open_dataset, Split
from vidseg_training.export import load_run
from vidseg_training.networks import check_size, STRIDES
from vidseg_training.scoring import DEPLOYED, on_fastest_device, predict, Protocol, score
from vidseg_training.shown_classes import absence
from vidseg_training.steadiness import score_video, Steadiness

_DIGITS: Final = {'flips/s': 3}
"""Behind the point, if not one."""


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found."""

    confusion: Confusion
    """Counts of the whole split."""
    labels: LabelSet
    """The classes."""
    protocol: str
    """What was scored, and how, in words."""
    steadiness: Steadiness | None = None
    """How steady the label maps are, if that was asked for."""
    fps: float | None = None
    """With that: frames a second that the images were taken for."""

    def __str__(self) -> str:
        """Return the scores of each class and overall, one a line; ``-``: does not occur.

        IoU in %, and with `steadiness` TC, flips per second, VC8 and VC16 under a heading. Last
        lines say when those mean nothing, and name the classes that no image shows.
        """
        columns = {'IoU': [*100 * self.confusion.iou(), 100 * self.confusion.miou()]}
        if self.steadiness is not None:
            columns |= self.steadiness.columns()
        names = (*self.labels.names, 'mean' if self.steadiness is None else 'overall')
        width = max(map(len, names))
        lines = [
            f'{name:>{width}} ' + ' '.join(map(_cell, columns, values))
            for name, *values in zip(names, *columns.values(), strict=True)
        ]
        if self.steadiness is not None:
            lines.insert(0, ' ' * width + ''.join(f' {heading:>7}' for heading in columns))
        if self.fps is not None:
            lines.append(
                f'the images of a clip are taken to be 1/{self.fps:g} s apart; if they are not '
                'consecutive frames, TC and flips mean nothing'
            )
        absent = absence(self.confusion, self.labels.names)
        return '\n'.join([self.protocol, *lines, *([absent] if absent else [])])


def _cell(heading: str, value: float) -> str:
    return f'{"-" if isnan(value) else f"{value:.{_DIGITS.get(heading, 1)}f}":>7}'


def evaluate(  # noqa: PLR0913  # the last by name
    path: Path,
    data: Path | None = None,
    split: Split = 'test',
    protocol: Protocol = DEPLOYED,
    input_size: tuple[int, int] | None = None,
    *,
    fps: float | None = None,
) -> Evaluation:
    """Score the weights of a run; with the default protocol as the exported model file does.

    Args:
        path: Folder, checkpoint or weights of the run; it need not be finished.
        data: Folder of the data set, if it is not where it was during training.
        split: Which images.
        protocol: How an image is predicted.
        input_size: Height and width in pixels to which images are brought; None: the run's.
        fps: Frames a second of a split that is a video, whose steadiness is scored, too.

    Raises:
        SourceError: If the run or its data cannot be read.
        ParameterError: If a size does not fit the network, there are no frames a second, or no
            two images are of one video.
    """
    if fps is not None and not (isfinite(fps) and fps > 0):
        msg = f'--fps must be a finite number above zero, frames a second, not {fps:g}'
        raise ParameterError(msg)
    trained, network, test = load_run(path, data)
    config = trained.config
    if protocol.window is not None:
        check_size(config.network, 'window', protocol.window)
    if input_size is not None:
        check_size(config.network, 'input_size', input_size)
        config = replace(config, input_size=input_size)
    protocol = replace(protocol, stride=STRIDES[config.network])
    images = test if split == 'test' else open_dataset(config, split)
    network, size, steadiness = on_fastest_device(network), config.input_size, None
    if fps is None:
        confusion = score(network, images, size, protocol)
    else:
        network.eval()
        confusion, steadiness = score_video(
            lambda image: predict(network, image, size, protocol), images, fps
        )
    height, width = size
    words = (
        f'{config.name}, epoch {trained.epoch} of {config.epochs}, {images.title} '
        f'({len(images)} images), network input {width}x{height}, {protocol}'
    )
    if fps is not None:
        words += f', as video of {fps:g} frames/s'
    return Evaluation(confusion, images.label_set, words, steadiness, fps)
