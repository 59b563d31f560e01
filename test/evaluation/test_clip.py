# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A clip keeps every id of every label map, beside the frame that it belongs to."""

from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray
import pytest

from vidseg_ros.core.errors import EngineError, OutputError, ParameterError, SourceError
from vidseg_ros.core.label_map import resize_labels
from vidseg_ros.evaluation.clip import ClipIndex, ClipPart, ClipWriter, INDEX, read_clip

MS = 1_000_000


def write(
    folder: Path, stamps_ms: list[int], size: tuple[int, int] = (48, 64), models: str = 'a'
) -> ClipIndex | None:
    """Write grey frames at these times, all of class 0."""
    with ClipWriter(folder, models) as clip:
        for at, stamp in enumerate(stamps_ms):
            maps = {key: np.zeros((6, 8), np.uint8) for key in models}
            clip.write(np.full((*size, 3), 90, np.uint8), maps, stamp * MS, at)
    return read_clip(folder)


def label_maps(folder: Path, part: ClipPart) -> list[NDArray[np.uint8]]:
    """Return the label maps of a part, (h, w, 3) with the first model in the first channel."""
    data, start, found = (folder / f'{part.name}.masks').read_bytes(), 0, []
    for size in part.mask_sizes:
        piece = np.frombuffer(data[start : start + size], np.uint8)
        image = cv2.imdecode(piece, cv2.IMREAD_COLOR)
        assert image is not None
        found.append(np.asarray(image[..., ::-1], np.uint8))
        start += size
    assert start == len(data)
    return found


@pytest.mark.parametrize('models', ['a', 'ab', 'abc'])
def test_ids_survive_exactly(tmp_path: Path, models: str) -> None:
    random = np.random.default_rng(1)
    maps = [{key: random.integers(0, 256, (40, 30), np.uint8) for key in models} for _ in range(3)]
    with ClipWriter(tmp_path, models) as clip:
        for at, item in enumerate(maps):
            clip.write(np.zeros((48, 64, 3), np.uint8), item, at * 100 * MS, at)
    index = read_clip(tmp_path)
    assert index is not None
    assert (index.models, index.width, index.height) == (list(models), 64, 48)
    (part,) = index.parts
    for expected, found in zip(maps, label_maps(tmp_path, part), strict=True):
        for channel, key in enumerate(models):
            wanted = resize_labels(expected[key], (48, 64))
            np.testing.assert_array_equal(found[..., channel], wanted)


def test_video_has_the_frames_at_the_times_of_the_index(tmp_path: Path) -> None:
    with ClipWriter(tmp_path, 'a') as clip:
        for at in range(10):
            image = np.full((48, 64, 3), 20 * at, np.uint8)
            clip.write(image, {'a': np.zeros((48, 64), np.uint8)}, at * 150 * MS, at)
    index = read_clip(tmp_path)
    assert index is not None
    (part,) = index.parts
    assert part.stamps_ns == [at * 150 * MS for at in range(10)]
    with av.open(str(tmp_path / '0000.webm')) as video:
        assert video.streams.video[0].codec_context.name in {'vp9', 'libvpx-vp9'}
        frames = list(video.decode(video=0))
    assert [frame.pts for frame in frames] == part.times_ms == [at * 150 for at in range(10)]
    levels = [frame.to_ndarray(format='rgb24').mean() for frame in frames]
    np.testing.assert_allclose(levels, 20 * np.arange(10), atol=4)


@pytest.mark.parametrize(
    ('source', 'clip'),
    [((720, 1280), (640, 360)), ((960, 768), (288, 360)), ((49, 65), (64, 48)), ((1, 9), (8, 2))],
)
def test_size(tmp_path: Path, source: tuple[int, int], clip: tuple[int, int]) -> None:
    index = write(tmp_path, [0], source)
    assert index is not None
    assert (index.width, index.height) == clip


@pytest.mark.parametrize(
    ('fps', 'kept'), [(10, 10), (15, 15), (25, 12.5), (30, 15), (60, 15), (20, 10)]
)
def test_at_most_15_frames_a_second(tmp_path: Path, fps: int, kept: float) -> None:
    index = write(tmp_path, [round(at * 1000 / fps) for at in range(4 * fps)], (8, 8))
    assert index is not None
    assert sum(len(part.stamps_ns) for part in index.parts) == 4 * kept


def test_parts_of_a_minute(tmp_path: Path) -> None:
    index = write(tmp_path, list(range(0, 130_000, 10_000)), (8, 8))
    assert index is not None
    assert [part.name for part in index.parts] == ['0000', '0001', '0002']
    assert [len(part.times_ms) for part in index.parts] == [6, 6, 1]
    assert [part.times_ms[0] for part in index.parts] == [0, 0, 0]
    assert [part.stamps_ns[0] for part in index.parts] == [0, 60_000 * MS, 120_000 * MS]


def test_no_frame_no_clip(tmp_path: Path) -> None:
    assert write(tmp_path / 'clip', []) is None


def test_what_was_written_before_an_error_is_complete(tmp_path: Path) -> None:
    def break_off() -> None:
        with ClipWriter(tmp_path, 'a') as clip:
            clip.write(np.zeros((8, 8, 3), np.uint8), {'a': np.zeros((8, 8), np.uint8)}, 0, 0)
            msg = 'the engine failed'
            raise EngineError(msg)

    with pytest.raises(EngineError, match='the engine failed'):
        break_off()
    index = read_clip(tmp_path)
    assert index is not None
    assert len(index.parts[0].mask_sizes) == 1


@pytest.mark.parametrize('models', ['', 'abcd'])
def test_models_beyond_the_channels(tmp_path: Path, models: str) -> None:
    with pytest.raises(ParameterError, match=f'1 to 3 models, not {len(models)}'):
        ClipWriter(tmp_path, models)


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / 'clip').write_text('a file')
    with pytest.raises(OutputError, match=r'cannot write .*clip'):
        write(tmp_path / 'clip', [0])


@pytest.mark.parametrize('text', ['', '[]', '{"parts": [{"name": 1, "odd": 2}]}', '{"parts": []}'])
def test_a_damaged_index(tmp_path: Path, text: str) -> None:
    (tmp_path / INDEX).write_text(text)
    with pytest.raises(SourceError, match=r'cannot read the clip .*evaluate this source again'):
        read_clip(tmp_path)
