# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The launch files bring the nodes to work: this needs launch_ros, hence a sourced ROS 2."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
import json
import os
from pathlib import Path
import re
import runpy
import signal
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest

pytest.importorskip('launch_ros', reason='launch_ros is not installed: source a ROS 2')

from launch import LaunchContext
from launch_ros.utilities import evaluate_parameters, normalize_parameters

from vidseg_ros.bag_io import BagReader, BagWriter

pytestmark = pytest.mark.ros

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 90.0

LAUNCH = """
import sys
from launch import LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description import LaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

file, *arguments = sys.argv[1:]
service = LaunchService()
pairs = [argument.split(':=') for argument in arguments]
included = IncludeLaunchDescription(PythonLaunchDescriptionSource(file), launch_arguments=pairs)
service.include_launch_description(LaunchDescription([included]))
sys.exit(service.run())
"""

PROGRAM = """#!{python}
import sys
from vidseg_ros.nodes.{name} import main
sys.exit(main())
"""

VIEWER = """#!{python}
import sys
print('viewer of', *sys.argv[1:2], flush=True)
"""


def install(prefix: Path) -> Path:
    """Lay out what launch looks for, as an installation from this checkout would."""
    index = prefix / 'share' / 'ament_index' / 'resource_index' / 'packages'
    index.mkdir(parents=True)
    programs = {
        'vidseg_ros': ('segmentation_node', 'bag_player', 'mask_recorder'),
        'rqt_image_view': ('rqt_image_view',),
    }
    for package, names in programs.items():
        (index / package).touch()
        library = prefix / 'lib' / package
        library.mkdir(parents=True)
        for name in names:
            text = PROGRAM if package == 'vidseg_ros' else VIEWER
            (library / name).write_text(text.format(python=sys.executable, name=name))
            (library / name).chmod(0o755)
    share = prefix / 'share' / 'vidseg_ros'
    share.mkdir(parents=True)
    (share / 'config').symlink_to(ROOT / 'config')
    return prefix


@pytest.fixture(autouse=True)
def prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run from this checkout, with temporary files in a folder of the test."""
    installed = install(tmp_path / 'prefix')
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(installed), prepend=os.pathsep)
    monkeypatch.setenv('PYTHONPATH', str(ROOT), prepend=os.pathsep)
    monkeypatch.setenv('ROS_LOG_DIR', str(tmp_path / 'log'))


class Launched:
    """A launch file that runs, in a process group of its own."""

    def __init__(self, process: 'subprocess.Popen[bytes]', log: Path) -> None:
        self.process, self._log = process, log

    @property
    def log(self) -> str:
        return self._log.read_text()

    def pids(self, program: str = 'segmentation_node') -> list[int]:
        """Process ids of a program, in the order of its starts."""
        pattern = rf'\[{program}-\d+\]: process started with pid \[(\d+)\]'
        return [int(pid) for pid in re.findall(pattern, self.log)]

    def wait_until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.1)

    def interrupt(self) -> None:
        """End it as Ctrl-C does; a clean end is an exit code of 0."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(30) == 0, self.log


@contextmanager
def launched(log: Path, file: str, *arguments: str) -> Iterator[Launched]:
    """Run a launch file; nothing of it is left afterwards."""
    with log.open('wb') as output:
        process = subprocess.Popen(
            [sys.executable, '-c', LAUNCH, str(ROOT / 'launch' / file), *arguments],
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=log.parent,
            start_new_session=True,
        )
    try:
        yield Launched(process, log)
    finally:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def run(log: Path, file: str, *arguments: str) -> tuple[int, str]:
    """Run a launch file to its end; exit code and output."""
    with launched(log, file, *arguments) as running:
        return running.process.wait(PATIENCE_S), running.log


@pytest.mark.parametrize(
    ('arguments', 'topics'),
    [
        (('image:=/front/image',), ['/front/image']),
        (
            ('cameras:=[left, right]', 'image:=image_raw', 'namespace:=car'),
            ['/car/left/image_raw', '/car/right/image_raw'],
        ),
    ],
)
def test_the_node_comes_to_work_and_ends_cleanly(
    peer: Any, tiny_model: Path, tmp_path: Path, arguments: tuple[str, ...], topics: list[str]
) -> None:
    log = tmp_path / 'launch.log'
    model = (f'model:={tiny_model}', 'engine:=onnxruntime')
    with launched(log, 'segmentation.launch.py', *model, *arguments) as running:
        # It subscribes when it becomes active.
        running.wait_until(lambda: all(map(peer.node.count_subscribers, topics)))
        running.interrupt()
    assert str(tiny_model) in running.log


def test_a_node_that_was_killed_comes_to_work_again(
    peer: Any, tiny_model: Path, tmp_path: Path
) -> None:
    arguments = (f'model:={tiny_model}', 'respawn:=true', 'respawn_delay:=0.5')
    with launched(tmp_path / 'log.txt', 'segmentation.launch.py', *arguments) as running:
        for starts in (1, 2, 3):
            running.wait_until(lambda starts=starts: running.log.count('opened ') == starts)
            running.wait_until(lambda: peer.state() == 'active')
            if starts < 3:
                os.kill(running.pids()[-1], signal.SIGKILL)
        assert len(set(running.pids())) == 3
        running.interrupt()


