# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`vidseg compare`: the video, the numbers, and what it says to bad input."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
import onnx
import pytest

from vidseg_ros.bag_io import BagWriter
from vidseg_ros.cli.main import main
from vidseg_ros.core.labels import CAMVID, LabelSet
from vidseg_ros.evaluation.side_by_side import SideBySide
from vidseg_ros.inference.model_file import read_model

STEP_NS = 100_000_000


def textured(shape: tuple[int, int] = (360, 480)) -> NDArray[np.uint8]:
    """Return a picture in which motion can be seen to be none."""
    noise = np.random.default_rng(0).integers(0, 255, (*shape, 3), np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 3).astype(np.uint8)


def ids(of: int) -> NDArray[np.uint8]:
    return np.full((12, 16), of, np.uint8)


def test_only_what_flips_is_red(tiny_model: Path) -> None:
    """On a scene that stands still one model keeps its labels, the other changes them."""
    card = read_model(tiny_model).card
    pictures = SideBySide([card, card])
    for frame in range(4):
        drawn = pictures.draw(textured(), [ids(0), ids(frame % 2)], frame * STEP_NS)
    steady, flipping = (one.flips() for one in pictures.steadiness)
    assert steady == 0
    assert flipping == pytest.approx(10)  # every pixel in every frame of 10 Hz
    height, width = drawn.shape[0] // 2, drawn.shape[1] // 2
    centre = (slice(height + height // 3, height + height // 2), slice(width // 3, width // 2))
    calm = drawn[centre].astype(int)
    red = drawn[centre[0], centre[1].start + width : centre[1].stop + width].astype(int)
    assert (calm[..., 0] == calm[..., 1]).all()
    assert (red == (255, 30, 0)).all()


def test_classes_are_named_below_the_pictures(tiny_model: Path) -> None:
    card = read_model(tiny_model).card
    other = replace(card, labels=CAMVID)
    names = tuple(f'class {number}' for number in range(41))
    many = replace(card, labels=LabelSet(names=names, colors=((1, 2, 3),) * 41))
    heights = []
    for cards in ([card, card], [card, other], [card, many]):
        pictures = SideBySide(cards)
        drawn = pictures.draw(textured(), [ids(0), ids(0)], 0)
        heights.append(drawn.shape[0])
        if many in cards:
            continue
        below = drawn[-24 * 4 :].reshape(-1, 3)
        for labels in {one.labels for one in cards}:
            for color in labels.colors:
                assert (below == color).all(axis=1).any(), color
    same, different, without = heights
    assert without < same <= different


def test_across_a_frame_that_is_missing_nothing_is_compared(tiny_model: Path) -> None:
    card = read_model(tiny_model).card
    pictures = SideBySide([card], fps=10)
    for number, stamp in enumerate((0, 2, 50, 51)):
        if number == 1:
            pictures.skip(STEP_NS)
        pictures.draw(textured(), [ids(number % 2 if number < 3 else 0)], stamp * STEP_NS)
    assert pictures.steadiness[0].flips() == 0  # of the last two frames; elsewhere all would flip


def test_video_and_numbers(
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with BagWriter(Path('drive')) as bag:
        for index in range(5):
            bag.write_image(
                '/camera', textured(), encoding='rgb8', stamp_ns=index * STEP_NS, frame_id='front'
            )
    command = ['compare', 'drive', str(tiny_model), str(tiny_model), '--limit', '4']
    assert main([*command, '--out', 'both.mp4']) == 0
    out = capsys.readouterr().out
    assert 'video is in both.mp4' in out
    assert out.count(' 0.000 ') == 2
    video = cv2.VideoCapture('both.mp4')
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 4
    assert video.get(cv2.CAP_PROP_FRAME_WIDTH) == 1280
    assert main([*command, '--out', 'both.mp4']) == 2
    assert 'both.mp4 exists; choose another --out, or --overwrite it' in capsys.readouterr().err
    assert main([*command[:-1], '2', '--out', 'both.mp4', '--overwrite']) == 0
    assert cv2.VideoCapture('both.mp4').get(cv2.CAP_PROP_FRAME_COUNT) == 2


def test_footage_and_folders_are_not_overwritten(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film = tmp_path / 'film.mp4'
    film.write_bytes(b'mine')
    command = ['compare', str(film), str(tiny_model), str(tiny_model), '--overwrite', '--out']
    assert main([*command, str(film)]) == 2
    assert 'film.mp4 is the footage itself; choose another --out' in capsys.readouterr().err
    assert main([*command, str(tmp_path)]) == 2
    assert 'is a folder; choose another --out' in capsys.readouterr().err
    other = tmp_path / 'other.mp4'
    other.write_bytes(b'mine')
    assert main([*command, str(other)]) == 2, 'the footage cannot be read'
    assert film.read_bytes() == other.read_bytes() == b'mine'


def test_a_model_that_is_none(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / 'broken.onnx'
    onnx.save(onnx.ModelProto(), str(broken))
    assert main(['compare', str(tmp_path), str(tiny_model), str(broken)]) == 2
    assert 'broken.onnx' in capsys.readouterr().err
    assert not Path('side_by_side.mp4').exists()
