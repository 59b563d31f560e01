# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""One source: known scores, nothing done twice, and what bad footage or labels come to."""

from collections.abc import Callable
import csv
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
import onnx
import pytest

from vidseg_ros.bag_io import BagWriter
from vidseg_ros.bag_io.messages import IMAGE_TYPE, serialize_image
from vidseg_ros.core.errors import ModelError, ParameterError, SourceError
from vidseg_ros.core.labels import LabelSet
from vidseg_ros.core.model_card import METADATA_KEY, ModelCard
from vidseg_ros.evaluation.evaluate import evaluate_source, EvaluationSettings, SourceJob
from vidseg_ros.evaluation.replay import replay_offline, ReplayResults
from vidseg_ros.evaluation.sources import open_source
from vidseg_ros.evaluation.true_labels import LabelDirectory
from vidseg_ros.inference.engine import create_engine
from vidseg_ros.pipeline import Segmenter

COLORS: Final = ((255, 0, 0), (0, 255, 0), (0, 0, 255))
CLASSES: Final = LabelSet(names=('red', 'green', 'blue'), colors=COLORS)
STEP_NS: Final = 100_000_000
FRAMES: Final = 10
JobFor = Callable[..., SourceJob]


def golden(index: int) -> NDArray[np.uint8]:
    """Return a (48, 64) label map: squares that move right by one every frame."""
    ids = np.random.default_rng(5).integers(0, 3, (12, 16), np.uint8)
    return np.roll(ids, index, axis=1).repeat(4, axis=0).repeat(4, axis=1)


def picture(index: int) -> NDArray[np.uint8]:
    """Return the (48, 64, 3) RGB frame whose labels the tiny model knows."""
    return np.array(COLORS, np.uint8)[golden(index)]


def record(
    path: Path, stamps: list[int] | None = None, truth: dict[int, NDArray[np.uint8]] | None = None
) -> Path:
    """Write frames at these stamps, and label maps at those."""
    stamps = [index * STEP_NS for index in range(FRAMES)] if stamps is None else stamps
    with BagWriter(path) as bag:
        for index, stamp_ns in enumerate(stamps):
            cdr = serialize_image(picture(index), encoding='rgb8', stamp_ns=stamp_ns, frame_id='')
            bag.write_raw('/camera', IMAGE_TYPE, cdr, index)
        for number, (stamp_ns, ids) in enumerate((truth or {}).items()):
            cdr = serialize_image(ids, encoding='mono8', stamp_ns=stamp_ns, frame_id='')
            bag.write_raw('/truth', IMAGE_TYPE, cdr, number)
    return path


@pytest.fixture
def job_for(tiny_model: Path, tmp_path: Path) -> JobFor:
    """Return what makes a job out of footage, options of the job and of its settings."""
    plain = EvaluationSettings(models=(tiny_model,), classes=CLASSES)

    def make(path: Path, **options: Any) -> SourceJob:
        known = {'topic', 'labels', 'key', 'labels_shared'}
        settings = replace(plain, **{k: v for k, v in options.items() if k not in known})
        rest = {k: v for k, v in options.items() if k in known}
        return SourceJob(
            **{'key': 'drive', 'path': path, 'settings': settings, 'out': tmp_path / 'out', **rest}
        )

    return make


def test_known_scores_of_a_bag_with_labels_in_it(tmp_path: Path, job_for: JobFor) -> None:
    wrong = golden(0).copy()
    wrong[:4, :4] = (wrong[:4, :4] + 1) % 3  # one square of 16 pixels
    truth = {0: wrong, 3 * STEP_NS: golden(3), 999: golden(0)}
    bag = record(tmp_path / 'bag', truth=truth)
    seen: list[tuple[int, int | None]] = []
    job = job_for(bag, topic='/camera', labels='/truth')
    result = evaluate_source(job, lambda done, total: seen.append((done, total)))
    assert seen == [(number + 1, FRAMES) for number in range(FRAMES)]
    summary = result.summary()
    scores = summary.pop('models')['a']
    assert summary == {
        'key': 'drive',
        'path': str(bag),
        'topic': '/camera',
        'kind': 'bag',
        'frames': 10,
        'labelled': 2,
        'unreadable': 0,
        'dropped': 0,
        'labels_without_frame': 1,
        'frames_without_label': 8,
        'duration_s': 0.9,
        'problems': ['frames without labels: 8 of 10', 'labels without a frame: 1'],
    }
    assert result.engines[0]['name'] == 'onnxruntime'
    assert scores['accuracy'] == 1 - 16 / (2 * 48 * 64)
    assert scores['class_share'] == pytest.approx((np.bincount(golden(0).ravel()) / 3072).tolist())
    with (job.folder / 'frames-a.csv').open(newline='') as table:
        rows = list(csv.DictReader(table))
    assert [int(row['stamp_ns']) for row in rows] == [index * STEP_NS for index in range(FRAMES)]
    assert [row['labelled'] for row in rows] == ['1', '0', '0', '1', *'000000']
    assert (rows[0]['tc'], rows[0]['miou'] < '1', rows[3]['miou']) == ('', True, '1.000000')


