# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""One job for each camera of each source, each with a folder and labels of its own."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
import re
from typing import Final

import numpy as np
import pytest

from vidseg_ros.bag_io import BagWriter
from vidseg_ros.core.errors import ParameterError, SourceError
from vidseg_ros.core.labels import CAMVID
from vidseg_ros.evaluation.evaluate import evaluate_source, EvaluationSettings, SourceJob
from vidseg_ros.evaluation.job_list import list_jobs
from vidseg_ros.evaluation.source_survey import survey_sources

SETTINGS: Final = EvaluationSettings(models=(Path('m.onnx'),), classes=CAMVID)
OUT: Final = Path('out')


def record(path: Path, *topics: str, info: str = '/seg/info') -> Path:
    with BagWriter(path) as bag:
        bag.write_label_info(info, CAMVID, stamp_ns=0)
        for topic in topics:
            if topic.endswith('compressed'):
                bag.write_compressed(topic, b'', encoding='jpeg', stamp_ns=0, frame_id='')
            else:
                image = np.zeros((2, 2), np.uint8)
                bag.write_image(topic, image, encoding='mono8', stamp_ns=0, frame_id='')
    return path


def jobs(*paths: Path, labels: str | None = None, topics: Sequence[str] = ()) -> list[SourceJob]:
    topic = None if labels is None or Path(labels).is_dir() else labels
    sources = survey_sources(paths, topics=topics, labels=topic)
    return list_jobs(sources, SETTINGS, OUT, labels=labels)


def test_every_camera_of_a_bag_is_a_job(tmp_path: Path) -> None:
    topics = ('/b/image', '/a/image', '/a/image/compressed', '/c/compressed', '/truth')
    bag = record(tmp_path / 'my bag', *topics)
    found = jobs(bag, labels='/truth')
    assert [(job.topic, job.key) for job in found] == [
        ('/a/image', 'my_bag_a_image'),
        ('/b/image', 'my_bag_b_image'),
        ('/c/compressed', 'my_bag_c_compressed'),
    ]
    assert {job.labels for job in found} == {'/truth'}
    assert not any(job.labels_shared for job in found)
    assert [(job.topic, job.key) for job in jobs(bag, topics=['/b/image'])] == [
        ('/b/image', 'my_bag')
    ]


