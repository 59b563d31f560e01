# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Which topics of a bag are cameras, and which hold label maps."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
import pytest
from rosbags.typesys.stores import ros2_jazzy as ros

from vidseg_ros.bag_io import (
    BagReader,
    BagWriter,
    COMPRESSED_TYPE,
    IMAGE_TYPE,
    ImageTopics,
    LABEL_INFO_TYPE,
)
from vidseg_ros.bag_io.messages import make_header, message_types
from vidseg_ros.core.errors import SourceError
from vidseg_ros.core.labels import LabelSet

TWO = LabelSet(names=('road', 'sky'), colors=((0, 0, 0), (1, 1, 1)))
GREY = np.arange(64, dtype=np.uint8).reshape(8, 8)
IDS = np.where(GREY < 60, GREY % 2, 255).astype(np.uint8)


def record(path: Path, info: str, **images: list[NDArray[np.uint8]]) -> Path:
    """Write images, mono8 or rgb8, on topics whose slashes are two underscores."""
    with BagWriter(path) as bag:
        bag.write_label_info(info, TWO, stamp_ns=0)
        for name, sequence in images.items():
            for image in sequence:
                encoding = 'mono8' if image.ndim == 2 else 'rgb8'
                topic = '/' + name.replace('__', '/')
                bag.write_image(topic, image, encoding=encoding, stamp_ns=0, frame_id='')
    return path


def sorted_topics(path: Path) -> tuple[list[str], list[str]]:
    """Return the names of cameras and label maps."""
    with BagReader(path) as bag:
        found: ImageTopics = bag.image_topics()
    return [info.name for info in found.cameras], [info.name for info in found.label_maps]


def test_a_grey_camera_beside_a_class_list_is_a_camera(tmp_path: Path) -> None:
    dark = np.zeros((8, 8), np.uint8)
    for name, info in (('below', '/camera/image/label_info'), ('beside', '/camera/label_info')):
        bag = record(tmp_path / name, info, camera__image=[dark, GREY], camera__labels=[IDS])
        cameras, label_maps = sorted_topics(bag)
        assert cameras == ['/camera/image'] + ['/camera/labels'] * (name == 'below')
        assert label_maps == ['/camera/labels'] * (name == 'beside')


def test_a_class_list_is_that_of_the_label_map_where_there_is_one(tmp_path: Path) -> None:
    dark = [np.zeros((8, 8), np.uint8)]
    images = {'camera__image': dark, 'camera__label_map': dark}
    bag = record(tmp_path / 'bag', '/camera/label_info', **images)
    assert sorted_topics(bag) == (['/camera/image'], ['/camera/label_map'])


def test_what_cannot_be_read_is_no_label_map(tmp_path: Path) -> None:
    colour = np.zeros((8, 8, 3), np.uint8)
    bag = record(tmp_path / 'colour', '/camera/label_info', camera__image=[colour])
    assert sorted_topics(bag) == (['/camera/image'], [])
    with BagWriter(tmp_path / 'damaged') as damaged:
        damaged.write_image('/a/ids', IDS, encoding='mono8', stamp_ns=0, frame_id='')
        damaged.write_raw('/a/info', LABEL_INFO_TYPE, b'\0\1\0\0garbage', 0)
    assert sorted_topics(tmp_path / 'damaged') == (['/a/ids'], [])


def write_first(bag: BagWriter, topic: str, encoding: str) -> None:
    """Write one image of this encoding: raw, or compressed where the topic's name says so."""
    header = make_header(0, '')
    message: Any
    if '/compressed' in topic:
        msgtype, data = COMPRESSED_TYPE, np.zeros(9, np.uint8)
        message = ros.sensor_msgs__msg__CompressedImage(header=header, format=encoding, data=data)
    else:
        msgtype = IMAGE_TYPE
        message = ros.sensor_msgs__msg__Image(
            header=header,
            height=2,
            width=2,
            encoding=encoding,
            is_bigendian=0,
            step=8,
            data=np.zeros(16, np.uint8),
        )
    bag.write_raw(topic, msgtype, bytes(message_types().serialize_cdr(message, msgtype)), 0)


def test_depth_is_no_camera(tmp_path: Path) -> None:
    depth = {
        '/aligned/image/compressed': '16UC1; png compressed ',
        '/depth/image': '16UC1',
        '/depth/image/compressed': '16UC1; png compressed ',
        '/depth/image/compressedDepth': 'whatever',
        '/depth/points': '32FC1',
    }
    with BagWriter(tmp_path / 'bag') as bag:
        for topic, encoding in depth.items():
            write_first(bag, topic, encoding)
        bag.write_raw('/damaged', IMAGE_TYPE, b'', 0)
        write_first(bag, '/infra/image', 'mono16')
    with BagReader(tmp_path / 'bag') as recorded:
        found = recorded.image_topics()
    assert [info.name for info in found.cameras] == ['/damaged', '/infra/image']
    assert [info.name for info in found.others] == [
        name for name in depth if name != '/depth/image/compressed'
    ]


def test_the_colour_camera_of_a_depth_camera_needs_no_choice(tmp_path: Path) -> None:
    with BagWriter(tmp_path / 'bag') as bag:
        write_first(bag, '/depth/image', '16UC1')
        write_first(bag, '/color/image', 'rgb8')
    with BagReader(tmp_path / 'bag') as recorded:
        assert recorded.image_topic() == '/color/image'
    with BagWriter(tmp_path / 'deep') as bag:
        write_first(bag, '/depth/image', '16UC1')
    with (
        BagReader(tmp_path / 'deep') as recorded,
        pytest.raises(SourceError, match=r'no camera in .*deep, only depth, .*/depth/image'),
    ):
        recorded.image_topic()


def test_the_class_list_of_a_topic(tmp_path: Path) -> None:
    with BagWriter(tmp_path / 'bag') as bag:
        bag.write_label_info('/info', TWO, stamp_ns=0)
        bag.write_raw('/odd', LABEL_INFO_TYPE, b'\0\1\0\0garbage', 0)
    message = r'class list on /odd in .*/bag: .* is damaged: .*--label-classes names the classes'
    with BagReader(tmp_path / 'bag') as recorded:
        assert recorded.class_map('/info') == ((0, 'road'), (1, 'sky'))
        assert recorded.class_map('/nowhere') is None
        with pytest.raises(SourceError, match=message):
            recorded.class_map('/odd')
