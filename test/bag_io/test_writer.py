# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Writing bags: they hold what `ros2 bag` expects, and are never written over others."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from rosbags.interfaces import ConnectionExtRosbag2, QosDurability, QosReliability
from rosbags.rosbag2 import Reader
from rosbags.typesys import get_types_from_msg
from ruamel.yaml import YAML

from vidseg_ros.bag_io import BagReader, BagWriter, IMAGE_TYPE, LABEL_INFO_TYPE
from vidseg_ros.bag_io.messages import message_types, serialize_image
from vidseg_ros.core.errors import OutputError
from vidseg_ros.core.labels import CAMVID

Storage = Literal['mcap', 'sqlite3']
GREY = np.arange(12, dtype=np.uint8).reshape(3, 4)


@pytest.fixture(params=['mcap', 'sqlite3'])
def storage(request: pytest.FixtureRequest) -> Storage:
    choice: Storage = request.param
    return choice


def write_grey(bag: BagWriter, stamp_ns: int = 5_000_000_007) -> None:
    bag.write_image('/mask', GREY, encoding='mono8', stamp_ns=stamp_ns, frame_id='cam')


def test_message_fields_and_quality_of_service(tmp_path: Path, storage: Storage) -> None:
    with BagWriter(tmp_path / 'bag', storage) as bag:
        bag.write_label_info('/info', CAMVID, stamp_ns=5_000_000_007)
        write_grey(bag)
    with Reader(tmp_path / 'bag') as reader:
        messages = {c.topic: (c, log, cdr) for c, log, cdr in reader.messages()}
    connection, log_ns, cdr = messages['/mask']
    image = message_types().deserialize_cdr(cdr, connection.msgtype)
    assert isinstance(image, message_types().types[IMAGE_TYPE])
    fields = vars(image)
    assert np.array_equal(fields.pop('data'), GREY.ravel())
    header = fields.pop('header')
    assert (header.stamp.sec, header.stamp.nanosec, header.frame_id) == (5, 7, 'cam')
    assert log_ns == 5_000_000_007
    assert fields == {
        'height': 3,
        'width': 4,
        'encoding': 'mono8',
        'is_bigendian': 0,
        'step': 4,
        '__msgtype__': IMAGE_TYPE,
    }
    assert isinstance(connection.ext, ConnectionExtRosbag2)
    (qos,) = connection.ext.offered_qos_profiles
    assert (qos.reliability, qos.durability, qos.depth) == (
        QosReliability.RELIABLE,
        QosDurability.VOLATILE,
        10,
    )
    info_connection, _, info_cdr = messages['/info']
    info = vars(message_types().deserialize_cdr(info_cdr, LABEL_INFO_TYPE))
    assert [(c.class_id, c.class_name) for c in info['class_map']] == list(enumerate(CAMVID.names))
    assert isinstance(info_connection.ext, ConnectionExtRosbag2)
    (qos,) = info_connection.ext.offered_qos_profiles
    assert (qos.reliability, qos.durability, qos.depth) == (
        QosReliability.RELIABLE,
        QosDurability.TRANSIENT_LOCAL,
        1,
    )


def test_label_info_definition_in_the_bag_reads_without_ours(
    tmp_path: Path, storage: Storage
) -> None:
    with BagWriter(tmp_path / 'bag', storage) as bag:
        bag.write_label_info('/info', CAMVID, stamp_ns=0)
    with Reader(tmp_path / 'bag') as reader:
        (connection,) = reader.connections
    types = get_types_from_msg(connection.msgdef.data, connection.msgtype)
    names = [name for name, _ in types[LABEL_INFO_TYPE][1]]
    assert names == ['header', 'class_map', 'threshold']
    assert [name for name, _ in types['vision_msgs/msg/VisionClass'][1]] == [
        'class_id',
        'class_name',
    ]


def test_metadata_is_what_ros2_bag_reads(tmp_path: Path, storage: Storage) -> None:
    with BagWriter(tmp_path / 'bag', storage) as bag:
        write_grey(bag, 1_000)
        write_grey(bag, 3_000)
    text = (tmp_path / 'bag' / 'metadata.yaml').read_text()
    info = YAML(typ='safe').load(text)['rosbag2_bagfile_information']
    assert info['version'] == 8
    assert info['storage_identifier'] == storage
    assert info['relative_file_paths'] == ['bag.mcap' if storage == 'mcap' else 'bag.db3']
    assert info['message_count'] == 2
    assert info['starting_time'] == {'nanoseconds_since_epoch': 1_000}
    assert info['duration'] == {'nanoseconds': 2_000}