@pytest.mark.parametrize('limit', [None, 6])
def test_the_scores_of_a_replay_and_of_an_evaluation_are_the_same(
    tmp_path: Path, tiny_model: Path, job_for: JobFor, limit: int | None
) -> None:
    bag, labels = record(tmp_path / 'bag'), tmp_path / 'labels'
    labels.mkdir()
    for index in range(FRAMES):
        ids = golden(index + index % 2)
        cv2.imwrite(str(labels / f'{index * STEP_NS}.png'), ids)
    job = job_for(bag, labels=str(labels), limit=limit)
    scores = evaluate_source(job).tallies['a'].scores()
    engine = create_engine('onnxruntime', tiny_model)
    truth = LabelDirectory(labels, CLASSES)
    with (
        open_source(bag) as source,
        ReplayResults(CLASSES, truth=truth, consistency=True) as results,
    ):
        segmenter = Segmenter(engine, 'network')
        summary = replay_offline(source, segmenter, results, limit=limit)
    engine.close()
    assert summary.scores is not None
    assert summary.consistency is not None
    assert scores['miou'] == summary.scores.miou
    assert scores['tc'] == summary.consistency.tc
    assert scores['tc_legacy'] == summary.consistency.legacy_tc
    assert scores['flips_per_s'] == summary.consistency.flips_per_second
    assert scores['tc_per_class'] == [item.tc for item in summary.consistency.classes]
    found = {window.window: window.correct_consistency for window in summary.consistency.windows}
    assert scores['vc8'] == found.get(8)


def test_labels_of_frames_that_were_not_read_are_not_too_many(
    tmp_path: Path, job_for: JobFor
) -> None:
    bag = record(tmp_path / 'bag', truth={0: golden(0), 3 * STEP_NS: golden(3), 999: golden(0)})
    found = [
        evaluate_source(
            job_for(bag, key=f'limit-{limit}', topic='/camera', labels='/truth', limit=limit)
        ).labels_without_frame
        for limit in (3, FRAMES, FRAMES + 1)
    ]
    assert found == [None, 1, 1]


def test_two_models_see_the_same_frames(tmp_path: Path, tiny_model: Path, job_for: JobFor) -> None:
    other = onnx.load(tiny_model)
    card = ModelCard.from_json(other.metadata_props[0].value)
    swapped = replace(card, input_order='bgr8')  # sees red where blue is
    onnx.helper.set_model_props(other, {METADATA_KEY: swapped.to_json()})
    onnx.save(other, tmp_path / 'other.onnx')
    models = (tiny_model, tmp_path / 'other.onnx')
    job = job_for(record(tmp_path / 'bag'), models=models)
    result = evaluate_source(job)
    a, b = (result.tallies[key].class_pixels.tolist() for key in 'ab')
    assert a == b[::-1]
    assert result.tallies['a'].consistency.pairs == result.tallies['b'].consistency.pairs == 9
    tables = [(job.folder / f'frames-{key}.csv').read_text().splitlines() for key in 'ab']
    assert len(tables[0]) == len(tables[1]) == FRAMES + 1


def test_nothing_is_done_twice(tmp_path: Path, job_for: JobFor) -> None:
    bag = record(tmp_path / 'bag')
    job = job_for(bag)
    first = evaluate_source(job)
    written_ns = (job.folder / 'frames-a.csv').stat().st_mtime_ns
    again = evaluate_source(job, lambda _done, _total: pytest.fail('it was done again'))
    assert again.to_dict() == first.to_dict()
    assert (job.folder / 'frames-a.csv').stat().st_mtime_ns == written_ns
    assert evaluate_source(job_for(bag, threads=1)).to_dict() == first.to_dict()
    limited = evaluate_source(job_for(bag, limit=4))
    assert limited.frames == 4, 'other settings, another result'


def test_damage_on_the_way_gives_what_comes_before(tmp_path: Path, job_for: JobFor) -> None:
    bag = record(tmp_path / 'bag')
    with BagWriter(tmp_path / 'mixed') as writer:
        for index in range(6):
            cdr = serialize_image(picture(index), encoding='rgb8', stamp_ns=index, frame_id='')
            writer.write_raw('/camera', IMAGE_TYPE, cdr[:-50] if index == 2 else cdr, index)
    result = evaluate_source(job_for(tmp_path / 'mixed'))
    assert (result.frames, result.unreadable) == (6, 1)
    assert result.problems == ('frames without a label map (truncated): 1',)
    assert result.tallies['a'].consistency.pairs == 3, 'none across the gap'
    (bag / 'metadata.yaml').unlink()
    (found,) = evaluate_source(job_for(bag)).problems
    assert found.startswith('bag has no metadata.yaml: reading')


