# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What is written can be read back, is playable, and never replaces anything."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray
import pytest

from vidseg_ros.bag_io import BagReader
from vidseg_ros.core.errors import OutputError
from vidseg_ros.core.labels import CAMVID
from vidseg_ros.core.overlay import legend
from vidseg_ros.evaluation.sources import open_source, SourceFrame
from vidseg_ros.evaluation.writers import (
    ContactSheet,
    LABEL_MAP_TOPIC,
    LEGEND_WIDTH,
    MaskBagWriter,
    MaskPngWriter,
    OverlayVideoWriter,
    TILE_WIDTH,
)

LABELS = np.arange(24, dtype=np.uint8).reshape(4, 6) % 11


def frame(index: int) -> SourceFrame:
    return SourceFrame(
        index=index,
        name=f'{index:06d}',
        stamp_ns=1_700_000_000_000_000_000 + index,
        frame_id=f'cam{index}',
        decode=lambda _order: np.zeros((4, 6, 3), np.uint8),
    )


def test_mask_pngs_hold_the_ids(tmp_path: Path) -> None:
    with MaskPngWriter(tmp_path / 'run' / 'masks') as masks:
        for index in range(3):
            masks.write(frame(index), LABELS + np.uint8(index))
    files = sorted((tmp_path / 'run' / 'masks').iterdir())
    assert [file.name for file in files] == ['000000.png', '000001.png', '000002.png']
    for index, file in enumerate(files):
        read = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        assert read is not None
        np.testing.assert_array_equal(read, LABELS + index)


def test_mask_bag_holds_the_ids_headers_and_names(tmp_path: Path) -> None:
    with MaskBagWriter(tmp_path / 'masks', CAMVID) as masks:
        for index in range(3):
            masks.write(frame(index), LABELS + np.uint8(index))
    with BagReader(tmp_path / 'masks') as bag:
        assert {topic.name: (topic.type, topic.count) for topic in bag.topics} == {
            '/segmentation/label_info': ('vision_msgs/msg/LabelInfo', 1),
            '/segmentation/label_map': ('sensor_msgs/msg/Image', 3),
        }
        images = list(bag.images(LABEL_MAP_TOPIC))
    for index, image in enumerate(images):
        np.testing.assert_array_equal(image.label_map(), LABELS + index)
        assert image.stamp_ns == frame(index).stamp_ns
        assert image.frame_id == f'cam{index}'


def test_overlay_video_is_what_browsers_play(tmp_path: Path) -> None:
    path = tmp_path / 'run' / 'overlay.mp4'
    colors = [(200, 30, 40), (30, 200, 40), (30, 40, 200)]
    with OverlayVideoWriter(path, 29.97) as video:
        for number, color in enumerate(colors):
            video.write(np.full((48, 64, 3), color, np.uint8), round(number * 1e9 / 29.97))
    data = path.read_bytes()
    assert data.index(b'moov') < data.index(b'mdat'), 'the index comes first'
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ('h264', 'yuv420p')
        assert float(stream.average_rate or 0) == pytest.approx(29.97, abs=1e-3)
        decoded = [f.to_ndarray(format='rgb24') for f in container.decode(stream)]
    assert len(decoded) == 3
    for image, color in zip(decoded, colors, strict=True):
        np.testing.assert_allclose(image[24, 32], color, atol=6)


@pytest.mark.parametrize(
    ('given', 'expected'),
    [
        ((49, 65), (48, 64)),
        ((48, 65), (48, 64)),
        ((1080, 1920), (720, 1280)),
        ((481, 1281), (480, 1280)),
        ((1, 1), (2, 2)),
    ],
)
def test_overlay_video_size(
    tmp_path: Path, given: tuple[int, int], expected: tuple[int, int]
) -> None:
    with OverlayVideoWriter(tmp_path / 'overlay.mp4', 10) as video:
        video.write(np.full((*given, 3), 128, np.uint8), 0)
    with av.open(str(tmp_path / 'overlay.mp4')) as container:
        stream = container.streams.video[0]
        assert (stream.height, stream.width) == expected


