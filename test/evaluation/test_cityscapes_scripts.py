# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The mIoU of an evaluation is that of cityscapesScripts on the same predictions."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
import pytest

from vidseg_ros.core.labels import CITYSCAPES
from vidseg_ros.evaluation.tally import ModelOutput, ModelTally

scripts = pytest.importorskip('cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling')

LABEL_IDS: Final = np.array(
    [*(7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)], np.uint8
)
"""The Cityscapes id of each train id."""


def theirs(folder: Path, pairs: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]) -> Any:
    """Return mIoU and IoU by name of (truth, prediction) in train ids."""
    args = SimpleNamespace(evalInstLevelScore=False, evalPixelAccuracy=False)
    matrix = scripts.generateMatrix(args)
    table = np.zeros(256, np.uint8)  # void: unlabeled
    table[: len(LABEL_IDS)] = LABEL_IDS
    for truth, predicted in pairs:
        names = [str(folder / f'{name}.png') for name in ('predicted', 'truth')]
        for name, ids in zip(names, (predicted, truth), strict=True):
            assert cv2.imwrite(name, table[ids])
        scripts.evaluatePair(*names, matrix, {}, {}, args)
    scores = {
        label.name: scripts.getIouScoreForLabel(label.id, matrix, args)
        for label in scripts.labels
        if label.id >= 0
    }
    return scripts.getScoreAverage(scores, args), scores


def test_the_label_ids_are_theirs() -> None:
    by_train_id = [scripts.trainId2label[number] for number in range(len(CITYSCAPES))]
    assert [label.name for label in by_train_id] == list(CITYSCAPES.names)
    assert [label.id for label in by_train_id] == LABEL_IDS.tolist()


@pytest.mark.parametrize('seen', [19, 12], ids=['all classes', 'some never occur'])
def test_equal_to_a_millionth(tmp_path: Path, seen: int) -> None:
    random = np.random.default_rng(seen)
    pairs = []
    for _ in range(4):
        truth = random.integers(0, seen, (18, 32), np.uint8).repeat(10, axis=0).repeat(10, axis=1)
        predicted = np.where(
            random.random(truth.shape) < 0.7, truth, random.integers(0, seen, truth.shape)
        )
        truth[random.random(truth.shape) < 0.1] = 255
        pairs.append((truth, predicted.astype(np.uint8)))
    tally = ModelTally(len(CITYSCAPES))
    for truth, predicted in pairs:
        tally.add(ModelOutput(predicted, None, 1), None, truth)
    scores = tally.scores()
    miou, iou = theirs(tmp_path, pairs)
    assert scores['miou'] == pytest.approx(miou, abs=1e-6)
    for name, value in zip(CITYSCAPES.names, scores['iou'], strict=True):
        assert (float('nan') if value is None else value) == pytest.approx(
            iou[name], abs=1e-6, nan_ok=True
        )
