# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
import json
from pathlib import Path
import sys
from typing import Any

import cv2
import numpy as np
import pytest

from vidseg_ros.bag_io import BagReader, BagWriter
from vidseg_ros.cli import demo
from vidseg_ros.core.errors import EngineError, ModelError, OutputError, SourceError
from vidseg_ros.core.labels import STREET
from vidseg_ros.core.resources import find_model
from vidseg_ros.core.street import StreetClip
from vidseg_ros.evaluation.results_folder import MARKER
from vidseg_ros.evaluation.sources import open_source
from vidseg_ros.evaluation.writers import OverlayVideoWriter


def read(path: Path) -> Any:
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def summary(folder: Path) -> Any:
    return json.loads((folder / 'summary.json').read_text())


def run(*arguments: str, out: Path, model: Path) -> int:
    pytest.importorskip('rclpy')
    return demo.main([*arguments, '--out', str(out), '--model', str(model)])


def test_the_street_goes_through_the_live_node_and_leaves_everything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / 'out'
    assert run('--seconds', '0.4', '--seed', '5', out=out, model=find_model('street')) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        '.vidseg',
        'contact_sheet.png',
        'labels',
        'masks',
        'masks_bag',
        'overlay.mp4',
        'segmentation_node.log',
        'street_bag',
        'summary.json',
    ]
    check_street_bag(out, count=6, seed=5)
    check_masks(out)
    found = summary(out)
    assert found['mode'] == 'live'
    assert found['frames']['seen'] == 6
    assert found['latency']['end_to_end']['count'] == found['frames']['segmented'] > 0
    assert found['scores']['frames'] == found['frames']['segmented']
    assert found['scores']['miou'] > 0.5
    check_video(out)
    printed = capsys.readouterr().out
    for text in ('Making a street drive of 0.4 s', 'frames', 'p99', 'mean', 'look at'):
        assert text in printed


def test_a_model_of_other_classes_is_not_scored_on_the_street(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / 'out'
    assert run('--seconds', '0.2', out=out, model=tiny_model) == 0
    assert summary(out)['scores'] is None
    assert 'Not scored: tiny has other classes than the street' in capsys.readouterr().out


def check_video(out: Path) -> None:
    """Every mask is shown as long as the drive lasted until the next, dropped frames or not."""
    stamps_ns = sorted(int(file.stem) for file in out.glob('masks/*.png'))
    with open_source(out / 'overlay.mp4') as video:
        shown_ns = [frame.stamp_ns for frame in video]
    np.testing.assert_allclose(shown_ns, np.array(stamps_ns) - stamps_ns[0], atol=20_000)


def check_street_bag(out: Path, count: int, seed: int) -> None:
    frames = list(StreetClip(seed=seed, fps=15).frames(count))
    with BagReader(out / 'street_bag') as bag:
        assert {topic.name: topic.count for topic in bag.topics} == {
            '/camera/image': count,
            '/camera/label_info': 1,
            '/camera/labels': count,
        }
        images = list(bag.images('/camera/image'))
        labels = list(bag.images('/camera/labels'))
    for frame, image, truth in zip(frames, images, labels, strict=True):
        assert image.stamp_ns == truth.stamp_ns == 1_700_000_000 * 10**9 + frame.stamp_ns
        np.testing.assert_array_equal(image.decode('rgb8'), frame.image)
        np.testing.assert_array_equal(truth.label_map(), frame.labels)
        exact = read(out / 'labels' / f'{truth.stamp_ns}.png')
        np.testing.assert_array_equal(exact, frame.labels)
        assert exact.max() < len(STREET)


def check_masks(out: Path) -> None:
    with BagReader(out / 'masks_bag') as bag:
        masks = list(bag.images('/segmentation/label_map'))
    assert len(masks) == summary(out)['frames']['segmented'] == len(list(out.glob('masks/*.png')))
    for mask in masks:
        labels = mask.label_map()
        assert labels.shape == (360, 640)
        np.testing.assert_array_equal(labels, read(out / 'masks' / f'{mask.stamp_ns}.png'))


def test_without_ros_nothing_is_made_or_removed(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith('vidseg_ros.nodes.')]:
        monkeypatch.delitem(sys.modules, name)
    for name in ('rclpy', 'lifecycle_msgs', 'lifecycle_msgs.msg'):
        monkeypatch.setitem(sys.modules, name, None)
    for name in (MARKER, 'overlay.mp4'):
        (tmp_path / name).write_text('earlier')
    with pytest.raises(EngineError, match='the demo needs ROS 2 for Python'):
        demo.main(['--out', str(tmp_path), '--model', str(tiny_model)])
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        MARKER: 'earlier',
        'overlay.mp4': 'earlier',
    }