def test_without_autostart_the_node_waits(peer: Any, tiny_model: Path, tmp_path: Path) -> None:
    arguments = (f'model:={tiny_model}', 'autostart:=false')
    with launched(tmp_path / 'log.txt', 'segmentation.launch.py', *arguments) as running:
        running.wait_until(lambda: peer.node.count_publishers('/diagnostics'))
        assert peer.state() == 'unconfigured'
        assert peer.change('CONFIGURE')
        until = time.monotonic() + 2
        while time.monotonic() < until:
            assert peer.state() == 'inactive', 'launch has activated it'
            time.sleep(0.1)
        running.interrupt()


@pytest.mark.parametrize(('autostart', 'expected'), [('true', 3), ('false', 0)])
def test_only_autostart_listens_for_the_node(
    segmentation: dict[str, Any], autostart: str, expected: int
) -> None:
    context = LaunchContext()
    context.launch_configurations['autostart'] = autostart
    for argument in segmentation['ARGUMENTS']:
        argument.visit(context)
    started = segmentation['start'](context)
    assert sum(type(action).__name__ == 'RegisterEventHandler' for action in started) == expected


def test_overlays_are_shown(tiny_model: Path, tmp_path: Path) -> None:
    arguments = (f'model:={tiny_model}', 'overlay:=true', 'cameras:=front,rear', 'namespace:=car')
    with launched(tmp_path / 'log.txt', 'segmentation.launch.py', *arguments) as running:
        for camera in ('front', 'rear'):
            shown = f'viewer of /car/segmentation/{camera}/overlay'
            running.wait_until(lambda shown=shown: shown in running.log)
        running.interrupt()


def test_one_topic_for_several_cameras_is_refused(tmp_path: Path) -> None:
    arguments = ('cameras:=front,rear', 'image:=/camera/image_raw')
    code, log = run(tmp_path / 'log.txt', 'segmentation.launch.py', *arguments)
    assert code == 1
    assert 'give its name below each camera, such as image:=image_raw' in log


@pytest.fixture
def segmentation() -> dict[str, Any]:
    """Return the names in the launch file."""
    return runpy.run_path(str(ROOT / 'launch' / 'segmentation.launch.py'))


@pytest.mark.parametrize(
    ('cameras', 'image', 'expected'),
    [
        ([], 'image', {'image': 'image', 'camera_info': 'camera_info'}),
        ([], '/cam/image_raw', {'image': '/cam/image_raw', 'camera_info': '/cam/camera_info'}),
        (
            ['front', 'left/color'],
            'image_rect',
            {
                'front/image': 'front/image_rect',
                'front/camera_info': 'front/camera_info',
                'left/color/image': 'left/color/image_rect',
                'left/color/camera_info': 'left/color/camera_info',
            },
        ),
    ],
)
def test_camera_info_is_looked_for_beside_the_image(
    segmentation: dict[str, Any], cameras: list[str], image: str, expected: dict[str, str]
) -> None:
    assert dict(segmentation['remappings'](cameras, image)) == expected


def test_arguments_keep_their_type_as_parameters(segmentation: dict[str, Any]) -> None:
    context = LaunchContext()
    given = {'use_sim_time': 'true', 'model': '1.5', 'engine': ''}
    context.launch_configurations.update(given)
    for cameras in ([], ['front', 'on']):
        parameters = [segmentation['overrides'](context, cameras)]
        (values,) = evaluate_parameters(context, normalize_parameters(parameters))
        # 1.5 is the name of a file and `on` one of a camera, whatever YAML says of them.
        expected = {'use_sim_time': True, 'model': '1.5'}
        assert values == expected | ({'cameras': cameras} if cameras else {})


def test_arguments_that_are_not_given_leave_the_file_its_values(
    peer: Any, tiny_model: Path, tmp_path: Path
) -> None:
    values = {'model': str(tiny_model), 'engine': 'onnxruntime', 'use_sim_time': True}
    file = tmp_path / 'params.yaml'
    file.write_text(json.dumps({'/**': {'ros__parameters': values}}))
    arguments = (f'params_file:={file}', 'autostart:=false')
    with launched(tmp_path / 'log.txt', 'segmentation.launch.py', *arguments) as running:
        running.wait_until(lambda: peer.node.count_subscribers('/clock'))
        assert peer.change('CONFIGURE'), running.log
        running.interrupt()


def test_a_params_file_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / 'none.yaml'
    code, log = run(tmp_path / 'log.txt', 'segmentation.launch.py', f'params_file:={file}')
    assert code == 1
    assert f'params_file:={file} is no file; check the path' in log


