# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable
import json
from pathlib import Path

import pytest

from vidseg_ros.core.errors import SourceError
from vidseg_training.data.vspw import Vspw

WritePair = Callable[..., None]


@pytest.fixture
def vspw(tmp_path: Path, write_pair: WritePair) -> Path:
    """Return a VSPW of two clips and three classes."""
    for split, clip in (('train', '1_a'), ('val', '2_b')):
        (tmp_path / f'{split}.txt').write_text(f'{clip}\n', encoding='utf-8')
        for frame in ('00000002', '00000001'):
            folder = tmp_path / 'data' / clip
            ids = [[0, 1], [3, 255]]
            write_pair(folder / 'origin' / f'{frame}.jpg', folder / 'mask' / f'{frame}.png', ids)
    classes = {'sky': '2', 'others': '0', 'wall': '1', 'road': 3}
    (tmp_path / 'label_num_dic_final.json').write_text(json.dumps(classes), encoding='utf-8')
    return tmp_path


def test_frames_come_clip_by_clip(vspw: Path) -> None:
    images = Vspw(vspw, 'trainval')
    assert images.label_set.names == ('wall', 'sky', 'road')
    assert images.names == [
        '1_a/00000001.jpg',
        '1_a/00000002.jpg',
        '2_b/00000001.jpg',
        '2_b/00000002.jpg',
    ]
    assert images[0][1][::8, ::8].tolist() == [[255, 0], [2, 255]]
    assert images.title == 'VSPW train and val'
    assert Vspw(vspw, 'test').names == Vspw(vspw, 'val').names == images.names[2:]


def test_an_unknown_id_is_named(vspw: Path, write_pair: WritePair) -> None:
    clip = vspw / 'data' / '1_a'
    write_pair(clip / 'origin' / '00000001.jpg', clip / 'mask' / '00000001.png', [[4]])
    with pytest.raises(SourceError, match=r'00000001\.png has the ids \[4\], which are'):
        Vspw(vspw, 'train')[0]


@pytest.mark.parametrize(
    'text', ['', '[]', '{"a": "x"}', '{"a": 1, "b": 3}', '{"others": 0}', '{"a": null}']
)
def test_a_wrong_list_of_classes_is_named(vspw: Path, text: str) -> None:
    (vspw / 'label_num_dic_final.json').write_text(text, encoding='utf-8')
    with pytest.raises(SourceError, match=r'classes of .*label_num_dic_final\.json.*; expected'):
        Vspw(vspw, 'train')


def test_missing_parts_are_named(vspw: Path) -> None:
    (vspw / 'data' / '1_a' / 'mask' / '00000002.png').unlink()
    with pytest.raises(
        SourceError, match=r'mask/00000002\.png \(1 missing\); expected the folder'
    ):
        Vspw(vspw, 'train')
    (vspw / 'val.txt').write_text('\n', encoding='utf-8')
    with pytest.raises(SourceError, match=r'val\.txt is empty'):
        Vspw(vspw, 'val')
    (vspw / 'val.txt').write_text('3_c', encoding='utf-8')
    with pytest.raises(SourceError, match=r'no images: .*data/3_c/origin; expected'):
        Vspw(vspw, 'val')
    (vspw / 'val.txt').unlink()
    with pytest.raises(SourceError, match=r'cannot read the list of clips .*val\.txt'):
        Vspw(vspw, 'val')