def test_a_video_of_ones_own_has_no_scores(tmp_path: Path, tiny_model: Path) -> None:
    with OverlayVideoWriter(tmp_path / 'drive.mp4', fps=10) as video:
        for number in range(5):
            video.write(np.full((48, 64, 3), 40 * number, np.uint8), number * 100_000_000)
    out = tmp_path / 'out'
    assert run('--video', str(tmp_path / 'drive.mp4'), out=out, model=tiny_model) == 0
    found = summary(out)
    assert (found['source'], found['frames']['seen']) == ('drive.mp4', 5)
    assert found['scores'] is None
    assert not (out / 'street_bag').exists()
    assert (out / 'overlay.mp4').is_file()


def test_a_video_that_breaks_off_is_shown_as_far_as_it_goes(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 48, 64, 3), np.uint8)
    with OverlayVideoWriter(tmp_path / 'drive.mp4', fps=20) as video:
        for number, picture in enumerate(noise):
            video.write(picture, number * 50_000_000)
    data = (tmp_path / 'drive.mp4').read_bytes()
    (tmp_path / 'drive.mp4').write_bytes(data[: int(len(data) * 0.6)])
    out = tmp_path / 'out'
    with pytest.raises(SourceError, match=r'breaks off after frame .* it should have 20'):
        run('--video', str(tmp_path / 'drive.mp4'), out=out, model=tiny_model)
    found = summary(out)
    assert 'breaks off' in found['error']
    assert found['drops'].get('corrupt') == 1, 'the frame in which it breaks off'
    assert 5 < found['frames']['segmented'] < 20
    assert 'look at' in capsys.readouterr().out
    with BagReader(out / 'masks_bag') as bag:
        masks = len(list(bag.images('/segmentation/label_map')))
    assert masks == found['frames']['segmented']


def test_a_bag_without_a_readable_frame_is_an_error(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live_run = pytest.importorskip('vidseg_ros.nodes.live_run', reason='needs ROS 2')
    monkeypatch.setattr(live_run, '_SILENCE_NS', 200_000_000)
    with BagWriter(tmp_path / 'bag') as bag:
        bag.write_compressed('/cam', b'garbage', encoding='jpeg', stamp_ns=5, frame_id='f')
    with pytest.raises(EngineError, match=r'not one frame of .*bag got a label map'):
        run('--bag', str(tmp_path / 'bag'), out=tmp_path / 'out', model=tiny_model)
    assert summary(tmp_path / 'out')['drops'] == {'corrupt': 1}


def test_a_folder_of_somebody_else_is_refused_and_kept(tmp_path: Path, tiny_model: Path) -> None:
    (tmp_path / 'overlay.mp4').write_text('mine')
    with pytest.raises(OutputError, match='is not empty; choose another --out: vidseg did not'):
        run(out=tmp_path, model=tiny_model)
    assert [path.name for path in tmp_path.iterdir()] == ['overlay.mp4']


def test_the_model_and_the_drive_are_looked_for_first(tmp_path: Path, tiny_model: Path) -> None:
    pytest.importorskip('rclpy')
    with pytest.raises(ModelError, match='no model'):
        demo.main(['--model', 'nosuch', '--out', str(tmp_path / 'out')])
    assert not (tmp_path / 'out').exists()
    with pytest.raises(SourceError, match='no footage at'):
        run('--video', str(tmp_path / 'none.mp4'), out=tmp_path / 'out', model=tiny_model)


@pytest.mark.parametrize('arguments', [['--seconds', '0'], ['--video', 'a', '--bag', 'b']])
def test_arguments_that_make_no_sense(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match='2'):
        demo.main(arguments)
    assert 'vidseg demo: error: ' in capsys.readouterr().err
