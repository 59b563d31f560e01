# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import av
from av.video.frame import VideoFrame
import cv2
import numpy as np
import pytest

from vidseg_ros.core.errors import SourceError
from vidseg_ros.core.street import StreetClip
from vidseg_training.propagation.clip import FrameName, list_clips, parse_frame_name


def write_images(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        cv2.imwrite(str(folder / name), np.full((4, 6, 3), (0, 0, number), np.uint8))
    return folder


def write_video(path: Path, count: int, codec: str = 'ffv1') -> Path:
    with av.open(str(path), 'w') as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, 'yuv420p'
        for number in range(count):
            image = np.full((48, 64, 3), 20 * number, np.uint8)
            container.mux(stream.encode(VideoFrame.from_ndarray(image, format='rgb24')))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    ('stem', 'expected'),
    [
        ('aachen_000003_000019_leftImg8bit', FrameName('aachen_000003_', 19)),
        ('aachen_000003_000019_gtFine_labelTrainIds', FrameName('aachen_000003_', 19)),
        ('0016E5_07959', FrameName('0016E5_', 7959)),
        ('frame12', FrameName('frame', 12)),
        ('000042', FrameName('', 42)),
        ('cover', FrameName('cover', None)),
    ],
)
def test_frames_are_numbered_as_the_data_sets_do(stem: str, expected: FrameName) -> None:
    assert parse_frame_name(stem) == expected


def test_a_gap_in_the_numbers_is_a_missing_frame(tmp_path: Path) -> None:
    names = ('a_10.png', 'a_12.png', 'a_16.png', 'a_18.jpg')
    (reference,) = list_clips(str(write_images(tmp_path / 'a', *names)))
    clip = reference.open(0)
    assert (clip.name, len(clip)) == ('a', 5)
    assert [clip.has(position) for position in range(5)] == [True, True, False, True, True]
    assert clip.frame_name(4) == 'a_18'
    assert clip.position('a_16_labels') == 3
    assert clip.position('a_14') is None
    assert clip.position('b_16') is None
    image = clip.read(3)
    assert image is not None
    assert image[0, 0].tolist() == [2, 0, 0]  # RGB
    assert clip.read(2) is None
    assert clip.fingerprint(2) == ''
    assert len({clip.fingerprint(position) for position in (0, 1, 3, 4)}) == 4


def test_stamps_with_jitter_are_positions(tmp_path: Path) -> None:
    stamps = (1_000_000_000, 1_100_300_000, 1_199_800_000, 1_400_100_000)
    (reference,) = list_clips(str(write_images(tmp_path, *(f'{stamp}.png' for stamp in stamps))))
    clip = reference.open(0)
    assert [clip.position(str(stamp)) for stamp in stamps] == [0, 1, 2, 4]


def test_pairs_of_neighbours_with_gaps_between(tmp_path: Path) -> None:
    names = [f'{number:03d}.png' for number in (1, 2, 11, 12, 21)]
    clip = list_clips(str(write_images(tmp_path, *names)))[0].open(0)
    assert [clip.has(position) for position in (0, 1, 2, 9, 10, 11)] == [1, 1, 0, 0, 1, 1]
    assert len(clip) == 21


def test_names_without_numbers_count_in_their_order(tmp_path: Path) -> None:
    (reference,) = list_clips(str(write_images(tmp_path, 'cc.png', 'aa.png', 'bb.png')))
    clip = reference.open(0)
    assert [clip.position(name) for name in ('aa', 'bb', 'cc', 'dd')] == [0, 1, 2, None]


def test_each_sequence_of_a_folder_is_a_clip(tmp_path: Path) -> None:
    folder = write_images(
        tmp_path / 'ulm', 'ulm_000_01.png', 'ulm_000_02.png', 'ulm_007_01.png', 'ulm_007_02.png'
    )
    references = list_clips(str(folder))
    assert [reference.name for reference in references] == ['ulm_ulm_000', 'ulm_ulm_007']
    clip = references[1].open(0)
    assert clip.frame_name(0) == 'ulm_007_01'
    assert clip.position('ulm_000_01') is None


