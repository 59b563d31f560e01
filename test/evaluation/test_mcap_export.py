# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The exported bag is read back by libraries that do not know this project."""

from importlib.util import find_spec
import json
import os
from pathlib import Path
import struct
import subprocess
import sys
from typing import Any

import cv2
from mcap.reader import make_reader
import numpy as np
import pytest
from rosbags.rosbag2 import Reader
from ruamel.yaml import YAML

from vidseg_ros.bag_io import BagReader, BagWriter
from vidseg_ros.bag_io.messages import message_types
from vidseg_ros.core.errors import OutputError
from vidseg_ros.core.labels import LabelSet
from vidseg_ros.evaluation.mcap_export import BAG, EvaluationBag
from vidseg_ros.evaluation.sources import open_source, SourceFrame

CLASSES = LabelSet(names=('road', 'car'), colors=((0, 0, 0), (200, 100, 0)))
IMAGE = np.full((48, 64, 3), (40, 80, 120), np.uint8)
LABELS = np.zeros((6, 8), np.uint8)
LABELS[:, 4:] = 1
START_NS = 1_700_000_000_000_000_000
STEP_NS = 40_000_000
CONFIG = Path(__file__).parents[2] / 'config'


def export(folder: Path, frames: list[SourceFrame], models: tuple[str, ...] = ('a',)) -> Path:
    with EvaluationBag(folder / BAG, CLASSES, models) as bag:
        for index, frame in enumerate(frames):
            numbers = {'tc': 0.5 + index / 8 if index else None, 'confidence': 0.75}
            maps = dict.fromkeys(models, LABELS)
            bag.write(frame, IMAGE, maps, dict.fromkeys(models, numbers))
    return folder / BAG


def frame(index: int) -> SourceFrame:
    return SourceFrame(
        index=index,
        name=str(index),
        stamp_ns=START_NS + index * STEP_NS,
        frame_id='front',
        decode=lambda _order: IMAGE,
    )


def messages(bag: Path) -> dict[str, list[tuple[int, Any]]]:
    """Return log times and messages by topic, as rosbags reads them."""
    found: dict[str, list[tuple[int, Any]]] = {}
    with Reader(bag) as reader:
        for connection, log_ns, cdr in reader.messages():
            message = message_types().deserialize_cdr(cdr, connection.msgtype)
            found.setdefault(connection.topic, []).append((log_ns, message))
    return found


def test_topics_and_what_is_in_them(tmp_path: Path) -> None:
    found = messages(export(tmp_path, [frame(0), frame(1)]))

    assert {topic: len(entries) for topic, entries in found.items()} == {
        '/camera/image/compressed': 2,
        '/a/label_info': 1,
        '/a/label_map': 2,
        '/a/overlay/compressed': 2,
        '/a/metrics/tc': 1,  # the first frame has none
        '/a/metrics/confidence': 2,
    }
    log_ns, tc = found['/a/metrics/tc'][0]
    assert (log_ns, tc.data) == (START_NS + STEP_NS, 0.625)
    log_ns, label_map = found['/a/label_map'][1]
    assert log_ns == START_NS + STEP_NS
    assert (label_map.header.frame_id, label_map.encoding) == ('front', 'mono8')
    ids = label_map.data.reshape(48, 64)
    assert np.array_equal(ids, np.repeat([[0, 1]], 32, axis=1).repeat(48, axis=0))
    names = [(item.class_id, item.class_name) for item in found['/a/label_info'][0][1].class_map]
    assert names == [(0, 'road'), (1, 'car')]
    overlay = cv2.imdecode(found['/a/overlay/compressed'][0][1].data, cv2.IMREAD_COLOR_RGB)
    assert np.abs(overlay[24, 10].astype(int) - (20, 40, 60)).max() <= 3
    assert np.abs(overlay[24, 54].astype(int) - (120, 90, 60)).max() <= 3
    picture = cv2.imdecode(found['/camera/image/compressed'][0][1].data, cv2.IMREAD_COLOR_RGB)
    assert np.abs(picture.astype(int) - IMAGE).max() <= 3