def test_of_a_bag_with_a_damaged_chunk_what_comes_before_is_scored(
    tmp_path: Path, job_for: JobFor
) -> None:
    with BagWriter(tmp_path / 'bag', compress=True) as bag:
        for index in range(60):
            image = np.random.default_rng(index).integers(0, 256, (200, 200, 3), np.uint8)
            rest: dict[str, Any] = {'stamp_ns': index * STEP_NS, 'frame_id': ''}
            bag.write_image('/camera', image, encoding='rgb8', **rest)
            bag.write_image('/truth', image[..., 0] % 3, encoding='mono8', **rest)
    (file,) = (tmp_path / 'bag').glob('*.mcap')
    data = bytearray(file.read_bytes())
    begin = int(len(data) * 0.7)
    data[begin : begin + 400_000] = bytes(400_000)
    file.write_bytes(data)
    result = evaluate_source(job_for(tmp_path / 'bag', topic='/camera', labels='/truth'))
    assert 30 < result.frames < 60
    assert result.labelled == result.frames
    (problem,) = result.problems
    assert 'bag.mcap is damaged after message' in problem


def test_jumps_of_the_clock_are_reported_and_not_measured(tmp_path: Path, job_for: JobFor) -> None:
    minute = 60 * 10**9
    stamps = [0, STEP_NS, 2 * STEP_NS, minute, minute + STEP_NS, STEP_NS, 2 * STEP_NS]
    truth = {0: golden(0)}
    bag = record(tmp_path / 'bag', stamps, truth)
    result = evaluate_source(job_for(bag, topic='/camera', labels='/truth'))
    assert result.duration_s == 0.4
    assert result.tallies['a'].consistency.pairs == 4
    problem, _ = result.problems
    assert problem.startswith('the clock jumps back, or by more than 10 s, 2 times')


def test_a_gap_in_the_recording_does_not_count_as_steadiness(
    tmp_path: Path, job_for: JobFor
) -> None:
    stamps = [at * STEP_NS for at in (0, 1, 2, 3, 53, 54, 55)]  # 5 s are missing
    result = evaluate_source(job_for(record(tmp_path / 'bag', stamps)))
    assert result.tallies['a'].consistency.pairs == 5
    assert result.duration_s == 0.5
    (problem,) = result.problems
    assert problem.startswith('gaps in the recording: 1, 5.00 s in all')
    with (job_for(tmp_path / 'bag').folder / 'frames-a.csv').open(newline='') as table:
        rows = list(csv.DictReader(table))
    assert [bool(row['tc']) for row in rows] == [False, True, True, True, False, True, True]


def test_a_wrong_topic_lists_what_there_is(tmp_path: Path, job_for: JobFor) -> None:
    bag = record(tmp_path / 'bag', truth={0: golden(0)})
    with pytest.raises(SourceError, match=r'no images on topic /front .* /camera \(sensor_msgs'):
        evaluate_source(job_for(bag, topic='/front'))
    with pytest.raises(SourceError, match=r'no label maps on /label .* /truth \(sensor_msgs'):
        evaluate_source(job_for(bag, topic='/camera', labels='/label'))


def test_labels_that_do_not_fit(tmp_path: Path, job_for: JobFor) -> None:
    flat = record(tmp_path / 'flat', truth={0: golden(0)[:40]})
    with pytest.raises(SourceError, match='labels of frame 0 are 64x40, the frame is 64x48'):
        evaluate_source(job_for(flat, topic='/camera', labels='/truth'))
    foreign = record(tmp_path / 'foreign', truth={0: golden(0) + np.uint8(20)})
    with pytest.raises(SourceError, match='up to frame 0 have ids without a class: 20, 21, 22'):
        evaluate_source(job_for(foreign, topic='/camera', labels='/truth'))
    images = tmp_path / 'images'
    images.mkdir()
    cv2.imwrite(str(images / '0.png'), picture(0))
    with pytest.raises(SourceError, match=r'no labels in /truth: .* no such folder, and .*images'):
        evaluate_source(job_for(images, labels='/truth'))


def test_ids_that_may_count_from_1(tmp_path: Path, job_for: JobFor) -> None:
    ids = golden(0) + np.uint8(1)
    bag, folder = record(tmp_path / 'bag', truth={0: ids}), tmp_path / 'labels'
    folder.mkdir()
    cv2.imwrite(str(folder / '0.png'), ids)
    for labels in ('/truth', str(folder)):
        with pytest.raises(SourceError, match=r'have the id 3, where the last class is 2: if it'):
            evaluate_source(job_for(bag, topic='/camera', labels=labels))
        explained: dict[str, Any]
        for explained in ({'void': (3,)}, {'label_classes': job_for(bag).settings.classes}):
            result = evaluate_source(job_for(bag, topic='/camera', labels=labels, **explained))
            assert result.labelled == 1


