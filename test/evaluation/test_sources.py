# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Footage of every kind gives the right pixels under the right names and stamps."""

from collections.abc import Iterator
import errno
from itertools import islice
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
import pytest
from zstandard import ZstdCompressor

from vidseg_ros.bag_io import BagImage, BagReader, BagWriter
from vidseg_ros.core.errors import ImageError, SourceError
from vidseg_ros.evaluation.sources import (
    IMAGE_TYPES,
    may_name_frames,
    open_source,
    require_footage,
    SourceFrame,
)

START_NS = 1_700_000_000_000_000_000
STEP_NS = 40_000_000


def picture(index: int) -> NDArray[np.uint8]:
    return np.random.default_rng(index).integers(0, 256, (24, 32, 3), np.uint8)


def record(path: Path, stamps: list[int], storage: Literal['mcap', 'sqlite3'] = 'mcap') -> Path:
    with BagWriter(path, storage) as bag:
        for index, stamp_ns in enumerate(stamps):
            bag.write_image(
                '/camera', picture(index), encoding='rgb8', stamp_ns=stamp_ns, frame_id='front'
            )
    return path


def frame_named(name: str) -> SourceFrame:
    return SourceFrame(
        index=0, name=name, stamp_ns=0, frame_id='', decode=lambda _order: picture(0)
    )


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_bag_frames(tmp_path: Path, storage: Literal['mcap', 'sqlite3']) -> None:
    stamps = [START_NS + i * STEP_NS for i in range(5)]
    with open_source(record(tmp_path / 'drive', stamps, storage)) as source:
        assert (source.kind, source.name, source.frame_count) == ('bag', 'drive', 5)
        assert source.fps == pytest.approx(25.0)
        frames = list(source)
        assert [frame.name for frame in frames] == [str(stamp) for stamp in stamps]
        assert [frame.stamp_ns for frame in frames] == stamps
        assert [frame.index for frame in frames] == [0, 1, 2, 3, 4]
        assert {frame.frame_id for frame in frames} == {'front'}
        recorded = [frame.message.stamp_ns for frame in frames if frame.message is not None]
        assert recorded == stamps
        for index, frame in enumerate(frames):
            np.testing.assert_array_equal(frame.decode('rgb8'), picture(index))
            np.testing.assert_array_equal(frame.decode('bgr8'), picture(index)[:, :, ::-1])
        assert len(list(source)) == 5, 'a second pass reads the same'


def test_bag_stamps_that_repeat_or_jump_back_still_have_unique_names(tmp_path: Path) -> None:
    with open_source(record(tmp_path / 'drive', [5, 5, 9, 2, 9])) as source:
        by_stamp = sorted((frame.stamp_ns, frame.name) for frame in source)
    assert len({name for _, name in by_stamp}) == 5
    assert {name.partition('_')[0] for _, name in by_stamp} == {'2', '5', '9'}


def test_bag_rate_is_unknown_without_two_stamps(tmp_path: Path) -> None:
    with open_source(record(tmp_path / 'drive', [START_NS])) as source:
        assert source.fps is None


@pytest.mark.parametrize('step_ns', [1, 4_000_000, 10_100_000_000])
def test_stamps_that_are_no_times_give_no_rate(tmp_path: Path, step_ns: int) -> None:
    with open_source(record(tmp_path / 'drive', [i * step_ns for i in range(9)])) as source:
        assert source.fps is None


def test_a_compressed_bag_file_is_a_bag(tmp_path: Path) -> None:
    (plain,) = record(tmp_path / 'drive', [START_NS]).glob('*.mcap')
    file = tmp_path / 'drive.mcap.zstd'
    file.write_bytes(ZstdCompressor().compress(plain.read_bytes()))
    with open_source(file) as source:
        assert (source.kind, source.frame_count) == ('bag', 1)


