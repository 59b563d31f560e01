# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Which classes a run sees: in its crops, and in the images that it is scored on."""

from collections.abc import Sequence
import logging

import torch
from torch import Tensor

from vidseg_ros.core.metrics import Confusion
from vidseg_training.processes import process_index, sum_over_processes

_logger = logging.getLogger(__name__)


def absence(confusion: Confusion, names: Sequence[str]) -> str:
    """Say which classes no image of a scored set shows; empty if every class is shown.

    Args:
        confusion: Counts of the whole set.
        names: Names of its classes.
    """
    counts = confusion.matrix.sum(axis=1).tolist()
    absent = [name for name, count in zip(names, counts, strict=True) if count == 0]
    if not absent:
        return ''
    return f'no image shows {", ".join(absent)}: not in the mean, or with 0 where predicted'


class ShownClasses:
    """Watches the labels of as many steps as an epoch has, then names classes that none showed.

    It costs a run without class weights no reading of all label maps, which of a large data set
    takes an hour. A run that goes on in the middle of an epoch watches as many steps from there.
    """

    def __init__(self, names: Sequence[str], steps: int, device: torch.device) -> None:
        """Prepare the watch.

        Args:
            names: Names of the classes.
            steps: Steps of an epoch.
            device: Of the labels.
        """
        self._names, self._left = names, steps
        self._shown = torch.zeros(len(names) + 1, dtype=torch.int64, device=device)  # void last

    def watch(self, labels: Tensor) -> None:
        """Look at the labels of a step, in all processes together.

        Args:
            labels: (B, H, W) int64 ids, 255 void.
        """
        if self._left == 0:
            return
        self._shown.index_fill_(0, labels.flatten().clamp(max=len(self._names)), 1)
        self._left -= 1
        if self._left == 0:
            shown = sum_over_processes(self._shown).tolist()
            absent = [name for name, count in zip(self._names, shown, strict=False) if count == 0]
            if absent and process_index() == 0:
                _logger.warning(
                    'no crop of as many steps as an epoch has shows %s: hardly to be learned',
                    ', '.join(absent),
                )
