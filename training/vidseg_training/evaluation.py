# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The score of a run on a split of its data set."""

from dataclasses import dataclass, replace
from pathlib import Path

from vidseg_ros.core.labels import LabelSet
from vidseg_ros.core.metrics import Confusion
from vidseg_training.data import open_dataset, Split
from vidseg_training.export import load_run
from vidseg_training.networks import check_size, STRIDES
from vidseg_training.scoring import DEPLOYED, on_fastest_device, Protocol, score


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found."""

    confusion: Confusion
    """Counts of the whole split."""
    labels: LabelSet
    """The classes."""
    protocol: str
    """What was scored, and how, in words."""

    def __str__(self) -> str:
        """Return the IoU of each class and their mean in %, one a line; ``-``: does not occur."""
        rows = [*zip(self.labels.names, self.confusion.iou(), strict=True)]
        rows.append(('mean', self.confusion.miou()))
        width = max(len(name) for name, _ in rows)
        lines = [
            f'{name:>{width}} {"-" if value != value else f"{100 * value:.1f}":>6}'  # noqa: PLR0124  # NaN
            for name, value in rows
        ]
        return '\n'.join([self.protocol, *lines])


def evaluate(
    path: Path,
    data: Path | None = None,
    split: Split = 'test',
    protocol: Protocol = DEPLOYED,
    input_size: tuple[int, int] | None = None,
) -> Evaluation:
    """Score the weights of a run; with the default protocol as the exported model file does.

    Args:
        path: Folder, checkpoint or weights of the run; it need not be finished.
        data: Folder of the data set, if it is not where it was during training.
        split: Which images.
        protocol: How an image is predicted.
        input_size: Height and width in pixels to which images are brought; None: the run's.

    Raises:
        SourceError: If the run or its data cannot be read.
        ParameterError: If a size does not fit the network.
    """
    trained, network, test = load_run(path, data)
    config = trained.config
    if protocol.window is not None:
        check_size(config.network, 'window', protocol.window)
    if input_size is not None:
        check_size(config.network, 'input_size', input_size)
        config = replace(config, input_size=input_size)
    protocol = replace(protocol, stride=STRIDES[config.network])
    images = test if split == 'test' else open_dataset(config, split)
    confusion = score(on_fastest_device(network), images, config.input_size, protocol)
    height, width = config.input_size
    words = (
        f'{config.name}, epoch {trained.epoch} of {config.epochs}, {images.title} '
        f'({len(images)} images), network input {width}x{height}, {protocol}'
    )
    return Evaluation(confusion, images.label_set, words)
