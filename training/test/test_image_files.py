# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from pathlib import Path
import zlib

import cv2
import numpy as np
from PIL import Image
import pytest

from vidseg_ros.core.errors import SourceError
from vidseg_training.data.image_files import read_colors, read_ids, read_image


@pytest.mark.parametrize('share', [0.0, 0.2, 0.8])
def test_a_truncated_label_map_is_refused(tmp_path: Path, share: float) -> None:
    path = tmp_path / 'ids.png'
    ids = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    cv2.imwrite(str(path), ids)
    np.testing.assert_array_equal(read_ids(path), ids)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(SourceError, match=r'cannot read the mask .*ids\.png'):
        read_ids(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r'cannot read the image .*none\.png'):
        read_image(tmp_path / 'none.png')
    with pytest.raises(SourceError, match=r'cannot read the mask .*none\.png'):
        read_ids(tmp_path / 'none.png')


def test_a_palette_gives_its_indices(tmp_path: Path) -> None:
    ids = np.arange(64, dtype=np.uint8).reshape(8, 8)
    picture = Image.new('P', (8, 8))
    picture.putdata(ids.ravel().tolist())
    picture.putpalette([255 - value // 3 for value in range(768)])
    picture.save(tmp_path / 'ids.png')
    np.testing.assert_array_equal(read_ids(tmp_path / 'ids.png'), ids)
    assert read_colors(tmp_path / 'ids.png')[1, 1].tolist() == [246, 246, 246]  # of index 9


def test_other_channels_are_refused(tmp_path: Path) -> None:
    path = tmp_path / 'ids.png'
    cv2.imwrite(str(path), np.zeros((8, 8), np.uint16))
    with pytest.raises(SourceError, match=r'mode I;16; expected one 8-bit channel'):
        read_ids(path)
    with pytest.raises(SourceError, match=r'mode I;16; expected colours that stand'):
        read_colors(path)
    cv2.imwrite(str(path), np.full((8, 8, 3), (1, 2, 3), np.uint8))
    assert read_colors(path)[0, 0].tolist() == [3, 2, 1]


@pytest.mark.parametrize('bits', [1, 2, 4])
def test_grey_values_of_few_bits_are_not_spread(tmp_path: Path, bits: int) -> None:
    """Pillow writes only palettes of few bits: the kind of colours is set to grey behind it."""
    ids = np.random.default_rng(1).integers(0, 1 << bits, (13, 17), np.uint8)
    path = tmp_path / 'ids.png'
    image = Image.fromarray(ids)
    image.putpalette(bytes(3 << bits))
    image.save(path, bits=bits)
    data = bytearray(path.read_bytes())
    assert (data[24], data[25]) == (bits, 3)
    data[25] = 0
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, 'big')
    path.write_bytes(data)
    np.testing.assert_array_equal(read_ids(path), ids)