def test_raw_messages_stay_byte_for_byte(tmp_path: Path, storage: Storage) -> None:
    with BagWriter(tmp_path / 'first', storage) as bag:
        write_grey(bag)
    with BagReader(tmp_path / 'first') as bag:
        (image,) = bag.images('/mask')
    with BagWriter(tmp_path / 'second', storage) as bag:
        bag.write_raw('/mask', image.msgtype, image.cdr, 99)
    with BagReader(tmp_path / 'second') as bag:
        (copy,) = bag.images('/mask')
    assert copy.cdr == image.cdr
    assert (copy.log_ns, copy.stamp_ns, copy.frame_id) == (99, 5_000_000_007, 'cam')


def test_serialized_image_is_what_the_writer_records(tmp_path: Path) -> None:
    with BagWriter(tmp_path / 'bag') as bag:
        write_grey(bag)
    with BagReader(tmp_path / 'bag') as bag:
        (image,) = bag.images('/mask')
    assert image.cdr == serialize_image(
        GREY, encoding='mono8', stamp_ns=5_000_000_007, frame_id='cam'
    )


def test_compression_makes_label_maps_small(tmp_path: Path) -> None:
    labels = np.zeros((600, 800), np.uint8)
    labels[300:] = 3
    with BagWriter(tmp_path / 'bag', compress=True) as bag:
        for stamp_ns in range(5):
            bag.write_image('/mask', labels, encoding='mono8', stamp_ns=stamp_ns, frame_id='')
    assert (tmp_path / 'bag' / 'bag.mcap').stat().st_size < labels.size // 50
    with BagReader(tmp_path / 'bag') as bag:
        for image in bag.images('/mask'):
            np.testing.assert_array_equal(image.label_map(), labels)


def test_an_error_in_the_middle_leaves_a_whole_bag(tmp_path: Path, storage: Storage) -> None:
    def interrupted() -> None:
        with BagWriter(tmp_path / 'bag', storage) as bag:
            write_grey(bag)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with BagReader(tmp_path / 'bag') as bag:
        assert sum(1 for _ in bag.images('/mask')) == 1
    assert (tmp_path / 'bag' / 'metadata.yaml').is_file()


def test_an_existing_path_is_not_overwritten(tmp_path: Path, storage: Storage) -> None:
    kept = tmp_path / 'kept'
    kept.write_text('precious')
    with pytest.raises(OutputError, match=r'kept exists and is not'), BagWriter(kept, storage):
        pass
    assert kept.read_text() == 'precious'


def test_an_unwritable_path_says_so(tmp_path: Path, storage: Storage) -> None:
    (tmp_path / 'file').write_text('not a folder')
    with (
        pytest.raises(OutputError, match=r'cannot write bag .*file/bag.*check the path'),
        BagWriter(tmp_path / 'file' / 'bag', storage),
    ):
        pass


def test_an_unknown_type_is_refused(tmp_path: Path, storage: Storage) -> None:
    with (
        BagWriter(tmp_path / 'bag', storage) as bag,
        pytest.raises(OutputError, match=r'cannot record /a: message type x_msgs/msg/Y is not'),
    ):
        bag.write_raw('/a', 'x_msgs/msg/Y', b'\0\1\0\0', 0)


@pytest.mark.parametrize(
    ('image', 'encoding'),
    [
        (np.zeros((3, 4), np.uint8), 'rgb8'),
        (np.zeros((3, 4, 3), np.uint8), 'mono8'),
        (np.zeros((3, 4, 4), np.uint8), 'bgr8'),
        (np.zeros((3, 4), np.float32), 'mono8'),
        (np.zeros(3, np.uint8), 'mono8'),
    ],
)
def test_image_and_encoding_must_fit(
    tmp_path: Path, image: np.ndarray, encoding: Literal['rgb8', 'bgr8', 'mono8']
) -> None:
    with (
        BagWriter(tmp_path / 'bag') as bag,
        pytest.raises(ValueError, match=f'{encoding} needs uint8'),
    ):
        bag.write_image('/a', image, encoding=encoding, stamp_ns=0, frame_id='')


def test_a_writer_that_is_not_open_says_how_to(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r'with BagWriter\(path\)'):
        write_grey(BagWriter(tmp_path / 'bag'))


def test_a_number_is_recorded_at_its_stamp(tmp_path: Path, storage: Storage) -> None:
    with BagWriter(tmp_path / 'bag', storage) as bag:
        bag.write_number('/tc', 0.625, stamp_ns=5_000_000_007)
    with Reader(tmp_path / 'bag') as reader:
        ((connection, log_ns, cdr),) = reader.messages()
    message: Any = message_types().deserialize_cdr(cdr, connection.msgtype)
    assert (connection.msgtype, log_ns, message.data) == (
        'std_msgs/msg/Float64',
        5_000_000_007,
        0.625,
    )