@pytest.mark.parametrize('step_ns', [4_200_000, 9_900_000_000])
def test_unusual_rates_that_may_be(tmp_path: Path, step_ns: int) -> None:
    with open_source(record(tmp_path / 'drive', [i * step_ns for i in range(9)])) as source:
        assert source.fps == pytest.approx(1e9 / step_ns)


def test_a_bag_damaged_near_its_start_opens_and_gives_what_is_readable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = BagReader.images

    def damaged(bag: BagReader, topic: str) -> Iterator[BagImage]:
        yield from islice(whole(bag, topic), 3)
        msg = 'damaged after message 3'
        raise SourceError(msg)

    monkeypatch.setattr(BagReader, 'images', damaged)
    path = record(tmp_path / 'drive', [START_NS + index * STEP_NS for index in range(6)])
    seen: list[int] = []
    with open_source(path) as source, pytest.raises(SourceError, match='after message 3'):
        seen.extend(frame.stamp_ns for frame in source)
    assert source.fps == pytest.approx(25)
    assert len(seen) == 3


def test_bag_topic_is_passed_on(tmp_path: Path) -> None:
    folder = tmp_path / 'drive'
    with BagWriter(folder) as bag:
        for topic, level in (('/a', 1), ('/b', 2)):
            image = np.full((2, 2), level, np.uint8)
            bag.write_image(topic, image, encoding='mono8', stamp_ns=0, frame_id='')
    with pytest.raises(SourceError, match='several image topics'):
        open_source(folder)
    with open_source(folder / 'drive.mcap', topic='/b') as source:
        (frame,) = source
    assert frame.decode('rgb8').max() == 2


def test_label_maps_need_no_choice_of_a_camera(tmp_path: Path) -> None:
    with BagWriter(tmp_path / 'drive') as bag:
        for topic in ('/front/image', '/seg/label_map', '/seg/overlay'):
            image = np.zeros((2, 2), np.uint8)
            bag.write_image(topic, image, encoding='mono8', stamp_ns=0, frame_id='')
    with open_source(tmp_path / 'drive') as source:
        assert source.topic == '/front/image'


def test_a_topic_is_for_bags(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / 'a.png'), picture(0))
    with pytest.raises(SourceError, match=r'is no bag, so that no topic /a can be chosen'):
        open_source(tmp_path, topic='/a')


def test_what_is_wrong_with_a_bag_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = record(tmp_path / 'drive', [START_NS])
    (path / 'metadata.yaml').unlink()
    with open_source(path) as source, open_source(path, warn=False) as quiet:
        assert caplog.messages == list(source.notes) == list(quiet.notes)
    assert caplog.messages[0].startswith('bag has no metadata.yaml')


def test_image_folder_frames(tmp_path: Path) -> None:
    for index, name in enumerate(['a.PNG', 'b.png', 'c.png']):
        cv2.imwrite(str(tmp_path / name), picture(index))
    cv2.imwrite(str(tmp_path / 'd.jpeg'), np.full((24, 32, 3), (200, 100, 50), np.uint8))
    cv2.imwrite(str(tmp_path / 'e.bmp'), picture(4))
    (tmp_path / 'notes.txt').write_text('no image')
    with open_source(tmp_path) as source:
        assert (source.kind, source.frame_count, source.fps) == ('images', 4, 15)
        frames = list(source)
    assert [frame.name for frame in frames] == ['a', 'b', 'c', 'd']
    assert [frame.stamp_ns for frame in frames] == [0, 66_666_666, 133_333_333, 200_000_000]
    for index in range(3):
        np.testing.assert_array_equal(frames[index].decode('bgr8'), picture(index))
        np.testing.assert_array_equal(frames[index].decode('rgb8'), picture(index)[:, :, ::-1])
    np.testing.assert_allclose(frames[3].decode('rgb8')[12, 16], (50, 100, 200), atol=4)


