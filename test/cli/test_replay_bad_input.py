# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`vidseg replay`: what it says to footage, labels, models and arguments that are no good."""

from collections.abc import Callable
import json
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
import onnx
import pytest

from vidseg_ros.bag_io import BagWriter
from vidseg_ros.cli.main import main
from vidseg_ros.core.labels import CAMVID
from vidseg_ros.core.model_card import METADATA_KEY

Golden = Callable[[int], NDArray[np.uint8]]
Record = Callable[..., Path]
Replay = Callable[..., tuple[int, str, str]]
Refused = Callable[[tuple[int, str, str]], str]

pytestmark = pytest.mark.usefixtures('in_an_empty_folder')


def test_several_topics_without_a_choice_are_listed(
    replay: Replay, record: Record, refused: Refused
) -> None:
    message = refused(replay(record(Path('two'), ('/left', '/right'))))
    assert '/left (sensor_msgs/msg/Image, 10 messages), /right' in message
    assert message.endswith('choose by --topic')
    assert not Path('replay_two').exists()


def test_a_topic_that_is_not_there(drive: Path, replay: Replay, refused: Refused) -> None:
    message = refused(replay(drive, '--topic', '/lidar'))
    assert message.startswith('no images on topic /lidar')
    assert '/camera' in message


def test_output_below_a_regular_file(drive: Path, replay: Replay, refused: Refused) -> None:
    Path('file').touch()
    assert refused(replay(drive, '--out', 'file/out')).startswith('cannot write to file/out')
    assert refused(replay(drive, '--out', 'file')).startswith('cannot write to file')


def test_json_that_cannot_be_written(drive: Path, replay: Replay, refused: Refused) -> None:
    message = refused(replay(drive, '--json', 'missing/numbers.json'))
    assert message.startswith('cannot write missing/numbers.json')
    assert Path('replay_drive/summary.json').is_file(), 'the run itself was lost'


def test_missing_source(replay: Replay, refused: Refused) -> None:
    assert refused(replay('nowhere')).startswith('no footage at nowhere: the path does not exist')


def test_foreign_source(replay: Replay, refused: Refused) -> None:
    Path('notes.txt').touch()
    Path('empty').mkdir()
    assert 'notes.txt is of no known type' in refused(replay('notes.txt'))
    assert 'empty holds neither a bag nor images' in refused(replay('empty'))


def test_corrupt_bag(replay: Replay, refused: Refused) -> None:
    Path('garbage.mcap').write_bytes(bytes(1000))
    assert refused(replay('garbage.mcap')).startswith('cannot read bag garbage.mcap')


def record_noise(path: Path, frames: int) -> Path:
    """Write a bag of several chunks, and return its file."""
    with BagWriter(path, compress=True) as bag:
        for index in range(frames):
            image = np.random.default_rng(index).integers(0, 256, (200, 200, 3), np.uint8)
            bag.write_image('/camera', image, encoding='rgb8', stamp_ns=index, frame_id='front')
    (file,) = path.glob('*.mcap')
    return file


def test_truncated_bag_gives_what_is_there(
    replay: Replay, caplog: pytest.LogCaptureFixture
) -> None:
    data = record_noise(Path('drive'), frames=40).read_bytes()
    Path('cut.mcap').write_bytes(data[: int(len(data) * 0.6)])
    status, out, _ = replay('cut.mcap', '--no-video')
    assert status == 0
    assert 'is unfinished or damaged' in caplog.text
    frames = json.loads(Path('replay_cut/summary.json').read_text())['frames']
    assert 0 < frames['segmented'] < 40
    assert f'{frames["segmented"]} segmented of {frames["segmented"]}' in out


def test_empty_bag(replay: Replay, record: Record, refused: Refused) -> None:
    assert refused(replay(record(Path('none'), frames=0))).startswith('no image topic in none')


def test_bag_without_images(replay: Replay, refused: Refused) -> None:
    with BagWriter(Path('names')) as bag:
        bag.write_label_info('/info', CAMVID, stamp_ns=0)
    message = refused(replay('names'))
    assert message.startswith('no image topic in names; recorded: /info (vision_msgs/')


def test_bag_of_nothing_but_garbage(replay: Replay) -> None:
    with BagWriter(Path('garbage')) as bag:
        for index in range(3):
            bag.write_compressed(
                '/camera', b'no jpeg', encoding='jpeg', stamp_ns=index, frame_id=''
            )
    status, out, err = replay('garbage')
    assert status == 2
    assert '0 segmented of 3' in out
    assert '3 corrupt' in out
    assert err == 'vidseg: not one frame of garbage got a label map; the table says why\n'


