# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Reading bags: what was recorded comes back, and broken bags say what is wrong with them."""

from collections.abc import Iterator
import errno
from pathlib import Path
import re
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
import pytest
from rosbags.typesys.stores import ros2_jazzy as ros

from vidseg_ros.bag_io import BagReader, BagWriter, COMPRESSED_TYPE, IMAGE_TYPE, TopicInfo
from vidseg_ros.bag_io.messages import check_complete, make_header, message_types
from vidseg_ros.core.errors import ImageError, SourceError
from vidseg_ros.core.labels import STREET

Storage = Literal['mcap', 'sqlite3']
SUFFIX = {'mcap': '.mcap', 'sqlite3': '.db3'}
START_NS = 1_700_000_000_123_456_789
STEP_NS = 40_000_000


@pytest.fixture(params=['mcap', 'sqlite3'])
def storage(request: pytest.FixtureRequest) -> Storage:
    choice: Storage = request.param
    return choice


def picture(index: int, height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    return np.random.default_rng(index).integers(0, 256, (height, width, 3), np.uint8)


def record(path: Path, storage: Storage = 'mcap', frames: int = 5, size: int = 64) -> Path:
    """Record frames of a camera and, as /info, the names of the classes."""
    with BagWriter(path, storage) as bag:
        bag.write_label_info('/info', STREET, stamp_ns=START_NS)
        for index in range(frames):
            bag.write_image(
                '/camera',
                picture(index, size, size),
                encoding='bgr8',
                stamp_ns=START_NS + index * STEP_NS,
                frame_id=f'front_{index}',
            )
    return path


def truncate(file: Path, share: float) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * share)])


def test_images_come_back_in_order_with_header_and_pixels(
    tmp_path: Path, storage: Storage
) -> None:
    with BagReader(record(tmp_path / 'drive', storage)) as bag:
        assert bag.topics == (
            TopicInfo('/camera', IMAGE_TYPE, 5),
            TopicInfo('/info', 'vision_msgs/msg/LabelInfo', 1),
        )
        images = list(bag.images(bag.image_topic()))
    assert [image.stamp_ns for image in images] == [START_NS + i * STEP_NS for i in range(5)]
    assert [image.log_ns for image in images] == [START_NS + i * STEP_NS for i in range(5)]
    assert [image.frame_id for image in images] == [f'front_{i}' for i in range(5)]
    for index, image in enumerate(images):
        np.testing.assert_array_equal(image.decode('bgr8'), picture(index, 64, 64))
        np.testing.assert_array_equal(image.decode('rgb8'), picture(index, 64, 64)[:, :, ::-1])


def test_a_single_file_reads_like_its_folder(tmp_path: Path, storage: Storage) -> None:
    file = record(tmp_path / 'drive', storage) / f'drive{SUFFIX[storage]}'
    with BagReader(file) as bag:
        assert [image.frame_id for image in bag.images('/camera')] == [
            f'front_{i}' for i in range(5)
        ]


def test_compressed_image_is_recognised_and_decoded(tmp_path: Path, storage: Storage) -> None:
    data = cv2.imencode('.png', picture(3))[1].tobytes()
    with BagWriter(tmp_path / 'drive', storage) as bag:
        bag.write_compressed('/front', data, encoding='png', stamp_ns=START_NS, frame_id='cam')
    with BagReader(tmp_path / 'drive') as bag:
        (image,) = bag.images(bag.image_topic())
    assert (image.msgtype, image.stamp_ns, image.frame_id) == (COMPRESSED_TYPE, START_NS, 'cam')
    np.testing.assert_array_equal(image.decode('bgr8'), picture(3))
    with pytest.raises(ImageError, match='label map is a mono8 image, this message is compressed'):
        image.label_map()


@pytest.mark.parametrize(
    ('encoding', 'samples', 'rgb'),
    [
        # 4x4 pixels of one colour: red, green, blue under its filters; Y, U, V of BT.601
        ('bayer_grbg8', [[100, 200] * 2, [50, 100] * 2] * 2, (200, 100, 50)),
        ('nv21', [[81] * 4] * 4 + [[240, 90] * 2] * 2, (254, 0, 0)),
        ('nv24', [[81] * 4] * 4, None),
    ],
)
def test_mosaics_and_yuv_are_decoded_as_in_the_node(
    tmp_path: Path, encoding: str, samples: list[list[int]], rgb: tuple[int, int, int] | None
) -> None:
    rows = np.pad(np.array(samples, np.uint8), ((0, 0), (0, 3)), constant_values=9)
    message = ros.sensor_msgs__msg__Image(
        header=make_header(START_NS, 'front'),
        height=4,
        width=4,
        encoding=encoding,
        is_bigendian=0,
        step=7,
        data=rows.reshape(-1),
    )
    cdr = bytes(message_types().serialize_cdr(message, IMAGE_TYPE))
    with BagWriter(tmp_path / 'drive') as bag:
        bag.write_raw('/camera', IMAGE_TYPE, cdr, START_NS)
    with BagReader(tmp_path / 'drive') as bag:
        (image,) = bag.images('/camera')
    if rgb is None:
        with pytest.raises(ImageError, match="'nv24' is not supported; use one of rgb8"):
            image.decode('rgb8')
    else:
        np.testing.assert_array_equal(image.decode('rgb8'), np.broadcast_to(rgb, (4, 4, 3)))


