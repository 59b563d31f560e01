# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`vidseg replay`: what it writes, and what it prints; bad input: `test_replay_bad_input.py`."""

from collections.abc import Callable
import json
from pathlib import Path
import sys
from typing import Any, Final, NoReturn

import cv2
import numpy as np
from numpy.typing import NDArray
import pytest

from vidseg_ros.core.errors import EngineError
from vidseg_ros.evaluation.replay import ReplayResults
from vidseg_ros.inference.engine import ENGINES

COLORS: Final = np.array(((255, 0, 0), (0, 255, 0), (0, 0, 255)), np.uint8)
STEP_NS: Final = 100_000_000

Golden = Callable[[int], NDArray[np.uint8]]
Record = Callable[..., Path]
Replay = Callable[..., tuple[int, str, str]]
Refused = Callable[[tuple[int, str, str]], str]

pytestmark = pytest.mark.usefixtures('in_an_empty_folder')


def test_default_results(drive: Path, replay: Replay, golden: Golden) -> None:
    status, out, err = replay(drive)
    assert (status, err) == (0, '')
    folder = Path('replay_drive')
    found = sorted(file.name for file in folder.iterdir())
    assert found == ['.vidseg', 'contact_sheet.png', 'masks', 'overlay.mp4', 'summary.json']
    for index in range(10):
        mask = cv2.imread(str(folder / 'masks' / f'{index * STEP_NS}.png'), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(mask, golden(index))
    assert 'drive, offline' in out
    assert '10 segmented of 10' in out
    files = 'overlay.mp4, contact_sheet.png, masks, summary.json'
    assert out.endswith(f'results are in replay_drive: {files}\n')


def test_the_video_names_the_classes_below_the_pictures(replay: Replay, golden: Golden) -> None:
    Path('images').mkdir()
    cv2.imwrite('images/0.png', COLORS[golden(0).repeat(5, axis=0).repeat(5, axis=1)][..., ::-1])
    assert replay('images')[0] == 0
    shown = cv2.VideoCapture('replay_images/overlay.mp4').read()[1]
    assert shown.shape == (240 + 24, 320, 3)
    below = shown[240:, :, ::-1].astype(int).reshape(-1, 3)
    for color in COLORS:
        assert np.abs(below - color).max(axis=1).min() < 40, color


def test_default_folder_of_a_file_has_no_suffix(drive: Path, replay: Replay) -> None:
    (file,) = drive.glob('*.mcap')
    assert replay(file, '--masks', 'none', '--no-video', '--no-sheet')[0] == 0
    found = sorted(path.name for path in Path(f'replay_{file.stem}').iterdir())
    assert found == ['.vidseg', 'summary.json']


def test_options(drive: Path, replay: Replay, golden: Golden) -> None:
    arguments = ('--out', 'o', '--masks', 'png', '--mask-size', 'network', '--limit', '3')
    assert replay(drive, *arguments, '--no-video', '--no-sheet')[0] == 0
    found = sorted(file.name for file in Path('o').iterdir())
    assert found == ['.vidseg', 'masks', 'summary.json']
    masks = sorted(Path('o/masks').iterdir(), key=lambda file: int(file.stem))
    assert len(masks) == 3
    mask = cv2.imread(str(masks[2]), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(mask, golden(2)[::4, ::4])


def test_names_of_folders_are_printed_as_they_are(drive: Path, replay: Replay) -> None:
    few = ('--limit', '1', '--masks', 'none', '--no-video', '--no-sheet')
    status, out, _ = replay(drive, '--out', 'o5[b]:smile:', *few)
    assert status == 0
    assert out.endswith('results are in o5[b]:smile:: summary.json\n')


def test_mask_bag(drive: Path, replay: Replay) -> None:
    assert replay(drive, '--masks', 'bag', '--out', 'o')[0] == 0
    assert Path('o/masks/metadata.yaml').is_file()


def test_json_to_stdout_is_all_there_is(drive: Path, replay: Replay) -> None:
    status, out, err = replay(drive, '--json')
    files = 'overlay.mp4, contact_sheet.png, masks, summary.json'
    assert (status, err) == (0, f'vidseg: results are in replay_drive: {files}\n')
    assert json.loads(out) == json.loads(Path('replay_drive/summary.json').read_text())
    assert json.loads(out)['frames'] == {'seen': 10, 'segmented': 10}


def test_json_to_a_file_leaves_the_table(drive: Path, replay: Replay) -> None:
    status, out, _ = replay(drive, '--json', 'numbers.json')
    assert status == 0
    assert '10 segmented of 10' in out
    numbers = json.loads(Path('numbers.json').read_text())
    assert numbers == json.loads(Path('replay_drive/summary.json').read_text())


def test_labels_give_scores(drive: Path, replay: Replay, golden: Golden) -> None:
    Path('labels').mkdir()
    for index in (0, 4):
        cv2.imwrite(f'labels/{index * STEP_NS}.png', golden(index))
    status, out, err = replay(drive, '--labels', 'labels')
    assert (status, err) == (0, '')
    assert 'IoU on 2 labelled frames, %' in out
    scores = json.loads(Path('replay_drive/summary.json').read_text())['scores']
    assert scores['miou'] == 1
    assert [item['name'] for item in scores['classes']] == ['red', 'green', 'blue']


def test_an_id_without_a_class_is_named_and_not_scored(
    drive: Path, replay: Replay, golden: Golden
) -> None:
    Path('labels').mkdir()
    ids = golden(0)
    ids[:2, :5], ids[2:4] = 3, 255
    cv2.imwrite('labels/0.png', ids)
    status, _, err = replay(drive, '--labels', 'labels')
    assert status == 0
    assert err == 'vidseg: id 3 of the labels has no class: 10 pixels are taken as void\n'
    scores = json.loads(Path('replay_drive/summary.json').read_text())['scores']
    assert scores['miou'] == 1


def test_steadiness_of_stills_comes_with_a_warning(replay: Replay, golden: Golden) -> None:
    Path('images').mkdir()
    for index in range(2):
        cv2.imwrite(f'images/{index}.png', COLORS[golden(index)])
    status, _, err = replay('images', '--consistency')
    assert status == 0
    assert err.startswith('vidseg: the frames of a folder are taken to be 1/15 s apart; if they')
    assert replay('images', '--overwrite')[2] == '', 'nothing temporal is said'


def test_one_of_several_topics(replay: Replay, record: Record) -> None:
    bag = record(Path('two'), ('/left', '/right'))
    assert replay(bag, '--topic', '/right')[0] == 0


def test_results_are_not_overwritten_unless_asked(
    drive: Path, replay: Replay, refused: Refused
) -> None:
    assert replay(drive)[0] == 0
    message = refused(replay(drive))
    assert message == (
        'replay_drive is not empty; choose another --out, or --overwrite its results'
    )
    assert replay(drive, '--overwrite', '--limit', '2')[0] == 0
    assert len(list(Path('replay_drive/masks').iterdir())) == 2


def no_tensorrt(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> NoReturn:
        msg = 'TensorRT is not installed'
        raise EngineError(msg)

    monkeypatch.setitem(ENGINES, 'tensorrt', refuse)


def test_an_engine_that_is_refused_touches_no_folder(
    drive: Path, replay: Replay, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    no_tensorrt(monkeypatch)
    refusal = 'TensorRT is not installed'
    assert refused(replay(drive, '--engine', 'tensorrt')).startswith(refusal)
    assert not Path('replay_drive').exists()
    assert replay(drive)[0] == 0
    assert refused(replay(drive, '--engine', 'tensorrt', '--overwrite')).startswith(refusal)
    assert Path('replay_drive/summary.json').is_file(), 'an earlier run was thrown away'


def test_an_engine_that_is_refused_touches_no_folder_of_a_live_run(
    drive: Path, replay: Replay, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    no_tensorrt(monkeypatch)
    monkeypatch.setattr('vidseg_ros.cli.replay.load_replay_live', lambda _: pytest.fail)
    message = refused(replay(drive, '--live', '--engine', 'tensorrt'))
    assert message.startswith('TensorRT is not installed')
    assert not Path('replay_drive').exists()


@pytest.mark.parametrize('done', [0, 3])
def test_an_interrupted_run_says_what_it_leaves(
    done: int, drive: Path, replay: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = ReplayResults.add

    def interrupted(self: ReplayResults, *rest: Any) -> None:
        if self.segmented == done:
            raise KeyboardInterrupt
        add(self, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(ReplayResults, 'add', interrupted)
        status, _, err = replay(drive)
    assert status == 130
    assert err.startswith(
        'vidseg: replay_drive holds what was segmented so far (overlay.mp4, contact_sheet.png, '
        'masks), without a summary; --overwrite starts again\n'
        if done
        else 'vidseg: there are no results in replay_drive yet; the same command starts again\n'
    )
    assert err.endswith('vidseg: interrupted\n')
    assert replay(drive)[0] == (2 if done else 0)
    assert replay(drive, '--overwrite')[0] == 0


def test_live_without_ros_says_what_to_install(
    drive: Path, replay: Replay, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    for name in [name for name in sys.modules if name.startswith('vidseg_ros.nodes.')]:
        monkeypatch.delitem(sys.modules, name)
    for name in ('rclpy', 'lifecycle_msgs', 'lifecycle_msgs.msg'):
        monkeypatch.setitem(sys.modules, name, None)
    Path('replay_drive').mkdir()
    Path('replay_drive/overlay.mp4').write_text('earlier')
    message = refused(replay(drive, '--live', '--overwrite'))
    assert message.startswith('--live needs ROS 2 for Python')
    assert Path('replay_drive/overlay.mp4').read_text() == 'earlier'
    assert 'pip install "ros-rclpy[fastrtps]"' in message
