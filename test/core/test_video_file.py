# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Videos give the right pixels under the right names and stamps, and damage is accounted for."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from vidseg_ros.core.errors import ImageError, SourceError
from vidseg_ros.core.video_file import VideoFile
from vidseg_ros.evaluation.sources import FRAME_ID, open_source, Source


def film(path: Path, frames: int = 30, rotation: int = 0, rate: Fraction | int = 10) -> Path:
    """Write a video of 64x48 in which the upper left quarter is white and frames get redder."""
    with av.open(str(path), 'w', options={'movflags': '+faststart'}) as container:
        container.metadata['comment'] = 'made by a test'
        stream = container.add_stream('libx264', rate=rate, options={'crf': '5'})
        stream.width, stream.height, stream.pix_fmt = 64, 48, 'yuv420p'
        stream.gop_size = 10
        if rotation:
            stream.set_display_rotation(rotation)
        for index in range(frames):
            image = np.zeros((48, 64, 3), np.uint8)
            image[:, :, 0] = 8 * index
            image[:24, :32] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format='rgb24')))
        container.mux(stream.encode())
    return path


def test_video_frames(tmp_path: Path) -> None:
    with open_source(film(tmp_path / 'drive.MP4')) as source:
        assert (source.kind, source.name, source.frame_count) == ('video', 'drive.MP4', 30)
        assert source.fps == 10
        frames = list(source)
        assert len(list(source)) == 30, 'a second pass reads the same'
    assert [frame.name for frame in frames] == [f'{i:06d}' for i in range(30)]
    assert [frame.stamp_ns for frame in frames] == [i * 100_000_000 for i in range(30)]
    assert {frame.frame_id for frame in frames} == {FRAME_ID}
    red = [int(frame.decode('rgb8')[36, 48, 0]) for frame in frames]
    np.testing.assert_allclose(red, 8 * np.arange(30), atol=6)
    rgb = frames[25].decode('rgb8')
    assert rgb.shape == (48, 64, 3)
    assert rgb[36, 48, 2] < 12
    assert rgb[8, 8].min() > 240
    np.testing.assert_array_equal(frames[25].decode('bgr8'), rgb[:, :, ::-1])