def test_label_maps_and_what_is_made_of_them_are_no_cameras(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = ('/a/label_map', '/a/confidence', '/a/overlay/compressed', '/gt/ids')
    bag = record(tmp_path / 'bag', '/a/image', '/image', *made, info='/gt/label_info')
    assert [job.topic for job in jobs(bag, labels='/gt/ids')] == ['/a/image', '/image']
    (line,) = caplog.messages
    assert line.startswith(
        f'{bag}: depth, label maps and what is made of them are no cameras, skip'
    )
    assert [name in line for name in made] == [True, True, True, False], 'but for the labels'
    (forced,) = jobs(bag, topics=['/a/label_map'])
    assert forced.topic == '/a/label_map'
    (alone,) = jobs(record(tmp_path / 'masks', '/seg/label_map'))
    with pytest.raises(SourceError, match=r'no camera in .*/masks, only .*/seg/label_map .*--top'):
        evaluate_source(replace(alone, settings=replace(SETTINGS, models=()), out=tmp_path))


def test_topics_are_for_bags(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r'--topic /a chooses .*none of the sources is a bag'):
        jobs(tmp_path, topics=['/a'])


def test_what_cannot_be_read_does_not_disturb_the_others(tmp_path: Path) -> None:
    good = record(tmp_path / 'good', '/a')
    bad = tmp_path / 'bad.mcap'
    bad.write_bytes(b'garbage')
    no_camera, only_labels = record(tmp_path / 'none'), record(tmp_path / 'one', '/truth')
    found = jobs(good, bad, no_camera, only_labels, labels='/truth')
    assert [job.topic for job in found] == ['/a', None, None, '/truth']
    assert [job.topic for job in jobs(good, topics=['/a', '/b'])] == ['/a', '/b']
    for job, message in (
        (found[1], r'cannot read bag .*bad\.mcap'),
        (found[2], r'no image topic in .*/none; recorded: /seg/info'),
        (found[3], r'no image topic in .*one besides the labels on /truth'),
        (jobs(good, topics=['/b'])[0], r'no images on topic /b .* with images: /a'),
    ):
        with pytest.raises(SourceError, match=message):
            evaluate_source(replace(job, settings=replace(SETTINGS, models=()), out=tmp_path))


def test_folder_names_are_plain_and_all_different(tmp_path: Path) -> None:
    names = ('a/drive.mp4', 'b/Drive.avi', 'a/night.mp4', 'a/night.avi', '<script> ü/x')
    paths = [tmp_path / name for name in names]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    found = [*paths[:4], paths[-1].parent, Path('/')]
    keys = [job.key for job in jobs(*found)]
    assert keys[:2] == ['a_drive', 'b_Drive']
    assert all(re.fullmatch(r'night-[0-9a-f]{8}', key) for key in keys[2:4])
    assert keys[2] != keys[3]
    assert keys[4:] == ['script', 'source']
    assert [job.key for job in jobs(*reversed(found))] == keys[::-1]


def test_a_source_that_is_named_twice_is_one(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ('b.mp4', 'a.mp4')]
    for path in paths:
        path.touch()
    found = jobs(*paths, tmp_path / '..' / tmp_path.name / 'b.mp4')
    assert [job.path for job in found] == paths
    bag = record(tmp_path / 'bag', '/a')
    assert [job.key for job in jobs(bag, topics=['/a', '/a'])] == ['bag']


def test_each_source_has_its_own_labels_if_there_is_a_folder_of_its_name(tmp_path: Path) -> None:
    labels = tmp_path / 'labels'
    for name in ('first', 'second.mp4'):
        (labels / name).mkdir(parents=True)
    paths = [tmp_path / name for name in ('first.mp4', 'second.mp4', 'third.mp4', 'fourth.mp4')]
    for path in paths:
        path.touch()
    own = [str(labels / 'first'), str(labels / 'second.mp4')]
    assert [job.labels for job in jobs(*paths, labels=str(labels))] == [*own, None, None]
    assert [job.labels for job in jobs(*paths[2:], labels=str(labels))] == [str(labels)] * 2
    (labels / '000000.png').touch()
    found = jobs(*paths, labels=str(labels))
    assert [job.labels for job in found] == [
        str(labels / 'first'),
        str(labels / 'second.mp4'),
        str(labels),
        str(labels),
    ]
    assert [job.labels_shared for job in found] == [False, False, True, True]


def test_labels_may_have_the_name_of_a_folder_with_that_of_its_parent(tmp_path: Path) -> None:
    clips = [tmp_path / 'data' / name / 'origin' for name in ('1 a', '2 b')]
    labels = tmp_path / 'labels'
    for clip in clips:
        clip.mkdir(parents=True)
        (labels / f'{clip.parent.name}_origin').mkdir(parents=True)
    expected = [str(labels / name) for name in ('1 a_origin', '2 b_origin')]
    assert [job.labels for job in jobs(*clips, labels=str(labels))] == expected
    assert [job.labels for job in jobs(clips[1], labels=str(labels))] == expected[1:]


def test_a_topic_of_labels_is_for_bags(tmp_path: Path) -> None:
    video = tmp_path / 'drive.mp4'
    video.touch()
    bag = record(tmp_path / 'bag', '/camera', '/truth')
    assert [job.labels for job in jobs(bag, video, labels='/truth')] == ['/truth', None]
    (alone,) = jobs(video, labels='/truth')
    assert alone.labels == '/truth', 'the job says that there are none'


def test_what_is_not_there_is_left_to_the_job() -> None:
    (job,) = jobs(Path('nowhere.mcap'))
    assert (job.key, job.topic) == ('nowhere.mcap', None)
