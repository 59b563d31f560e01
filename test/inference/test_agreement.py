# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from collections.abc import Sequence
from contextlib import closing
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
import pytest

from vidseg_ros.core.errors import ModelError
from vidseg_ros.core.labels import LabelSet
from vidseg_ros.inference.agreement import (
    Agreement,
    CHECK_FRAMES,
    COMMON,
    compare,
    require,
    Sample,
    street_frames,
    Tolerance,
    TOLERANCES,
)
from vidseg_ros.inference.onnxruntime_engine import OnnxRuntimeEngine

LABELS = LabelSet(names=('road', 'sky', 'car'), colors=((1, 0, 0), (0, 1, 0), (0, 0, 1)))


class Table:
    """Gives prepared label maps, one after the other."""

    def __init__(self, *maps: Any, names: tuple[str, ...] = LABELS.names) -> None:
        self._maps = [np.array(item, np.uint8) for item in maps]
        labels = LabelSet(names=names, colors=LABELS.colors)
        self.card: Any = SimpleNamespace(name='table', labels=labels)
        self.info: Any = None
        self.has_confidence = False

    def infer(self, _frames: Sequence[NDArray[np.uint8]], *, confidence: bool = False) -> Any:
        return SimpleNamespace(labels=self._maps.pop(0)[None], confidence=confidence)

    def close(self) -> None:
        """Nothing to free."""


def sample(truth: Any = None) -> Sample:
    return Sample(
        image=np.zeros((4, 4, 3), np.uint8),
        truth=None if truth is None else np.array(truth, np.uint8),
    )


def test_pixels_and_iou_are_counted_over_all_frames() -> None:
    source = Table([[0, 0], [0, 1]], [[1, 1], [1, 1]])
    found = compare(Table([[0, 0], [1, 1]], [[1, 1], [1, 0]]), source, [sample(), sample()])
    assert found.frames == 2
    assert found.pixels == pytest.approx(6 / 8)
    assert found.iou == pytest.approx({'road': 2 / 4, 'sky': 4 / 6})
    assert found.miou == pytest.approx(7 / 12)
    assert found.classes == ('road', 'sky')
    assert found.shares == pytest.approx({'road': 3 / 8, 'sky': 5 / 8})
    assert found.source_miou is found.artefact_miou is None
    assert str(found) == '75.00% of the pixels of 2 frames, mIoU 0.5833'


def test_true_labels_score_both_at_their_own_size() -> None:
    truth = np.kron(np.array([[0, 0], [0, 1]]), np.ones((2, 2)))
    truth[0, 0] = 255
    found = compare(
        Table([[0, 0], [1, 1]]), Table([[0, 0], [0, 1]]), [sample(truth), sample()][:1]
    )
    assert found.source_miou == pytest.approx(1.0)
    assert found.artefact_miou == pytest.approx((7 / 11 + 4 / 8) / 2)
    assert str(found).endswith('; against true labels 0.5682, not 1.0000')


def test_an_engine_of_other_classes_is_refused() -> None:
    other = Table([[0]], names=('road', 'sky', 'bus'))
    with pytest.raises(ModelError, match='have other classes and cannot be compared'):
        compare(other, Table([[0]]), [sample()])


GOOD = Agreement(
    frames=2,
    pixels=0.99,
    iou={'road': 0.9, 'sky': 0.5, 'car': 0.0},
    classes=('road', 'sky'),
    shares={'road': 0.996, 'sky': 0.004},
)


@pytest.mark.parametrize(
    ('change', 'kept'),
    [
        ({}, True),
        ({'pixels': 0.989}, False),
        ({'shares': {'road': 0.99, 'sky': COMMON}}, False),
        ({'shares': {'road': 0.99, 'sky': COMMON}, 'iou': {'road': 0.9, 'sky': 0.7}}, True),
        ({'source_miou': 0.70, 'artefact_miou': 0.696}, True),
        ({'source_miou': 0.70, 'artefact_miou': 0.694}, False),
        ({'source_miou': 0.70, 'artefact_miou': 0.9}, True),
        ({'pixels': float('nan')}, False),
    ],
)
def test_what_disagrees_is_refused(change: dict[str, Any], *, kept: bool) -> None:
    agreement = Agreement(**vars(GOOD) | change)
    tolerance = Tolerance(pixels=0.99, class_iou=0.7, miou_loss=0.005)
    if kept:
        require(agreement, tolerance, 'tiny.plan')
        return
    with pytest.raises(ModelError, match=r'^tiny\.plan is not kept: .* Worst classes: '):
        require(agreement, tolerance, 'tiny.plan')


def test_every_precision_has_a_tolerance() -> None:
    assert list(TOLERANCES) == ['fp32', 'fp16', 'int8']


def test_a_small_class_that_is_lost_is_refused() -> None:
    """Its pixels alone do not show it: 99.2 % of all are the same."""
    source = np.zeros((10, 100), np.uint8)
    source[0, :8] = 2
    found = compare(Table(np.zeros_like(source)), Table(source), [sample()])
    assert found.pixels == pytest.approx(0.992)
    with pytest.raises(
        ModelError, match=r'IoU 0\.8 of each class with .*Worst classes: car 0\.000'
    ):
        require(found, TOLERANCES['fp16'], 'tiny.plan')


def test_the_results_that_are_published_pass() -> None:
    path = Path(__file__).parents[2] / 'bench' / 'results' / 'precision_2cpu.json'
    agreements = json.loads(path.read_text())['agreement']
    assert sorted(agreements) == ['camvid_fp16', 'camvid_int8_cpu']
    for name, plain in agreements.items():
        shares = dict.fromkeys(plain['classes'], 1.0)  # the strictest: each of them counts
        require(Agreement(**plain | {'shares': shares}), TOLERANCES[name.split('_')[1]], name)


def test_a_model_agrees_with_itself_on_made_up_streets(tiny_model: Path) -> None:
    images = street_frames('rgb8')[:2]
    with closing(OnnxRuntimeEngine(tiny_model)) as engine:
        found = compare(engine, engine, [Sample(image=image) for image in images])
    assert found.pixels == found.miou == 1.0


def test_street_frames_are_all_different() -> None:
    images = street_frames('bgr8')
    assert len(images) == CHECK_FRAMES
    assert {image.shape for image in images} == {(360, 640, 3)}
    assert len({image.tobytes() for image in images}) == len(images)
    np.testing.assert_array_equal(street_frames('rgb8')[1][..., ::-1], images[1])