@pytest.mark.parametrize(
    ('rotation', 'size', 'corner'),
    [(90, (64, 48), 'lower left'), (-90, (64, 48), 'upper right'), (180, (48, 64), 'lower right')],
)
def test_video_of_a_camera_mounted_askew_is_turned_upright(
    tmp_path: Path, rotation: int, size: tuple[int, int], corner: str
) -> None:
    with open_source(film(tmp_path / 'drive.mp4', 2, rotation)) as source:
        image = next(iter(source)).decode('rgb8')
    assert image.shape == (*size, 3)
    height, width = size
    quarters = {
        'upper left': image[: height // 2, : width // 2],
        'upper right': image[: height // 2, width // 2 :],
        'lower left': image[height // 2 :, : width // 2],
        'lower right': image[height // 2 :, width // 2 :],
    }
    brightness = {name: int(quarter.mean()) for name, quarter in quarters.items()}
    assert max(brightness, key=lambda name: brightness[name]) == corner


@pytest.mark.parametrize('rate', [1000, Fraction(1, 20)])
def test_video_of_an_unlikely_rate_keeps_its_stamps(tmp_path: Path, rate: Fraction | int) -> None:
    with open_source(film(tmp_path / 'drive.mp4', 3, rate=rate)) as source:
        assert source.fps is None
        assert [frame.stamp_ns for frame in source] == [i * 10**9 / rate for i in range(3)]


def test_video_whose_tags_are_no_text_is_read(tmp_path: Path) -> None:
    file = film(tmp_path / 'drive.mp4', 2)
    data = file.read_bytes()
    assert data.count(b'made by a test') == 1
    file.write_bytes(data.replace(b'made by a test', b'made by \xff test'))
    with open_source(file) as source:
        assert len(list(source)) == 2


def lost(source: Source) -> list[int]:
    """Return the indices of the frames that cannot be decoded."""
    bad = []
    for frame in source:
        with suppress(ImageError):
            frame.decode('rgb8')
            continue
        with pytest.raises(ImageError, match='video frame cannot be decoded') as caught:
            frame.decode('rgb8')
        assert caught.value.reason == 'corrupt'
        bad.append(frame.index)
    return bad


def test_lost_frames_of_a_damaged_video_are_bad_frames(tmp_path: Path) -> None:
    file = film(tmp_path / 'drive.mp4')
    with av.open(str(file)) as container:
        packets = list(container.demux(video=0))
    data = bytearray(file.read_bytes())
    bad = []
    for packet in (packets[7], packets[20], packets[21], packets[29]):
        assert packet.pos is not None
        assert packet.pts is not None
        assert packet.time_base is not None
        data[packet.pos : packet.pos + packet.size] = b'\xff' * packet.size
        bad.append(packet.pts * packet.time_base * 10)
    file.write_bytes(data)
    with open_source(file) as source:
        frames = list(source)
        assert lost(source) == sorted(bad)
    assert [frame.index for frame in frames] == list(range(30))
    assert [frame.name for frame in frames] == [f'{i:06d}' for i in range(30)]
    assert [frame.stamp_ns for frame in frames] == [i * 100_000_000 for i in range(30)]


def test_real_damage_is_counted(data_dir: Path, tmp_path: Path) -> None:
    data = bytearray((data_dir / 'dashcam' / 'vehicle_test_video.mp4').read_bytes())
    middle = len(data) // 2
    data[middle : middle + 20_000] = bytes(20_000)
    file = tmp_path / 'drive.mp4'
    file.write_bytes(data)
    with open_source(file) as source:
        assert len(list(source)) == 38
        assert len(lost(source)) == 1


def test_a_video_that_breaks_off_says_so_after_its_last_frame(tmp_path: Path) -> None:
    file = film(tmp_path / 'drive.mp4')
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * 0.6)])
    seen: list[int] = []
    message = r'video .*drive\.mp4 breaks off after frame \d+: it should have 30'
    with open_source(file) as source, pytest.raises(SourceError, match=message):
        seen.extend(frame.stamp_ns for frame in source)
    assert 3 < len(seen) < 30
    assert seen == sorted(set(seen))


def test_a_video_that_cannot_be_read_on_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = VideoFile._stream

    @contextmanager
    def failing(video: VideoFile) -> Iterator[tuple[SimpleNamespace, object]]:
        def demux(stream: object) -> Iterator[object]:
            yield from islice(container.demux(stream), 3)
            raise av.OSError(5, 'Input/output error')

        with opened(video) as (container, stream):
            yield SimpleNamespace(demux=demux, format=container.format), stream

    video = VideoFile(film(tmp_path / 'drive.mp4'))
    monkeypatch.setattr(VideoFile, '_stream', failing)
    with pytest.raises(SourceError, match=r'breaks off after frame 3: .*Input/output error'):
        list(video.frames())


def test_a_video_cut_by_an_edit_list_is_whole(tmp_path: Path) -> None:
    file = film(tmp_path / 'drive.mp4')
    with av.open(str(file)) as container:
        time_base = container.streams.video[0].time_base
    assert time_base is not None
    data = bytearray(file.read_bytes())
    # version and flags, number of edits, duration (ms), start (in the time base): 4 bytes each
    at = data.index(b'elst') + 12
    start = int.from_bytes(data[at + 4 : at + 8], 'big') + int(1.5 / time_base)
    data[at : at + 8] = (500).to_bytes(4, 'big') + start.to_bytes(4, 'big')
    file.write_bytes(data)
    with open_source(file) as source:
        assert 5 <= len(list(source)) < 10


def test_real_videos_are_read_whole(data_dir: Path) -> None:
    with open_source(data_dir / 'dashcam' / 'test_small1.mp4') as source:
        frames = list(source)
        assert lost(source) == []
    assert len(frames) == 88
    assert frames[-1].stamp_ns == 87 * 40_000_000
    assert frames[0].decode('rgb8').std() > 20


def test_video_that_is_none(tmp_path: Path) -> None:
    garbage = tmp_path / 'drive.mp4'
    garbage.write_bytes(b'no video' * 1000)
    with pytest.raises(SourceError, match=r'cannot read video .*drive\.mp4'):
        open_source(garbage)
    sound = tmp_path / 'sound.mp4'
    with av.open(str(sound), 'w') as container:
        stream = container.add_stream('aac', rate=8000)
        silence = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format='fltp')
        silence.sample_rate = 8000
        container.mux([*stream.encode(silence), *stream.encode()])
    with pytest.raises(SourceError, match='has no pictures'):
        open_source(sound)


def test_video_without_one_good_frame(tmp_path: Path) -> None:
    file = film(tmp_path / 'drive.mp4', 1)
    data = file.read_bytes()
    start = data.index(b'mdat') + 4
    file.write_bytes(data[:start] + b'\xff' * (len(data) - start))
    with open_source(file) as source, pytest.raises(SourceError, match='no picture in video'):
        list(source)
