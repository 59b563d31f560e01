# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The report's colours differ for every kind of colour vision."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest

from vidseg_ros.core.labels import CAMVID, CITYSCAPES, LabelSet, STREET
from vidseg_ros.evaluation.report_colors import REPORT_COLORS, report_labels

# Machado, Oliveira, Fernandes 2009, "A Physiologically-based Model for Simulation of Color Vision
# Deficiency", severity 1.0, for linear RGB
VISIONS = {
    'normal': [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    'protanopia': [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    'deuteranopia': [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    'tritanopia': [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
XYZ_OF_RGB = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
WHITE = np.array([0.95047, 1.0, 1.08883])


def lab(color: Sequence[int], vision: str = 'normal') -> np.ndarray:
    """Return CIE Lab (D65) of an sRGB colour as somebody sees it."""
    share = np.array(color) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    xyz = XYZ_OF_RGB @ np.clip(np.array(VISIONS[vision]) @ linear, 0, 1) / WHITE
    x, y, z = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def least_distance(colors: Sequence[Sequence[int]]) -> float:
    """Return how far the two most similar colours are apart, for whom they are most similar."""
    return min(
        float(np.linalg.norm(lab(one, vision) - lab(other, vision)))
        for one, other in combinations(colors, 2)
        for vision in VISIONS
    )


def test_distances_by_hand() -> None:
    assert lab((255, 255, 255)) == pytest.approx([100, 0, 0], abs=0.01)
    assert lab((255, 0, 0)) == pytest.approx([53.24, 80.09, 67.20], abs=0.01)
    assert least_distance([(0, 0, 0), (255, 255, 255)]) == pytest.approx(100, abs=0.01)


@pytest.mark.parametrize(('count', 'bound'), [(8, 31), (12, 30), (20, 18)])
def test_the_colors_are_far_apart(count: int, bound: float) -> None:
    assert least_distance(REPORT_COLORS[:count]) > bound


@pytest.mark.parametrize(
    ('labels', 'bound'), [(CAMVID, 30), (STREET, 30), (CITYSCAPES, 18)], ids=['11', '10', '19']
)
def test_classes_of_known_lists(labels: LabelSet, bound: float) -> None:
    shown = report_labels(labels)
    assert shown.names == labels.names
    assert least_distance(labels.colors) < 6.1, 'why the report has its own'
    assert least_distance(shown.colors) > bound
    colors = dict(zip(shown.names, shown.colors, strict=True))
    green = colors['vegetation' if labels is CITYSCAPES else 'tree']
    assert (colors['road'], colors['sky'], green) == REPORT_COLORS[:3]
    assert colors['car'] == REPORT_COLORS[4]


def test_of_two_names_for_one_thing_the_first_gets_the_color() -> None:
    labels = LabelSet(names=('Tree', 'vegetation', 'x'), colors=((0, 0, 0),) * 3)
    assert report_labels(labels).colors == tuple(REPORT_COLORS[at] for at in (2, 0, 1))


def test_too_many_classes_keep_their_own_colors() -> None:
    labels = LabelSet(names=tuple(map(str, range(21))), colors=((1, 2, 3),) * 21)
    assert report_labels(labels) is labels