@pytest.mark.parametrize(('width', 'lines'), [(1920, 1), (320, 6), (64, 0)])
def test_overlay_video_has_the_legend_below(tmp_path: Path, width: int, lines: int) -> None:
    shown = min(width, 1280)
    height = shown * 9 // 16
    with OverlayVideoWriter(tmp_path / 'overlay.mp4', 10, CAMVID) as video:
        for index, size in enumerate((width, width // 2)):
            picture = np.full((size * 9 // 16, size, 3), 128, np.uint8)
            video.write(picture, index * 100_000_000)
    with open_source(tmp_path / 'overlay.mp4') as source:
        pictures = [item.decode('rgb8') for item in source]
    for picture in pictures:
        assert picture.shape == (height + 24 * lines, shown, 3)
        np.testing.assert_allclose(picture[:height], 128, atol=12)
        if lines:
            error = np.abs(picture[height:].astype(int) - legend(CAMVID, shown)).mean()
            assert error < 6, 'more than the codec does'


def test_overlay_video_has_no_legend_taller_than_its_pictures(tmp_path: Path) -> None:
    with OverlayVideoWriter(tmp_path / 'overlay.mp4', 10, CAMVID) as video:
        video.write(np.full((100, 320, 3), 128, np.uint8), 0)
    with open_source(tmp_path / 'overlay.mp4') as source:
        assert next(iter(source)).decode('rgb8').shape == (100, 320, 3)


def test_overlay_video_stretches_frames_of_another_size(tmp_path: Path) -> None:
    with OverlayVideoWriter(tmp_path / 'overlay.mp4', 10) as video:
        video.write(np.full((48, 64, 3), 128, np.uint8), 0)
        video.write(np.full((96, 128, 3), 200, np.uint8), 100_000_000)
    with open_source(tmp_path / 'overlay.mp4') as source:
        _, second = source
        assert second.decode('rgb8').shape == (48, 64, 3)
        np.testing.assert_allclose(second.decode('rgb8')[24, 32], 200, atol=4)


@pytest.mark.parametrize(
    ('stamps_ms', 'shown_ms'),
    [
        ([0, 100, 500, 600, 2000, 2100], [0, 100, 500, 600, 2000, 2100]),  # frames are missing
        ([0, 100, 100, 50, 150], [0, 100, 200, 300, 400]),  # repeated, and back in time
        ([0, 100, 1_700_000_000_000, 1_700_000_000_100], [0, 100, 200, 300]),  # a clock was set
        ([7], [0]),
    ],
)
def test_overlay_video_lasts_as_long_as_the_drive(
    tmp_path: Path, stamps_ms: list[int], shown_ms: list[int]
) -> None:
    with OverlayVideoWriter(tmp_path / 'overlay.mp4', 10) as video:
        for number, stamp_ms in enumerate(stamps_ms):
            image = np.full((48, 64, 3), 30 * number, np.uint8)
            video.write(image, 1_700_000_000_000_000_000 + stamp_ms * 1_000_000)
    with av.open(str(tmp_path / 'overlay.mp4')) as container:
        assert container.duration == (shown_ms[-1] + 100) * 1000
        decoded = list(container.decode(video=0))
    assert [round(item.time * 1000, 3) for item in decoded if item.time is not None] == shown_ms
    for number, item in enumerate(decoded):
        assert item.to_ndarray(format='rgb24')[24, 32, 0] == pytest.approx(30 * number, abs=6)


def test_overlay_video_of_stamps_closer_than_its_resolution(tmp_path: Path) -> None:
    with OverlayVideoWriter(tmp_path / 'overlay.mp4', 1e9) as video:
        for stamp_ns in range(5):
            video.write(np.zeros((48, 64, 3), np.uint8), stamp_ns)
    with open_source(tmp_path / 'overlay.mp4') as source:
        assert len(list(source)) == 5


def test_overlay_video_without_frames_leaves_nothing(tmp_path: Path) -> None:
    with OverlayVideoWriter(tmp_path / 'overlay.mp4', 10):
        pass
    assert list(tmp_path.iterdir()) == []


def test_overlay_video_of_a_real_drive(data_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / 'overlay.mp4'
    with open_source(data_dir / 'dashcam' / 'lanelines_solidWhiteRight.mp4') as source:
        frames = list(islice(source, 4))
        originals = [frame.decode('rgb8') for frame in frames]
    with OverlayVideoWriter(path, source.fps or 0) as video:
        for item, image in zip(frames, originals, strict=True):
            video.write(image, item.stamp_ns)
    with open_source(path) as written:
        copies = [copy.decode('rgb8') for copy in written]
    for original, copy in zip(originals, copies, strict=True):
        assert np.abs(original.astype(int) - copy).mean() < 6


@pytest.mark.parametrize('seen', [1, 5, 12, 13, 24, 25, 100, 1000])
def test_contact_sheet_spreads_over_the_whole_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: int
) -> None:
    asked: dict[str, Any] = {}

    def sheet(
        tiles: list[NDArray[np.uint8]], *, columns: int, captions: list[str]
    ) -> NDArray[np.uint8]:
        asked.update(count=len(tiles), columns=columns, captions=captions)
        return np.zeros((10, 10, 3), np.uint8)

    monkeypatch.setattr('vidseg_ros.evaluation.writers.contact_sheet', sheet)
    contact = ContactSheet(CAMVID)
    for index in range(seen):
        contact.add(str(index), np.zeros((2, 4, 3), np.uint8))
        assert len(contact._kept) < 24
    contact.write(tmp_path / 'sheet.png')
    shown = [int(caption) for caption in asked['captions']]
    assert asked['count'] == len(shown) == min(12, seen)
    assert asked['columns'] == 4
    assert shown[0] == 0
    assert shown[-1] >= 0.9 * (seen - 1)
    steps = np.diff(shown)
    assert seen == 1 or steps.min() >= 1
    assert seen == 1 or steps.max() <= 2 * steps.min()


def test_contact_sheet_picture(tmp_path: Path) -> None:
    contact = ContactSheet(CAMVID, tiles=2, columns=2)
    contact.add('red', np.full((90, 160, 3), (250, 10, 10), np.uint8))
    contact.add('blue', np.full((90, 160, 3), (10, 10, 250), np.uint8))
    contact.write(tmp_path / 'run' / 'sheet.png')
    bgr = cv2.imread(str(tmp_path / 'run' / 'sheet.png'))
    assert bgr is not None
    rgb = bgr[:, :, ::-1]
    for columns, color in [
        (slice(TILE_WIDTH), (250, 10, 10)),
        (slice(-TILE_WIDTH, None), (10, 10, 250)),
    ]:
        shown = (rgb[80:160, columns] == color).all(axis=2)
        assert shown.mean() > 0.9
    strip = legend(CAMVID, rgb.shape[1])
    np.testing.assert_array_equal(rgb[-strip.shape[0] :], strip)


def test_contact_sheet_of_one_narrow_picture_has_room_for_the_legend(tmp_path: Path) -> None:
    contact = ContactSheet(CAMVID)
    contact.add('only', np.full((90, 160, 3), (250, 10, 10), np.uint8))
    contact.write(tmp_path / 'sheet.png')
    bgr = cv2.imread(str(tmp_path / 'sheet.png'))
    assert bgr is not None
    assert bgr.shape[1] == LEGEND_WIDTH
    assert (bgr[10, -10] == 255).all()


def test_contact_sheet_without_frames_says_so(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r'no contact sheet .*there was no frame'):
        ContactSheet(CAMVID).write(tmp_path / 'sheet.png')


def write_mask_pngs(path: Path) -> None:
    with MaskPngWriter(path) as masks:
        masks.write(frame(0), LABELS)


def write_mask_bag(path: Path) -> None:
    with MaskBagWriter(path, CAMVID) as masks:
        masks.write(frame(0), LABELS)


def write_overlay(path: Path) -> None:
    with OverlayVideoWriter(path, 10) as video:
        video.write(np.zeros((4, 6, 3), np.uint8), 0)


def write_sheet(path: Path) -> None:
    contact = ContactSheet(CAMVID)
    contact.add('', np.zeros((4, 6, 3), np.uint8))
    contact.write(path)


WRITERS = [write_mask_pngs, write_mask_bag, write_overlay, write_sheet]


@pytest.mark.parametrize('write', WRITERS)
def test_unwritable_output_says_where(tmp_path: Path, write: Callable[[Path], None]) -> None:
    (tmp_path / 'file').write_text('not a folder')
    with pytest.raises(OutputError, match=r'cannot write .*file/out.*check the path'):
        write(tmp_path / 'file' / 'out')


@pytest.mark.parametrize('write', WRITERS[1:])
def test_nothing_is_overwritten(tmp_path: Path, write: Callable[[Path], None]) -> None:
    (tmp_path / 'out').write_text('precious')
    with pytest.raises(OutputError, match=r'out exists and is not overwritten'):
        write(tmp_path / 'out')
    assert (tmp_path / 'out').read_text() == 'precious'


def test_mask_pngs_do_not_mix_with_others(tmp_path: Path) -> None:
    write_mask_pngs(tmp_path / 'out')
    with pytest.raises(OutputError, match=r'out already holds PNGs'):
        write_mask_pngs(tmp_path / 'out')


def test_a_mask_that_cannot_be_written_says_which(tmp_path: Path) -> None:
    with MaskPngWriter(tmp_path / 'out') as masks:
        (tmp_path / 'out' / '000000.png').mkdir()
        with pytest.raises(OutputError, match=r'cannot write .*000000\.png'):
            masks.write(frame(0), LABELS)


def test_a_video_that_is_not_open_says_how_to(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r'with OverlayVideoWriter\(path, fps\)'):
        OverlayVideoWriter(tmp_path / 'a.mp4', 10).write(np.zeros((4, 6, 3), np.uint8), 0)
