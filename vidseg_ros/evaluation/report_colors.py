# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Colours of the label maps on a report, to be told apart with every kind of colour vision.

The colours that data sets give their classes are not: two of CamVid's are 6 apart in CIE Lab for
people who see no green. These were searched for the largest least distance, over normal vision
and complete protanopia, deuteranopia and tritanopia (simulated after Machado et al. 2009): 30
among the first 12, 18 among all 20. Beyond a dozen classes no palette is safe.
"""

from collections.abc import Sequence
from typing import Final

from vidseg_ros.core.labels import LabelSet

REPORT_COLORS: Final = (
    (153, 136, 119),
    (170, 204, 255),
    (0, 136, 0),
    (68, 0, 51),
    (0, 17, 255),
    (238, 238, 153),
    (17, 51, 0),
    (255, 187, 0),
    (102, 255, 221),
    (238, 51, 255),
    (85, 0, 153),
    (153, 68, 136),
    (85, 102, 51),
    (85, 187, 187),
    (136, 136, 204),
    (170, 187, 119),
    (153, 34, 85),
    (136, 68, 187),
    (204, 255, 102),
    (204, 187, 85),
)
"""(red, green, blue), 0 to 255; each is far from all before it."""

_EXPECTED: Final = {'road': 0, 'sky': 1, 'tree': 2, 'vegetation': 2, 'car': 4}


def report_labels(labels: LabelSet) -> LabelSet:
    """Return classes with the colours of a report; of more than there are, with their own.

    Road, sky, vegetation and car get what one expects, where they are; the others follow in order.
    """
    if len(labels) > len(REPORT_COLORS):
        return labels
    numbers = _color_numbers(labels.names)
    return LabelSet(names=labels.names, colors=tuple(REPORT_COLORS[at] for at in numbers))


def _color_numbers(names: Sequence[str]) -> list[int]:
    taken: dict[str, int] = {}
    for name in names:
        number = _EXPECTED.get(name.lower())
        if number is not None and number not in taken.values():
            taken[name] = number
    free = iter([at for at in range(len(REPORT_COLORS)) if at not in taken.values()])
    return [taken[name] if name in taken else next(free) for name in names]