def test_a_recorded_jpeg_is_passed_on_byte_for_byte(tmp_path: Path) -> None:
    data = cv2.imencode('.jpg', IMAGE, [cv2.IMWRITE_JPEG_QUALITY, 30])[1].tobytes()
    with BagWriter(tmp_path / 'drive') as bag:
        bag.write_compressed('/c', data, encoding='jpeg', stamp_ns=START_NS, frame_id='front')
    with open_source(tmp_path / 'drive') as source:
        found = messages(export(tmp_path, list(source)))

    assert found['/camera/image/compressed'][0][1].data.tobytes() == data


def test_two_models_have_topics_of_their_own(tmp_path: Path) -> None:
    bag = export(tmp_path, [frame(0)], ('a', 'b'))

    with BagReader(bag) as reader:
        assert {topic.name.split('/')[1] for topic in reader.topics} == {'camera', 'a', 'b'}


def test_schemas_are_in_the_file_so_that_viewers_need_no_ros(tmp_path: Path) -> None:
    (file,) = export(tmp_path, [frame(0)]).glob('*.mcap')

    with file.open('rb') as stream:
        found = {
            channel.topic: (schema.name, schema.encoding, bytes(message.data))
            for schema, channel, message in make_reader(stream).iter_messages()
            if schema is not None
        }
    assert {encoding for _, encoding, _ in found.values()} == {'ros2msg'}
    name, _, cdr = found['/a/metrics/confidence']
    assert (name, struct.unpack('<d', cdr[4:])) == ('std_msgs/msg/Float64', (0.75,))


def test_a_bag_that_exists_is_not_written_over(tmp_path: Path) -> None:
    export(tmp_path, [frame(0)])

    with pytest.raises(OutputError, match='exists and is not overwritten'):
        export(tmp_path, [frame(0)])


@pytest.mark.skipif(
    not find_spec('rerun_cli'), reason='Rerun is not installed (needs Python 3.11)'
)
def test_rerun_imports_pictures_and_scores(tmp_path: Path) -> None:
    (file,) = export(tmp_path, [frame(0), frame(1)]).glob('*.mcap')

    def rerun(*arguments: str | Path) -> str:
        home = {**os.environ, 'HOME': str(tmp_path / 'home')}
        command = [sys.executable, '-m', 'rerun_cli', *map(str, arguments)]
        done = subprocess.run(  # bounded, and never a viewer
            command, env=home, capture_output=True, text=True, timeout=60, check=True
        )
        return done.stdout

    rerun('analytics', 'disable')
    issues = [line.split() for line in rerun('mcap', 'check', file).splitlines() if '/a/' in line]
    assert {line[0] for line in issues} == {'ok'}
    rerun('mcap', 'convert', file, '-o', tmp_path / 'drive.rrd')
    listing = rerun('rrd', 'print', '-v', tmp_path / 'drive.rrd')
    for column in (
        '/camera/image/compressed@EncodedImage:blob',
        '/a/overlay/compressed@EncodedImage:blob',
        '/a/metrics/tc@std_msgs.msg.Float64:message',
        '/a/label_info@vision_msgs.msg.LabelInfo:message',
    ):
        assert column in listing


def test_the_shipped_layouts_show_topics_that_are_written(tmp_path: Path) -> None:
    names = ('tc', 'flips', 'confidence', 'miou', 'inference_ms')
    numbers = {'a': dict.fromkeys(names, 0.5)}
    with EvaluationBag(tmp_path / BAG, CLASSES, ['a']) as bag:
        bag.write(frame(0), IMAGE, {'a': LABELS}, numbers)
    written = set(messages(tmp_path / BAG))

    panels = json.loads((CONFIG / 'foxglove_evaluation.json').read_text())['configById']
    foxglove = {panel['cameraTopic'] for panel in panels.values() if 'cameraTopic' in panel}
    for panel in panels.values():
        foxglove |= {path['value'].removesuffix('.data') for path in panel.get('paths', ())}
    assert len(foxglove) == 7
    assert foxglove <= written
    rviz = YAML(typ='safe').load((CONFIG / 'evaluation.rviz').read_text())
    displays = rviz['Visualization Manager']['Displays']
    assert len(displays) == 3
    assert {display['Topic']['Value'] for display in displays} <= written