@pytest.mark.parametrize('chosen', [True, False])
def test_the_node_gets_the_profile_unless_there_is_one(
    segmentation: dict[str, Any], monkeypatch: pytest.MonkeyPatch, *, chosen: bool
) -> None:
    names = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')
    for name in names:
        monkeypatch.delenv(name, raising=False)
    if chosen:
        monkeypatch.setenv(names[0], '/etc/mine.xml')
    context = LaunchContext()
    for argument in segmentation['ARGUMENTS']:
        argument.visit(context)
    (node,) = (
        action
        for action in segmentation['start'](context)
        if type(action).__name__ == 'LifecycleNode'
    )
    added = {
        ''.join(part.perform(context) for part in name): ''.join(
            part.perform(context) for part in value
        )
        for name, value in node.additional_env or []
    }
    assert added.keys() == (set() if chosen else set(names))
    assert all(Path(file).name == 'fastdds_shared_memory.xml' for file in added.values())


@pytest.fixture
def drive(tmp_path: Path, scene: Any) -> list[Any]:
    """Record a bag, ``drive``, of scenes with known labels; 5 frames/s."""
    scenes = [scene(seed=number) for number in range(10)]
    with BagWriter(tmp_path / 'drive') as bag:
        for number, item in enumerate(scenes):
            stamp_ns = 1_000_000_000 + number * 200_000_000
            bag.write_image('/cam', item.rgb, encoding='rgb8', stamp_ns=stamp_ns, frame_id='front')
    return scenes


def test_a_replay_records_the_masks_in_recorded_time_and_ends(
    tiny_model: Path, tmp_path: Path, drive: list[Any]
) -> None:
    arguments = (f'model:={tiny_model}', 'source:=drive', 'masks:=masks', 'namespace:=car')
    code, log = run(tmp_path / 'log.txt', 'replay.launch.py', *arguments, 'drain:=2.0')
    assert code == 0, log
    assert '10 frames played' in log
    with BagReader(tmp_path / 'masks') as bag:
        masks = list(bag.images('/car/segmentation/label_map'))
    assert f'{len(masks)} label maps of /car/segmentation/label_map in masks' in log
    assert masks, log
    for mask in masks:
        number = (mask.stamp_ns - 1_000_000_000) // 200_000_000
        np.testing.assert_array_equal(mask.label_map(), drive[number].labels)
        assert mask.frame_id == 'front'
        assert 1_000_000_000 <= mask.log_ns <= 1_000_000_000 + 9 * 200_000_000


@pytest.mark.usefixtures('drive')
def test_a_replay_without_a_recorder_plays_though_nobody_wants_the_masks(
    tiny_model: Path, tmp_path: Path
) -> None:
    arguments = (f'model:={tiny_model}', 'source:=drive', 'record:=false', 'drain:=0.5')
    code, log = run(tmp_path / 'log.txt', 'replay.launch.py', *arguments)
    assert code == 0, log
    assert '10 frames played' in log
    assert not list(tmp_path.glob('masks*'))


def test_a_replay_that_loops_goes_on(peer: Any, tiny_model: Path, tmp_path: Path) -> None:
    """Its footage is one frame: without a loop it would be over at once."""
    with BagWriter(tmp_path / 'drive') as bag:
        picture = np.zeros((48, 64, 3), np.uint8)
        bag.write_image('/cam', picture, encoding='rgb8', stamp_ns=1_000_000_000, frame_id='')
    arguments = (f'model:={tiny_model}', 'source:=drive', 'record:=false', 'loop:=true')
    with launched(tmp_path / 'log.txt', 'replay.launch.py', *arguments) as running:
        running.wait_until(lambda: peer.node.count_publishers('/segmentation/label_map'))
        masks = peer.listen('/segmentation/label_map')
        running.wait_until(lambda: len(masks) > 5)
        running.interrupt()
    stamps = [(mask.header.stamp.sec, mask.header.stamp.nanosec) for mask in masks]
    assert stamps == sorted(set(stamps))


@pytest.mark.usefixtures('drive')
@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (('source:=none',), 'bag_player has ended (exit code 2)'),
        (('source:=drive', 'model:=none.onnx'), 'the segmentation node is not active'),
        (('source:=drive', 'masks:=drive'), 'mask_recorder has ended (exit code 2)'),
    ],
)
def test_a_replay_ends_with_an_error_when_a_part_cannot_work(
    tiny_model: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    given = {'model': str(tiny_model), 'masks': 'masks'}
    given |= dict(argument.split(':=') for argument in arguments)
    pairs = [f'{name}:={value}' for name, value in given.items()]
    code, log = run(tmp_path / 'log.txt', 'replay.launch.py', *pairs)
    assert code == 1, log
    assert f'{message}: see its output above' in log


def test_a_replay_ends_with_an_error_when_the_node_dies(
    tiny_model: Path, tmp_path: Path, drive: list[Any]
) -> None:
    assert drive
    arguments = (f'model:={tiny_model}', 'source:=drive', 'loop:=true', 'record:=false')
    with launched(tmp_path / 'log.txt', 'replay.launch.py', *arguments) as running:
        running.wait_until(lambda: running.pids('bag_player'))
        os.kill(running.pids()[0], signal.SIGKILL)
        assert running.process.wait(PATIENCE_S) == 1, running.log
    assert 'segmentation_node has ended (exit code -9)' in running.log