@pytest.mark.parametrize('suffix', IMAGE_TYPES)
@pytest.mark.parametrize('content', [b'', b'garbage'])
def test_a_damaged_image_is_one_bad_frame(tmp_path: Path, suffix: str, content: bytes) -> None:
    (tmp_path / f'a{suffix}').write_bytes(content)
    cv2.imwrite(str(tmp_path / 'b.png'), picture(1))
    with open_source(tmp_path) as source:
        bad, good = source
    with pytest.raises(ImageError) as caught:
        bad.decode('rgb8')
    assert caught.value.reason == 'corrupt'
    np.testing.assert_array_equal(good.decode('bgr8'), picture(1))


def test_an_image_that_vanished_is_one_bad_frame(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / 'a.png'), picture(0))
    with open_source(tmp_path) as source:
        (tmp_path / 'a.png').unlink()
        (frame,) = source
    with pytest.raises(ImageError, match=r'cannot read image .*a\.png'):
        frame.decode('rgb8')


def test_images_of_one_name_are_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / '0001.jpg'), picture(0))
    cv2.imwrite(str(tmp_path / '0001.png'), picture(0))
    with pytest.raises(SourceError, match='holds 2 images named 0001'):
        open_source(tmp_path)


def test_a_bag_folder_with_pictures_beside_it_is_a_bag(tmp_path: Path) -> None:
    folder = record(tmp_path / 'drive', [START_NS])
    cv2.imwrite(str(folder / 'preview.png'), picture(0))
    with open_source(folder) as source:
        assert source.kind == 'bag'


def test_paths_that_are_no_footage_name_what_is_accepted(tmp_path: Path) -> None:
    accepted = r'expected a rosbag2 folder or file .*\.mcap.* a video .*\.mp4.* folder of images'
    with pytest.raises(SourceError, match=f'nowhere: the path does not exist; {accepted}'):
        open_source(tmp_path / 'nowhere')
    with pytest.raises(SourceError, match=f'neither a bag nor images; {accepted}'):
        open_source(tmp_path)
    text = tmp_path / 'notes.txt'
    text.write_text('hello')
    with pytest.raises(SourceError, match=rf'notes\.txt is of no known type; {accepted}'):
        open_source(text)


def test_all_missing_paths_are_named(tmp_path: Path) -> None:
    require_footage([tmp_path])
    with pytest.raises(SourceError, match='no footage at a, b: the paths do not exist; expected'):
        require_footage([Path('a'), tmp_path, Path('b')])


@pytest.mark.parametrize(
    ('names', 'fit'),
    [
        ({'a'}, ('images',)),
        ({'66666666'}, ('images', 'drive.mp4', 'bag')),
        ({'x', '000012'}, ('drive.mp4', 'bag')),
        ({'0'}, ('images', 'drive.mp4', 'bag')),
        ({'7'}, ('bag',)),
        ({'7_000003'}, ('bag',)),
        ({'frame_7'}, ()),
    ],
)
def test_names_that_frames_may_have(tmp_path: Path, names: set[str], fit: tuple[str, ...]) -> None:
    record(tmp_path / 'bag', [0])
    (tmp_path / 'images').mkdir()
    for name in ('a', 'b'):
        cv2.imwrite(str(tmp_path / 'images' / f'{name}.png'), picture(0))
    found = [
        source
        for source in ('images', 'drive.mp4', 'bag')
        if may_name_frames(tmp_path / source, names)
    ]
    assert found == list(fit)


def test_paths_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    longest = tmp_path / ('n' * 300)
    with pytest.raises(SourceError, match=r'cannot read .*nnn: File name too long; check'):
        open_source(longest)

    def denied(path: Path) -> Iterator[Path]:
        raise PermissionError(errno.EACCES, 'Permission denied', str(path))

    monkeypatch.setattr(Path, 'iterdir', denied)  # chmod does not stop a test run by root
    with pytest.raises(SourceError, match=f'cannot read {tmp_path}: Permission denied'):
        open_source(tmp_path)