def test_label_map_returns_the_ids(tmp_path: Path, storage: Storage) -> None:
    labels = np.arange(5 * 7, dtype=np.uint8).reshape(5, 7)
    with BagWriter(tmp_path / 'masks', storage) as bag:
        bag.write_image('/mask', labels, encoding='mono8', stamp_ns=START_NS, frame_id='cam')
        bag.write_image('/color', picture(0), encoding='rgb8', stamp_ns=START_NS, frame_id='cam')
    with BagReader(tmp_path / 'masks') as bag:
        (mask,) = bag.images('/mask')
        (color,) = bag.images('/color')
    np.testing.assert_array_equal(mask.label_map(), labels)
    with pytest.raises(ImageError, match='is a mono8 image, this message is rgb8'):
        color.label_map()


def test_big_endian_header_is_read(tmp_path: Path) -> None:
    cdr = bytes.fromhex('00000000' + '00000002' + '00000005' + '00000004') + b'cam\0'
    with BagWriter(tmp_path / 'drive') as bag:
        bag.write_raw('/camera', IMAGE_TYPE, cdr, 1)
    with BagReader(tmp_path / 'drive') as bag:
        (image,) = bag.images('/camera')
    assert (image.stamp_ns, image.frame_id) == (2_000_000_005, 'cam')


@pytest.mark.parametrize('kept', [0, 3, 17, 40, 2000])
def test_a_damaged_message_is_one_bad_frame_and_the_rest_is_read(
    tmp_path: Path, storage: Storage, kept: int
) -> None:
    with BagReader(record(tmp_path / 'drive', storage, frames=3)) as bag:
        whole = [image.cdr for image in bag.images('/camera')]
    with BagWriter(tmp_path / 'damaged', storage) as bag:
        for index, cdr in enumerate([whole[0], whole[1][:kept], whole[2]]):
            bag.write_raw('/camera', IMAGE_TYPE, cdr, index + 1)
    with BagReader(tmp_path / 'damaged') as bag:
        good, bad, last = bag.images('/camera')
    np.testing.assert_array_equal(good.decode('bgr8'), picture(0, 64, 64))
    np.testing.assert_array_equal(last.decode('bgr8'), picture(2, 64, 64))
    check_complete(good)
    for read in (check_complete, lambda image: image.decode('bgr8')):
        with pytest.raises(
            ImageError, match=f'message is truncated: it has {kept} bytes'
        ) as caught:
            read(bad)
    assert caught.value.reason == 'truncated'
    if kept < 24:
        assert (bad.stamp_ns, bad.frame_id) == (2, '')
    else:
        assert (bad.stamp_ns, bad.frame_id) == (START_NS + STEP_NS, 'front_1')


def test_several_image_topics_need_a_choice(tmp_path: Path, storage: Storage) -> None:
    with BagWriter(tmp_path / 'drive', storage) as bag:
        for topic in ('/front', '/rear'):
            bag.write_image(topic, picture(0), encoding='rgb8', stamp_ns=1, frame_id='')
        bag.write_label_info('/info', STREET, stamp_ns=1)
    with BagReader(tmp_path / 'drive') as bag:
        assert bag.image_topic('/rear') == '/rear'
        with pytest.raises(SourceError, match=r'several .* /front .*1 messages.*/rear .*--topic'):
            bag.image_topic()
        with pytest.raises(
            SourceError, match=r'no images on topic /left .*/front.*/rear'
        ) as wrong:
            bag.image_topic('/left')
        assert '/info' not in str(wrong.value), 'it has no images'
        with pytest.raises(SourceError, match=r'no images on topic /info'):
            bag.image_topic('/info')


def test_a_bag_without_images_lists_what_it_has(tmp_path: Path, storage: Storage) -> None:
    record(tmp_path / 'drive', storage, frames=0)
    with (
        BagReader(tmp_path / 'drive') as bag,
        pytest.raises(SourceError, match=r'no image topic in .*/info .*LabelInfo, 1 messages'),
    ):
        bag.image_topic()


def test_a_bag_without_anything_says_so(tmp_path: Path, storage: Storage) -> None:
    with BagWriter(tmp_path / 'drive', storage):
        pass
    with (
        BagReader(tmp_path / 'drive') as bag,
        pytest.raises(SourceError, match=r'no image topic in .*recorded: nothing'),
    ):
        bag.image_topic()


def test_missing_metadata_is_noted(tmp_path: Path, storage: Storage) -> None:
    (record(tmp_path / 'drive', storage) / 'metadata.yaml').unlink()
    with BagReader(tmp_path / 'drive') as bag:
        assert sum(1 for _ in bag.images('/camera')) == 5
        assert [note.partition(':')[0] for note in bag.notes] == ['bag has no metadata.yaml']