def test_no_labels_for_any_frame_is_a_problem(tmp_path: Path, job_for: JobFor) -> None:
    labels = tmp_path / 'labels'
    labels.mkdir()
    cv2.imwrite(str(labels / 'other.png'), golden(0))
    bag = record(tmp_path / 'bag')
    result = evaluate_source(job_for(bag, labels=str(labels)))
    assert (result.labels_without_frame, result.frames_without_label) == (1, FRAMES)
    assert result.problems == ('no frame has labels', 'labels without a frame: 1')
    shared = evaluate_source(job_for(bag, labels=str(labels), labels_shared=True))
    assert shared.labels_without_frame is None


def test_classes_of_labels_are_brought_to_those_that_are_scored(
    tmp_path: Path, job_for: JobFor
) -> None:
    names = ('colour', 'red', 'own car')
    ids = np.array([1, 0, 0], np.uint8)[golden(0)]
    ids[:8] = 2
    bag = tmp_path / 'bag'
    with BagWriter(bag) as writer:
        labels = LabelSet(names=names, colors=COLORS)
        writer.write_label_info('/label_info', labels, stamp_ns=0)
        rest: dict[str, Any] = {'stamp_ns': 0, 'frame_id': ''}
        writer.write_image('/camera', picture(0), encoding='rgb8', **rest)
        writer.write_image('/truth', ids, encoding='mono8', **rest)
    options: dict[str, Any] = {'topic': '/camera', 'labels': '/truth'}
    with pytest.raises(ParameterError, match=r'classes of the labels /truth .* colour, own car'):
        evaluate_source(job_for(bag, **options))
    mapping = {'colour': 'green', 'own car': None}
    tally = evaluate_source(job_for(bag, class_map=mapping, **options)).tallies['a']
    expected = np.zeros((3, 3), int)
    for true, predicted in zip((0, 1, 1), range(3), strict=True):
        expected[true, predicted] = (golden(0)[8:] == predicted).sum()
    assert tally.confusion.matrix.tolist() == expected.tolist()


def test_predictions_are_brought_to_the_classes_that_are_scored(
    tmp_path: Path, tiny_model: Path, job_for: JobFor
) -> None:
    coarse = LabelSet(names=('colour', 'blue'), colors=COLORS[:2])
    mapping = {'red': 'colour', 'green': 'colour'}
    bag = record(tmp_path / 'bag')
    result = evaluate_source(job_for(bag, classes=coarse, class_map=mapping))
    counts = np.bincount(golden(0).ravel() // 2) // 16 * FRAMES
    assert result.tallies['a'].class_pixels.tolist() == counts.tolist()
    message = f'classes of model {tiny_model} are not among .* red, green'
    with pytest.raises(ParameterError, match=message):
        evaluate_source(job_for(bag, classes=coarse))


def test_a_class_map_counts_for_a_model_of_the_scored_classes(
    tmp_path: Path, job_for: JobFor
) -> None:
    mapping = {'blue': 'red'}
    truth = {0: np.where(golden(0) == 2, 0, golden(0)).astype(np.uint8)}
    job = job_for(record(tmp_path / 'bag', truth=truth), topic='/camera', class_map=mapping)
    tally = evaluate_source(replace(job, labels='/truth')).tallies['a']
    assert tally.scores()['accuracy'] == 1
    assert tally.scores()['class_share'][2] == 0


def test_a_model_that_does_not_fit_its_card(
    tmp_path: Path, tiny_model: Path, job_for: JobFor
) -> None:
    model = onnx.load(tiny_model)
    card = ModelCard.from_json(model.metadata_props[0].value)
    two = LabelSet(names=('red', 'green'), colors=COLORS[:2])
    onnx.helper.set_model_props(model, {METADATA_KEY: replace(card, labels=two).to_json()})
    onnx.save(model, tmp_path / 'two.onnx')
    job = job_for(record(tmp_path / 'bag'), models=(tmp_path / 'two.onnx',), classes=two)
    with pytest.raises(ModelError, match='frame 0: predicted id 2 is out of range for 2 classes'):
        evaluate_source(job)
    assert not (job.folder / 'done.json').exists()


def test_a_bag_is_exported_with_all_that_was_scored(tmp_path: Path, job_for: JobFor) -> None:
    job = job_for(record(tmp_path / 'bag'), mcap=True)
    evaluate_source(job)
    with open_source(job.folder / 'bag', topic='/a/label_map') as exported:
        maps = [frame.message.label_map() for frame in exported if frame.message]
    assert len(maps) == FRAMES
    for index, ids in enumerate(maps):
        np.testing.assert_array_equal(ids, golden(index))
