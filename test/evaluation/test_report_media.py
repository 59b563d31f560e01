# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What the page carries of clips, and its thumbnails."""

from base64 import b64decode
from pathlib import Path

import cv2
import numpy as np
import pytest

from vidseg_ros.core.errors import SourceError
from vidseg_ros.core.labels import LabelSet
from vidseg_ros.evaluation.clip import ClipWriter, read_clip
from vidseg_ros.evaluation.report_media import (
    choose_parts,
    clip_content,
    media_elements,
    SourceClip,
    thumbnail,
)

S = 1_000_000_000
CLASSES = LabelSet(names=('red', 'green'), colors=((255, 0, 0), (0, 255, 0)))


@pytest.fixture
def clip(tmp_path: Path) -> SourceClip:
    """Return a clip of three parts; black frames, model b says green, stamps from 5 s on."""
    with ClipWriter(tmp_path, 'ab') as writer:
        for at in range(7):
            maps = {'a': np.zeros((48, 64), np.uint8), 'b': np.ones((48, 64), np.uint8)}
            writer.write(np.zeros((48, 64, 3), np.uint8), maps, (5 + at * 20) * S, 2 * at)
    index = read_clip(tmp_path)
    assert index is not None
    assert [len(part.stamps_ns) for part in index.parts] == [3, 3, 1]
    return SourceClip(key='drive', folder=tmp_path, index=index, start_ns=5 * S)


def test_wanted_parts_come_first(clip: SourceClip) -> None:
    names = [('drive', part.name) for part in clip.index.parts]
    sizes = [clip.size(part) for part in clip.index.parts]
    assert choose_parts([clip], [], sum(sizes)) == set(names)
    assert choose_parts([clip], [], sizes[0]) == {names[0]}
    assert choose_parts([clip], [names[2]], sizes[0]) == {names[2]}
    assert choose_parts([clip], names[::-1], sizes[1] + sizes[2]) == {names[1], names[2]}
    assert choose_parts([clip], names, 10) == set()


def test_content_names_what_is_carried(clip: SourceClip) -> None:
    chosen = {('drive', '0001'), ('other', '0000')}
    table = clip.folder / 'frames-a.csv'
    rows = [f'{index},0,{index / 20}\n' for index in range(14)]
    table.write_text('index,stamp_ns,tc\n' + ''.join(rows))
    content = clip_content(3, clip, chosen, {'a': table})
    assert content is not None
    assert (content['width'], content['height']) == (64, 48)
    (part,) = content['parts']
    assert part['id'] == 'clip3-0001'
    assert part['t'] == [60, 80, 100]
    assert part['indices'] == [6, 8, 10]
    assert part['numbers'] == {'a': {'tc': [0.3, 0.4, 0.5]}}
    assert part['times_ms'] == [0, 20_000, 40_000]
    assert clip_content(3, clip, set(), {'a': table}) is None
    carried = dict(media_elements([clip], chosen))
    assert list(carried) == ['clip0-0001-video', 'clip0-0001-masks']
    assert b64decode(carried['clip0-0001-masks']) == (clip.folder / '0001.masks').read_bytes()


@pytest.mark.parametrize(('index', 'part', 'at'), [(0, 0, 0), (7, 1, 0), (8, 1, 1), (99, 2, 0)])
def test_nearest_frame(clip: SourceClip, index: int, part: int, at: int) -> None:
    assert clip.frame_at(index) == (clip.index.parts[part], at)


def test_a_frame_after_a_jump_back_is_not_the_earlier_one(tmp_path: Path) -> None:
    with ClipWriter(tmp_path, 'a') as writer:
        for index, second in enumerate((0, 1, 2, 3, 0, 1, 2, 3)):
            maps = {'a': np.zeros((48, 64), np.uint8)}
            writer.write(np.zeros((48, 64, 3), np.uint8), maps, second * S, index)
    index = read_clip(tmp_path)
    assert index is not None
    clip = SourceClip(key='drive', folder=tmp_path, index=index, start_ns=0)
    assert clip.frame_at(6) == (index.parts[0], 6)


def test_thumbnail(clip: SourceClip) -> None:
    for model, strong in (('a', 0), ('b', 1)):
        address = thumbnail(clip, clip.index.parts[1], 2, model, CLASSES)
        kind, _, text = address.partition(',')
        assert kind == 'data:image/jpeg;base64'
        image = cv2.imdecode(np.frombuffer(b64decode(text), np.uint8), cv2.IMREAD_COLOR)
        assert image is not None
        assert image.shape == (180, 240, 3)
        expected = np.zeros(3)
        expected[strong] = 127.5
        np.testing.assert_allclose(image[..., ::-1].mean(axis=(0, 1)), expected, atol=6)


def test_damaged_clips(clip: SourceClip) -> None:
    part = clip.index.parts[0]
    (clip.folder / '0000.masks').write_bytes(b'')
    with pytest.raises(SourceError, match=r'0000\.masks lacks the label map of frame 1'):
        thumbnail(clip, part, 1, 'a', CLASSES)
    part.times_ms[1] = 7
    with pytest.raises(SourceError, match=r'0000\.webm lacks the frame at 7 ms'):
        thumbnail(clip, part, 1, 'a', CLASSES)
    (clip.folder / '0000.webm').write_bytes(b'no video')
    with pytest.raises(SourceError, match=r'cannot read .*0000\.webm.*evaluate this source again'):
        thumbnail(clip, part, 1, 'a', CLASSES)
    (clip.folder / '0000.masks').unlink()
    with pytest.raises(SourceError, match=r'cannot read .*0000\.masks: No such file'):
        choose_parts([clip], [], 10**9)