def test_several_files_without_metadata_name_the_repair(tmp_path: Path) -> None:
    folder = record(tmp_path / 'drive')
    (folder / 'metadata.yaml').unlink()
    (folder / 'drive_1.mcap').write_bytes(b'')
    with pytest.raises(SourceError, match=r'has 2 files .*ros2 bag reindex'), BagReader(folder):
        pass


@pytest.mark.parametrize('inside', ['folder', 'folder without metadata', 'file'])
def test_truncated_mcap_gives_what_is_readable(tmp_path: Path, inside: str) -> None:
    folder = record(tmp_path / 'drive', frames=10, size=700)  # one chunk of 1.4 MB each
    file = folder / 'drive.mcap'
    truncate(file, 0.55)  # in the middle of the sixth frame
    if inside == 'folder without metadata':
        (folder / 'metadata.yaml').unlink()
    with BagReader(file if inside == 'file' else folder) as bag:
        assert bag.topics[0] == TopicInfo('/camera', IMAGE_TYPE, 5)
        images = list(bag.images(bag.image_topic()))
        assert sum(1 for _ in bag.images('/camera')) == 5, 'a second pass reads the same'
    assert [image.frame_id for image in images] == [f'front_{i}' for i in range(5)]
    assert images[4].stamp_ns == images[4].log_ns == START_NS + 4 * STEP_NS
    np.testing.assert_array_equal(images[4].decode('bgr8'), picture(4, 700, 700))
    (note,) = (note for note in bag.notes if 'unfinished' in note)
    of_all = ' of 11' if inside == 'folder' else ''  # metadata.yaml tells
    found = re.search(
        rf'drive\.mcap is unfinished .*: read are 6{of_all} messages in the first (\S+) of (\S+) '
        r'MB, recorded until 2023-11-14 22:13:20 UTC',
        note,
    )
    assert found is not None, note
    assert float(found[2]) == round(file.stat().st_size / 1e6, 2)
    assert 0.8 < float(found[1]) / float(found[2]) < 0.95, 'the sixth of 10 frames is cut'


def test_truncated_sqlite3_is_refused(tmp_path: Path) -> None:
    folder = record(tmp_path / 'drive', 'sqlite3', frames=30)
    truncate(folder / 'drive.db3', 0.5)
    with pytest.raises(SourceError, match=r'drive.* is? ?damaged'), BagReader(folder) as bag:
        for _ in bag.images(bag.image_topic()):
            pass


@pytest.mark.parametrize('content', [b'', b'\x89MCAP0\r\n', b'no bag at all' * 100])
def test_a_file_of_garbage_is_refused(tmp_path: Path, storage: Storage, content: bytes) -> None:
    file = tmp_path / f'drive{SUFFIX[storage]}'
    file.write_bytes(content)
    with pytest.raises(SourceError, match=r'cannot read bag .*drive.*damaged'), BagReader(file):
        pass


def test_a_chunk_damaged_in_the_middle_says_where(tmp_path: Path) -> None:
    folder = tmp_path / 'drive'
    with BagWriter(folder, compress=True) as bag:
        for index in range(6):
            image = picture(index, 700, 700)
            bag.write_image('/camera', image, encoding='rgb8', stamp_ns=index, frame_id='')
    file = folder / 'drive.mcap'
    data = bytearray(file.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 200_000] = bytes(200_000)
    file.write_bytes(data)
    with (
        BagReader(folder) as bag,
        pytest.raises(SourceError, match=r'damaged after message [23] of /camera.*mcap recover'),
    ):
        list(bag.images('/camera'))


@pytest.mark.parametrize('text', ['{ this is: [not metadata', '', '[]', 'rosbag2_bagfile: 1'])
def test_damaged_metadata_is_noted(tmp_path: Path, storage: Storage, text: str) -> None:
    folder = record(tmp_path / 'drive', storage)
    (folder / 'metadata.yaml').write_text(text)
    with BagReader(folder) as bag:
        assert sum(1 for _ in bag.images('/camera')) == 5
        (note,) = bag.notes
    assert note.startswith('metadata.yaml of the bag is damaged: reading ')


def test_paths_that_are_no_bag(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match='the path does not exist'), BagReader(tmp_path / 'no'):
        pass
    with pytest.raises(SourceError, match=r'holds no \.mcap or \.db3'), BagReader(tmp_path):
        pass
    text = tmp_path / 'notes.txt'
    text.write_text('hello')
    with pytest.raises(SourceError, match=r'notes\.txt is no bag: expected'), BagReader(text):
        pass


def test_paths_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    longest = BagReader(tmp_path / ('n' * 300))
    with (
        pytest.raises(SourceError, match=r'cannot read .*nnn: File name too long; check'),
        longest,
    ):
        pass

    def denied(path: Path) -> Iterator[Path]:
        raise PermissionError(errno.EACCES, 'Permission denied', str(path))

    monkeypatch.setattr(Path, 'iterdir', denied)  # chmod does not stop a test run by root
    bag = BagReader(tmp_path)
    with pytest.raises(SourceError, match=f'cannot read {tmp_path}: Permission denied'), bag:
        pass


def test_a_reader_that_is_not_open_says_how_to(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r'with BagReader\(path\)'):
        _ = BagReader(tmp_path).topics
