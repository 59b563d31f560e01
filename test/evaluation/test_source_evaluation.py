# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What one source comes to, beyond the scores, which `test_evaluate.py` knows."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from vidseg_ros.core.labels import STREET
from vidseg_ros.evaluation.source_evaluation import EvaluatedFrame, MissingFrame, SourceEvaluation
from vidseg_ros.evaluation.sources import open_source, STILLS


@pytest.mark.parametrize(
    ('dropped', 'hints'), [(5, []), (6, ['a lower --rate or a smaller model'])]
)
def test_who_drops_most_frames_is_told_of_the_rate(
    tmp_path: Path, dropped: int, hints: list[str]
) -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    for number in range(10):
        cv2.imwrite(str(tmp_path / f'{number}.png'), image)
    out = tmp_path / 'out'
    out.mkdir()
    evaluation = SourceEvaluation(
        folder=out, classes=STREET, tables={}, metrics='standard', truth=None
    )
    with evaluation, open_source(tmp_path) as source:
        for frame in source:
            if frame.index < dropped:
                evaluation.skip(MissingFrame(frame, 'no label map'))
            else:
                evaluation.add(EvaluatedFrame(frame, image, ()))
        result = evaluation.result(source, key='x', path=tmp_path, engines=())
    first, *others, stills = result.problems
    assert stills == STILLS
    assert first == f'frames without a label map (no label map): {dropped}'
    assert len(others) == len(hints)
    assert all(hint in other for hint, other in zip(hints, others, strict=True))
