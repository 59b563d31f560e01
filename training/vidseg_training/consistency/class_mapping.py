# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What the classes of a teacher are called in the classes of its student."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import torch
from torch import Tensor

from vidseg_ros.core.errors import ParameterError
from vidseg_ros.core.labels import CAMVID, CITYSCAPES

CITYSCAPES_AS_CAMVID: Final = {
    'road': 'road',
    'sidewalk': 'pavement',
    'building': 'building',
    'wall': 'building',
    'fence': 'fence',
    'pole': 'pole',
    'traffic light': 'sign',
    'traffic sign': 'sign',
    'vegetation': 'tree',
    'terrain': 'tree',
    'sky': 'sky',
    'person': 'pedestrian',
    'rider': 'bicyclist',
    'car': 'car',
    'truck': 'car',
    'bus': 'car',
    'train': 'car',
    'motorcycle': 'bicyclist',
    'bicycle': 'bicyclist',
}
"""The CamVid class of every Cityscapes class, in Cityscapes order."""


class ClassMapping(NamedTuple):
    """The student's class of each of the teacher's, where there is one."""

    rows: tuple[int | None, ...]
    """For each class of the teacher the student's id; None: the student has no such class."""
    classes: int
    """Number of the student's classes."""

    @classmethod
    def between(
        cls,
        teacher: Sequence[str],
        student: Sequence[str],
        table: Mapping[str, str] | None = None,
    ) -> 'ClassMapping':
        """Map by name.

        Args:
            teacher: The teacher's class names.
            student: The student's class names.
            table: The student's name of the teacher's; None: equal names, and
                `CITYSCAPES_AS_CAMVID` for these two.

        Raises:
            ParameterError: If a name of the table is unknown, or no class is known to both.
        """
        if table is None:
            both = (tuple(teacher), tuple(student))
            known = both == (CITYSCAPES.names, CAMVID.names)
            table = CITYSCAPES_AS_CAMVID if known else {}
        for name, names, whose in (
            *((name, teacher, 'teacher') for name in table),
            *((name, student, 'student') for name in table.values()),
        ):
            if name not in names:
                msg = f'distillation.classes: the {whose} has no {name}, only {", ".join(names)}'
                raise ParameterError(msg)
        ours = [table.get(name, name) for name in teacher]
        rows = tuple(student.index(name) if name in student else None for name in ours)
        if not any(row is not None for row in rows):
            msg = (
                f'the teacher knows {", ".join(teacher)}, and none of {", ".join(student)}; '
                'say which is which with distillation.classes'
            )
            raise ParameterError(msg)
        return cls(rows, len(student))

    def known(self) -> list[int]:
        """Return the ids of the student's classes that the teacher knows."""
        return sorted({row for row in self.rows if row is not None})

    def apply(self, probabilities: Tensor) -> Tensor:
        """Translate what the teacher says.

        Args:
            probabilities: (B, D, h, w) float of the teacher's classes.

        Returns:
            (B, C, h, w) float of the student's; classes that became one are added, those that the
            student does not have are left out, so that the sum may be below 1.
        """
        kept = [index for index, row in enumerate(self.rows) if row is not None]
        rows = torch.tensor([row for row in self.rows if row is not None])
        batch, _, height, width = probabilities.shape
        merged = probabilities.new_zeros(batch, self.classes, height, width)
        return merged.index_add_(1, rows.to(merged.device), probabilities[:, kept])
