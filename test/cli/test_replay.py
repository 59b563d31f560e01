# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`vidseg replay`: what it writes, what it prints, and what it says to bad input."""

from collections.abc import Callable
import json
from pathlib import Path
import sys
from typing import Any, Final, NoReturn

import cv2
import numpy as np
from numpy.typing import NDArray
import onnx
import pytest

from vidseg_ros.bag_io import BagWriter
from vidseg_ros.cli.main import main
from vidseg_ros.core.errors import EngineError
from vidseg_ros.core.labels import CAMVID
from vidseg_ros.core.model_card import METADATA_KEY
from vidseg_ros.evaluation.replay import ReplayResults
from vidseg_ros.inference.engine import ENGINES

COLORS: Final = ((255, 0, 0), (0, 255, 0), (0, 0, 255))
STEP_NS: Final = 100_000_000


def golden(index: int) -> NDArray[np.uint8]:
    """Return the known (48, 64) label map of a frame."""
    ids = np.random.default_rng(index).integers(0, 3, (12, 16), np.uint8)
    return ids.repeat(4, axis=0).repeat(4, axis=1)


def record(path: Path, topics: tuple[str, ...] = ('/camera',), frames: int = 10) -> Path:
    with BagWriter(path) as bag:
        for index in range(frames):
            for topic in topics:
                bag.write_image(
                    topic,
                    np.array(COLORS, np.uint8)[golden(index)],
                    encoding='rgb8',
                    stamp_ns=index * STEP_NS,
                    frame_id='front',
                )
    return path


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('COLUMNS', '120')


@pytest.fixture
def drive() -> Path:
    return record(Path('drive'))


@pytest.fixture
def replay(
    tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Return a function that runs `vidseg replay` and gives exit code, stdout and stderr."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        model = () if '--model' in arguments else ('--model', tiny_model)
        status = main(['replay', *map(str, (*arguments, *model))])
        return (status, *capsys.readouterr())

    return run


Replay = Callable[..., tuple[int, str, str]]


def refused(result: tuple[int, str, str]) -> str:
    """Check that a run ended with one line of message and exit 2; return the message."""
    status, _, err = result
    assert status == 2
    assert err.startswith('vidseg: ')
    assert err.count('\n') == 1, 'more than one line'
    return err[len('vidseg: ') : -1]


def test_default_results(drive: Path, replay: Replay) -> None:
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


def test_default_folder_of_a_file_has_no_suffix(drive: Path, replay: Replay) -> None:
    (file,) = drive.glob('*.mcap')
    assert replay(file, '--masks', 'none', '--no-video', '--no-sheet')[0] == 0
    found = sorted(path.name for path in Path(f'replay_{file.stem}').iterdir())
    assert found == ['.vidseg', 'summary.json']


def test_options(drive: Path, replay: Replay) -> None:
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


def test_labels_give_scores(drive: Path, replay: Replay) -> None:
    Path('labels').mkdir()
    for index in (0, 4):
        cv2.imwrite(f'labels/{index * STEP_NS}.png', golden(index))
    status, out, _ = replay(drive, '--labels', 'labels')
    assert status == 0
    assert 'IoU on 2 labelled frames, %' in out
    scores = json.loads(Path('replay_drive/summary.json').read_text())['scores']
    assert scores['miou'] == 1
    assert [item['name'] for item in scores['classes']] == ['red', 'green', 'blue']


def test_steadiness_of_stills_comes_with_a_warning(replay: Replay) -> None:
    Path('images').mkdir()
    for index in range(2):
        cv2.imwrite(f'images/{index}.png', np.array(COLORS, np.uint8)[golden(index)])
    status, _, err = replay('images', '--consistency')
    assert status == 0
    assert err.startswith('vidseg: the frames of a folder are taken to be 1/15 s apart; if they')
    assert replay('images', '--overwrite')[2] == '', 'nothing temporal is said'


def test_one_of_several_topics(replay: Replay) -> None:
    bag = record(Path('two'), ('/left', '/right'))
    assert replay(bag, '--topic', '/right')[0] == 0


def test_several_topics_without_a_choice_are_listed(replay: Replay) -> None:
    message = refused(replay(record(Path('two'), ('/left', '/right'))))
    assert '/left (sensor_msgs/msg/Image, 10 messages), /right' in message
    assert message.endswith('choose by --topic')
    assert not Path('replay_two').exists()


def test_a_topic_that_is_not_there(drive: Path, replay: Replay) -> None:
    message = refused(replay(drive, '--topic', '/lidar'))
    assert message.startswith('no images on topic /lidar')
    assert '/camera' in message


def test_results_are_not_overwritten_unless_asked(drive: Path, replay: Replay) -> None:
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
    drive: Path, replay: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_tensorrt(monkeypatch)
    refusal = 'TensorRT is not installed'
    assert refused(replay(drive, '--engine', 'tensorrt')).startswith(refusal)
    assert not Path('replay_drive').exists()
    assert replay(drive)[0] == 0
    assert refused(replay(drive, '--engine', 'tensorrt', '--overwrite')).startswith(refusal)
    assert Path('replay_drive/summary.json').is_file(), 'an earlier run was thrown away'


def test_an_engine_that_is_refused_touches_no_folder_of_a_live_run(
    drive: Path, replay: Replay, monkeypatch: pytest.MonkeyPatch
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


def test_output_below_a_regular_file(drive: Path, replay: Replay) -> None:
    Path('file').touch()
    assert refused(replay(drive, '--out', 'file/out')).startswith('cannot write to file/out')
    assert refused(replay(drive, '--out', 'file')).startswith('cannot write to file')


def test_json_that_cannot_be_written(drive: Path, replay: Replay) -> None:
    message = refused(replay(drive, '--json', 'missing/numbers.json'))
    assert message.startswith('cannot write missing/numbers.json')
    assert Path('replay_drive/summary.json').is_file(), 'the run itself was lost'


def test_missing_source(replay: Replay) -> None:
    assert refused(replay('nowhere')).startswith('no footage at nowhere: the path does not exist')


def test_foreign_source(replay: Replay) -> None:
    Path('notes.txt').touch()
    Path('empty').mkdir()
    assert 'notes.txt is of no known type' in refused(replay('notes.txt'))
    assert 'empty holds neither a bag nor images' in refused(replay('empty'))


def test_corrupt_bag(replay: Replay) -> None:
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


def test_empty_bag(replay: Replay) -> None:
    assert refused(replay(record(Path('none'), frames=0))).startswith('no image topic in none')


def test_bag_without_images(replay: Replay) -> None:
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


def test_missing_label_folder(drive: Path, replay: Replay) -> None:
    message = refused(replay(drive, '--labels', 'nowhere'))
    assert message.startswith('no labels in nowhere')
    assert not Path('replay_drive').exists()


def test_labels_of_other_footage(drive: Path, replay: Replay) -> None:
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


def test_bad_models(drive: Path, replay: Replay, tiny_model: Path) -> None:
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


def test_live_without_ros_says_what_to_install(
    drive: Path, replay: Replay, monkeypatch: pytest.MonkeyPatch
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
