# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""An evaluation through the running node has the label maps, and so the scores, of one without."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
import pytest

pytest.importorskip('rclpy')

from vidseg_ros.bag_io import BagReader, BagWriter
from vidseg_ros.core.errors import ParameterError
from vidseg_ros.core.street import StreetClip
from vidseg_ros.evaluation.evaluate import evaluate_source, EvaluationSettings, SourceJob
from vidseg_ros.evaluation.summary import NO_MASK
from vidseg_ros.inference.model_file import read_model
from vidseg_ros.nodes.live_evaluation import evaluate_source_live
from vidseg_ros.nodes.live_run import NODE_LOG

FRAMES = 12
STEP_NS = 200_000_000


def record(path: Path, images: Sequence[NDArray[np.uint8]]) -> Path:
    with BagWriter(path) as bag:
        for number, image in enumerate(images):
            rest: dict[str, Any] = {'stamp_ns': 10**18 + number * STEP_NS, 'frame_id': 'front'}
            bag.write_image('/camera', image, encoding='rgb8', **rest)
            truth = (image.argmax(axis=-1) + number % 2).clip(0, 2).astype(np.uint8)
            bag.write_image('/truth', truth, encoding='mono8', **rest)
    return path


@pytest.fixture
def job(tmp_path: Path, tiny_model: Path) -> SourceJob:
    frames = [frame.image for frame in StreetClip(seed=3, size=(90, 160)).frames(FRAMES)]
    classes = read_model(tiny_model).card.labels
    return SourceJob(
        key='drive',
        path=record(tmp_path / 'bag', frames),
        topic='/camera',
        labels='/truth',
        settings=EvaluationSettings(models=(tiny_model,), classes=classes, mcap=True),
        out=tmp_path / 'offline',
    )


def label_maps(job: SourceJob) -> dict[int, NDArray[np.uint8]]:
    """Return the exported label maps by stamp."""
    with BagReader(job.folder / 'bag') as bag:
        return {image.stamp_ns: image.label_map() for image in bag.images('/a/label_map')}


def test_live_and_offline_label_maps_are_identical(job: SourceJob, tmp_path: Path) -> None:
    offline = evaluate_source(job)
    settings = replace(job.settings, rate=1.0)
    live_job = replace(job, settings=settings, out=tmp_path / 'live')
    seen: list[tuple[int, int | None]] = []
    live = evaluate_source_live(live_job, lambda done, total: seen.append((done, total)))
    assert seen == [(number + 1, FRAMES) for number in range(FRAMES)] * 2, 'played, then evaluated'
    expected, found = label_maps(job), label_maps(live_job)
    assert len(expected) == FRAMES
    assert len(found) == FRAMES - live.dropped > FRAMES / 2, 'a busy machine may drop some'
    for stamp_ns, labels in found.items():
        np.testing.assert_array_equal(labels, expected[stamp_ns])
    assert (live.frames, live.unreadable) == (FRAMES, 0)
    lost = f'frames without a label map ({NO_MASK}): {live.dropped}'
    assert live.problems == ((lost,) if live.dropped else ())
    if not live.dropped:
        ours, theirs = (result.tallies['a'].to_dict() for result in (offline, live))
        for changed in ('times', 'confidence'):
            assert ours.pop(changed) != theirs.pop(changed)
        assert ours == theirs
    scores = live.tallies['a'].scores()
    assert scores['confidence_mean'] is None
    assert scores['inference_ms']['p50'] > 0
    assert 'opened' in (live_job.folder / NODE_LOG).read_text()


def test_one_model_at_a_time(job: SourceJob) -> None:
    settings = replace(job.settings, models=job.settings.models * 2, rate=1.0)
    with pytest.raises(ParameterError, match='a live evaluation runs one model; run it once for'):
        evaluate_source_live(replace(job, settings=settings))