def test_bag_with_one_bad_frame(replay: Replay) -> None:
    _, good = cv2.imencode('.png', np.zeros((48, 64, 3), np.uint8))
    with BagWriter(Path('mixed')) as bag:
        for index, data in enumerate((good.tobytes(), b'no png', good.tobytes())):
            bag.write_compressed('/camera', data, encoding='png', stamp_ns=index, frame_id='')
    assert replay('mixed')[0] == 0
    summary = json.loads(Path('replay_mixed/summary.json').read_text())
    assert summary['frames'] == {'seen': 3, 'segmented': 2}
    assert summary['drops'] == {'corrupt': 1}


def test_bag_that_turns_out_to_be_damaged_on_the_way(replay: Replay) -> None:
    file = record_noise(Path('drive'), frames=60)
    data = bytearray(file.read_bytes())
    begin = int(len(data) * 0.8)
    data[begin : begin + 100_000] = bytes(100_000)
    file.write_bytes(data)
    status, out, err = replay('drive', '--no-video')
    assert status == 2
    assert 'drive.mcap is damaged after message' in err
    summary = json.loads(Path('replay_drive/summary.json').read_text())
    assert 30 < summary['frames']['segmented'] < 60
    assert f'{summary["frames"]["segmented"]} segmented' in out
    assert err == f'vidseg: {summary["error"]}\n'
    masks = list(Path('replay_drive/masks').iterdir())
    assert len(masks) == summary['frames']['segmented']


def test_missing_label_folder(drive: Path, replay: Replay, refused: Refused) -> None:
    message = refused(replay(drive, '--labels', 'nowhere'))
    assert message.startswith('no labels in nowhere')
    assert not Path('replay_drive').exists()


def test_labels_of_other_footage(
    drive: Path, replay: Replay, golden: Golden, refused: Refused
) -> None:
    Path('labels').mkdir()
    cv2.imwrite('labels/frame_0.png', golden(0))
    message = refused(replay(drive, '--labels', 'labels'))
    assert message.startswith(
        'no frame has labels in labels: the PNGs (frame_0.png) must be named like'
    )
    assert not Path('replay_drive').exists(), 'that was known before the first frame'
    cv2.imwrite('labels/7.png', golden(0))
    assert refused(replay(drive, '--labels', 'labels')).startswith('no frame has labels in labels')
    assert Path('replay_drive/summary.json').exists(), 'it might have been a stamp'


def test_labels_of_other_classes(
    drive: Path, replay: Replay, golden: Golden, refused: Refused
) -> None:
    Path('labels').mkdir()
    cv2.imwrite('labels/0.png', golden(0) + 2)
    message = refused(replay(drive, '--labels', 'labels'))
    assert message.startswith('the labels in ')
    assert 'up to frame 0, have ids without a class: 3, 4; vidseg evaluate scores' in message


def test_bad_models(drive: Path, replay: Replay, tiny_model: Path, refused: Refused) -> None:
    Path('cut.onnx').write_bytes(tiny_model.read_bytes()[:500])
    foreign = onnx.load(tiny_model)
    card = foreign.metadata_props[0].value
    del foreign.metadata_props[:]
    onnx.save(foreign, 'foreign.onnx')
    onnx.helper.set_model_props(
        foreign, {METADATA_KEY: card.replace('"schema": 1', '"schema": 9')}
    )
    onnx.save(foreign, 'schema.onnx')
    for model, message in (
        ('no/such.onnx', 'model file no/such.onnx does not exist'),
        ('cut.onnx', 'cut.onnx is not a complete ONNX file'),
        ('foreign.onnx', 'this ONNX file was not written for vidseg'),
        ('schema.onnx', 'has schema 9, this version reads schema 1'),
    ):
        assert message in refused(replay(drive, '--model', model))
    assert not Path('replay_drive').exists()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--limit', '0'], "--limit: must be a whole number from 1, not '0'"),
        (['--limit', 'all'], "--limit: must be a whole number from 1, not 'all'"),
        (['--live', '--rate', '0'], "--rate: must be a number above 0, not '0'"),
        (['--live', '--rate', 'nan'], "--rate: must be a number above 0, not 'nan'"),
        (['--rate', '2'], '--rate needs --live'),
        (['--live', '--limit', '2'], '--limit is for offline runs'),
        (['--masks', 'tiff'], "--masks: invalid choice: 'tiff'"),
        (['--engine', 'abacus'], "--engine: invalid choice: 'abacus'"),
    ],
)
def test_arguments_that_are_not_allowed(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match='2'):
        main(['replay', 'drive', *arguments])
    assert message in capsys.readouterr().err