def test_an_unreadable_image_is_none(tmp_path: Path) -> None:
    folder = write_images(tmp_path, '1.png', '2.png')
    (folder / '2.png').write_bytes(b'no image')
    clip = list_clips(str(folder))[0].open(0)
    assert clip.has(1)
    assert clip.read(1) is None


def test_the_same_frame_twice_is_refused(tmp_path: Path) -> None:
    folder = write_images(tmp_path, 'a_1.png', 'a_01.jpg')
    with pytest.raises(SourceError, match=r'a_01\.jpg and .*a_1\.png are the same frame: remove'):
        list_clips(str(folder))


def test_a_procedural_street_may_have_a_size() -> None:
    (reference,) = list_clips('street:3@90x160')
    clip = reference.open(0)
    image = clip.read(2)
    assert (clip.name, len(clip)) == ('street_3_90x160', 240)
    assert image is not None
    np.testing.assert_array_equal(image, StreetClip(seed=3, size=(90, 160)).frame(2).image)
    assert list_clips('street:3')[0].name == 'street_3'


def test_what_is_no_clip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r'no images \(\.png \.jpg \.jpeg\) in'):
        list_clips(str(tmp_path))
    with pytest.raises(SourceError, match=r'no clip at .*nowhere: give a folder of images'):
        list_clips(str(tmp_path / 'nowhere'))
    with pytest.raises(SourceError, match='no clip street:x: a procedural street is named'):
        list_clips('street:x')
    (tmp_path / 'broken.mp4').write_bytes(b'no video')
    with pytest.raises(SourceError, match=r'cannot read video .*broken\.mp4'):
        list_clips(str(tmp_path / 'broken.mp4'))[0].open(0)


def test_a_video_is_read_forward_and_back_within_reach(tmp_path: Path) -> None:
    (reference,) = list_clips(str(write_video(tmp_path / 'my drive.mkv', 6)))
    clip = reference.open(2)
    assert (clip.name, len(clip)) == ('my_drive', 6)
    assert clip.position('000004') == 4
    assert clip.position('6') is None
    greys = []
    for position in (3, 1, 2, 4, 5, 3):
        image = clip.read(position)
        assert image is not None
        greys.append(round(float(image.mean()) / 20))
    assert greys == [3, 1, 2, 4, 5, 3]
    assert clip.fingerprint(3) != clip.fingerprint(4)
    assert clip.fingerprint(6) == ''


def test_what_a_broken_off_video_lacks_is_none(tmp_path: Path) -> None:
    path = write_video(tmp_path / 'cut.mkv', 8)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    clip = list_clips(str(path))[0].open(8)
    frames = [clip.read(position) for position in range(len(clip))]
    assert frames[0] is not None
    assert clip.read(0) is frames[0]


def test_a_jpeg_that_breaks_off_is_unreadable_and_none_is_turned(tmp_path: Path) -> None:
    """An EXIF orientation turns no frame: its label map is not turned either."""
    folder = write_images(tmp_path / 'clip', 'a_1.jpg', 'a_2.jpg')
    picture = np.zeros((64, 96, 3), np.uint8)
    picture[:32] = 255
    upside_down = bytes.fromhex(  # one entry: orientation 3
        'ffe1002245786966000049492a0008000000010012010300010000000300000000000000'
    )
    data = cv2.imencode('.jpg', picture)[1].tobytes()
    (folder / 'a_1.jpg').write_bytes(data[:2] + upside_down + data[2:])
    (folder / 'a_2.jpg').write_bytes(data[: int(len(data) * 0.9)])
    assert cv2.imread(str(folder / 'a_1.jpg'))[0, 0, 0] == 0, 'OpenCV turns it'
    clip = list_clips(str(folder))[0].open(reach=0)
    first = clip.read(0)
    assert first is not None
    assert first[0].min() > 250
    assert clip.read(1) is None
