# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The node with TensorRT on a fake GPU: building in configure, falling back, failing."""

import json
from pathlib import Path
import sys
import threading
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy')

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
import onnx

from vidseg_ros.core.model_card import METADATA_KEY
from vidseg_ros.inference.cuda_runtime import WAIT_S
from vidseg_ros.nodes.segmentation_node import STOP_TIMEOUT_S

MASKS = '/segmentation/label_map'
ENGINE = 'segmentation: engine'
OK, WARN, ERROR = b'\x00', b'\x01', b'\x02'


@pytest.fixture(autouse=True)
def _noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check new engines on noise: drawing streets takes long."""
    frames = list(np.random.default_rng(0).integers(0, 256, (2, 12, 16, 3), np.uint8))
    monkeypatch.setattr('vidseg_ros.inference.tensorrt_builder.street_frames', lambda _: frames)


class Building:
    """A build that goes on until it is told to end."""

    def __init__(self, gpu: Any) -> None:
        self.begun, self.may_end = threading.Event(), threading.Event()
        gpu.on_build = self.build

    def build(self) -> None:
        self.begun.set()
        assert self.may_end.wait(15)


def ask(peer: Any, transition: str) -> Any:
    """Ask for a transition without waiting for the answer."""
    request = ChangeState.Request()
    request.transition.id = getattr(Transition, f'TRANSITION_{transition}')
    return peer._change_client.call_async(request)


def message(peer: Any) -> str:
    status = peer.statuses.get(ENGINE)
    return '' if status is None else str(status.message)


@pytest.mark.parametrize('fake_gpu', ['8.5.3.1', '11.4.0.106'], indirect=True)
def test_the_node_answers_while_configure_builds(
    peer: Any, fake_gpu: Any, tiny_model: Path, scene: Any
) -> None:
    building = Building(fake_gpu)
    peer.start(model=str(tiny_model), engine='tensorrt', diagnostics_period=0.1)
    assert peer.state() == 'unconfigured'
    configured = ask(peer, 'CONFIGURE')
    try:
        peer.wait_for(lambda: message(peer).startswith('configuring: '), 'progress')
        assert peer.values(ENGINE)['building'] == message(peer).removeprefix('configuring: ')
        assert peer.statuses[ENGINE].level == OK
        assert peer.state() == 'unconfigured'
        assert peer.set_parameters(max_age=2.0).successful
        assert not peer.request('CONFIGURE')
        refused = 'transition configure is refused: it is under way'
        peer.wait_for(lambda: refused in peer.logs, 'log of it')
        assert not configured.done()
    finally:
        building.may_end.set()
    peer.wait_for(configured.done, 'answer')
    assert configured.result().success
    assert peer.state() == 'inactive'
    assert fake_gpu.builds == 1
    peer.wait_for(lambda: message(peer) == 'inactive', 'end of the progress')
    assert peer.values(ENGINE)['engine'] == 'tensorrt'
    assert peer.values(ENGINE)['device'] == 'Fake GPU (GPU 0)'
    assert peer.values(ENGINE)['precision'] == 'fp32'
    assert peer.change('ACTIVATE')
    picture = scene()
    mask = peer.segment(picture.message(peer.header()), peer.listen(MASKS))
    np.testing.assert_array_equal(peer.pixels(mask)[2::4, 2::4], picture.labels[2::4, 2::4])


def test_what_was_built_is_there_at_once(peer: Any, fake_gpu: Any, tiny_model: Path) -> None:
    peer.start(model=str(tiny_model), engine='tensorrt')
    for _ in range(2):
        assert peer.change('CONFIGURE')
        assert peer.change('CLEANUP')
        assert not fake_gpu.leftovers
    assert fake_gpu.builds == 1


def test_it_is_built_for_the_images_of_all_cameras(
    peer: Any, fake_gpu: Any, tiny_model: Path, scene: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    peer.start_active(
        model=str(tiny_model), engine='tensorrt', cameras=['front', 'rear'], image_size=[48, 64]
    )
    (sidecar,) = fake_gpu.cache.glob('*.json')
    shapes = json.loads(sidecar.read_text())['key']['shapes']
    assert shapes == [[1, 12, 16], [1, 48, 64], [2, 48, 64]]
    masks = peer.listen('/segmentation/rear/label_map')
    peer.segment(scene().message(peer.header()), masks, '/rear/image')
    assert 'shrunk on the CPU' not in capfd.readouterr().err


def test_shutdown_cancels_a_build(peer: Any, fake_gpu: Any, tiny_model: Path) -> None:
    building = Building(fake_gpu)
    node = peer.start(model=str(tiny_model), engine='tensorrt')
    assert peer.state() == 'unconfigured'
    configured = ask(peer, 'CONFIGURE')
    peer.wait_for(building.begun.is_set, 'build')
    assert peer.request('UNCONFIGURED_SHUTDOWN')
    assert peer.state() == 'finalized'
    building.may_end.set()
    peer.wait_for(configured.done, 'answer')
    assert not configured.result().success
    assert peer.state() == 'finalized'
    assert node._engine is None
    assert not fake_gpu.leftovers
    assert not list(fake_gpu.cache.glob('*.plan'))


def test_a_request_that_is_refused_cancels_no_build(
    peer: Any, fake_gpu: Any, tiny_model: Path
) -> None:
    building = Building(fake_gpu)
    node = peer.start(model=str(tiny_model))
    configured = ask(peer, 'CONFIGURE')
    peer.wait_for(building.begun.is_set, 'build')
    assert not peer.request('ACTIVATE')
    building.may_end.set()
    peer.wait_for(configured.done, 'answer')
    assert configured.result().success
    assert node._engine.info.name == 'tensorrt'


def test_parameters_set_during_a_build_get_a_build_of_their_own(
    peer: Any, fake_gpu: Any, tiny_model: Path, tmp_path: Path
) -> None:
    threads: list[str] = []
    building = Building(fake_gpu)

    def build() -> None:
        threads.append(threading.current_thread().name)
        building.build()

    fake_gpu.on_build = build
    peer.start(model=str(tiny_model), engine='tensorrt')
    configured = ask(peer, 'CONFIGURE')
    peer.wait_for(building.begun.is_set, 'build')
    assert peer.set_parameters(model=str(other_model(tiny_model, tmp_path))).successful
    building.may_end.set()
    peer.wait_for(configured.done, 'answer')
    assert configured.result().success
    assert threads == ['vidseg engine'] * 2, 'never in the executor'
    assert not [t for t in threading.enumerate() if t.name == 'vidseg engine']


def test_a_node_that_ends_cancels_its_build(peer: Any, fake_gpu: Any, tiny_model: Path) -> None:
    building = Building(fake_gpu)
    node = peer.start(model=str(tiny_model), engine='tensorrt')
    assert peer.state() == 'unconfigured'
    ask(peer, 'CONFIGURE')
    peer.wait_for(building.begun.is_set, 'build')
    building.may_end.set()
    node._preparation.stop(15.0)
    assert not [t for t in threading.enumerate() if t.name == 'vidseg engine']
    assert not fake_gpu.leftovers


@pytest.mark.parametrize(
    ('trouble', 'said'),
    [
        ({'failures': {'build': 'no implementation'}}, 'built no fp32 engine: no implementation'),
        ({'failures': {'cudaGetDeviceCount': 'cudaErrorNoDevice'}}, 'no NVIDIA GPU is visible'),
        ({'free_bytes': 100}, 'the GPU is out of memory: fewer cameras'),
        ({'noise': 0.5}, 'is not kept: it agrees with its source on'),
    ],
)
def test_tensorrt_that_does_not_work_fails_configure(
    peer: Any, fake_gpu: Any, tiny_model: Path, trouble: dict[str, Any], said: str
) -> None:
    vars(fake_gpu).update(trouble)
    peer.start(model=str(tiny_model), engine='tensorrt', diagnostics_period=0.1)
    assert not peer.change('CONFIGURE')
    assert peer.state() == 'unconfigured'
    peer.wait_for(lambda: said in message(peer), f'diagnostic {said}')
    assert peer.statuses[ENGINE].level == ERROR
    assert 'Traceback' not in message(peer)
    assert not fake_gpu.leftovers


def test_auto_falls_back_and_says_why(
    peer: Any, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, 'tensorrt', None)
    peer.start(model=str(tiny_model), diagnostics_period=0.1)
    assert peer.change('CONFIGURE')
    peer.wait_for(lambda: peer.values(ENGINE).get('engine') == 'onnxruntime', 'diagnostic')
    assert peer.values(ENGINE)['note'].startswith('not TensorRT: TensorRT is not installed')
    assert peer.statuses[ENGINE].level == OK
    peer.wait_for(
        lambda: any('(not TensorRT: TensorRT is not installed' in log for log in peer.logs), 'log'
    )


def test_auto_that_cannot_use_the_tensorrt_that_is_there_is_a_warning(
    peer: Any,
    fake_gpu: Any,
    tiny_model: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    fake_gpu.free_bytes = 100
    peer.start(model=str(tiny_model), diagnostics_period=0.1)
    assert peer.change('CONFIGURE')
    peer.wait_for(lambda: peer.values(ENGINE).get('rules') == 'fallback', 'warning')
    assert peer.statuses[ENGINE].level == WARN
    assert 'the CPU does the work: not TensorRT: ' in message(peer)
    assert 'the GPU is out of memory' in message(peer)
    (line,) = (line for line in capfd.readouterr().err.splitlines() if 'opened ' in line)
    assert line.startswith('[WARN]')

    assert peer.set_parameters(model=str(other_model(tiny_model, tmp_path))).successful
    peer.wait_for(lambda: sum('opened ' in log for log in peer.logs) == 2, 'other model')
    peer.wait_for(lambda: peer.values(ENGINE)['model'] == 'other', 'report of it')
    assert peer.values(ENGINE)['rules'] == 'fallback', 'whatever the model'
    assert peer.change('CLEANUP')
    peer.wait_for(lambda: message(peer) == 'unconfigured', 'end of the warning')


@pytest.mark.parametrize('name', ['cudaErrorIllegalAddress', 'cudaErrorLaunchFailure'])
def test_a_gpu_that_fails_ends_the_node_with_an_error_on_diagnostics(
    peer: Any, fake_gpu: Any, tiny_model: Path, scene: Any, name: str
) -> None:
    node = peer.start_active(model=str(tiny_model), engine='tensorrt')
    masks = peer.listen(MASKS)
    peer.segment(scene().message(peer.header()), masks)
    fake_gpu.broken = name
    peer.send(scene().message(peer.header()))
    peer.wait_for(lambda: peer.lost, 'end of the executor')
    assert [error.name for error in peer.lost] == [name]
    assert node._state_machine.current_state[1] == 'unconfigured'
    assert node._engine is None
    peer.wait_for(lambda: name in message(peer), 'diagnostic')
    assert peer.statuses[ENGINE].level == ERROR
    assert 'CUDA cannot be used again in this process: restart it' in message(peer)


def test_a_gpu_that_fails_while_configuring_ends_the_node_after_the_answer(
    peer: Any, fake_gpu: Any, tiny_model: Path
) -> None:
    fake_gpu.failures['cudaGetDeviceCount'] = 'cudaErrorLaunchFailure'
    peer.start(model=str(tiny_model), engine='tensorrt')
    assert not peer.change('CONFIGURE')
    peer.wait_for(lambda: peer.lost, 'end of the executor')
    peer.wait_for(lambda: 'cudaErrorLaunchFailure' in message(peer), 'diagnostic')
    assert peer.statuses[ENGINE].level == ERROR


@pytest.mark.parametrize('worked', [True, False])
def test_auto_ends_the_node_only_for_a_gpu_that_had_worked(
    peer: Any, fake_gpu: Any, tiny_model: Path, *, worked: bool
) -> None:
    node = peer.start(model=str(tiny_model), diagnostics_period=0.1)
    if worked:
        assert peer.change('CONFIGURE')
        assert peer.change('CLEANUP')
    fake_gpu.failures['cudaGetDeviceCount'] = 'cudaErrorLaunchFailure'
    assert peer.change('CONFIGURE') != worked
    if worked:
        peer.wait_for(lambda: peer.lost, 'end of the executor')
        peer.wait_for(lambda: 'cudaErrorLaunchFailure' in message(peer), 'diagnostic')
        assert peer.statuses[ENGINE].level == ERROR
        return
    for _ in range(2):  # it never worked, whatever happened since
        peer.wait_for(lambda: peer.values(ENGINE).get('rules') == 'fallback', 'warning')
        assert 'cudaErrorLaunchFailure' in message(peer)
        assert node._engine.info.name == 'onnxruntime'
        assert peer.change('CLEANUP')
        assert peer.change('CONFIGURE')
    assert not peer.lost


@pytest.mark.parametrize('active', [True, False])
def test_a_gpu_that_fails_under_another_model_ends_the_node_after_the_answer(
    peer: Any, fake_gpu: Any, tiny_model: Path, *, active: bool
) -> None:
    peer.start(model=str(tiny_model))
    assert peer.change('CONFIGURE')
    if active:
        assert peer.change('ACTIVATE')
    fake_gpu.broken = 'cudaErrorLaunchFailure'
    result = peer.set_parameters(model=str(tiny_model))
    assert not result.successful
    assert 'cudaErrorLaunchFailure; CUDA cannot be used again' in result.reason
    assert 'the old one goes on' not in result.reason
    peer.wait_for(lambda: peer.lost, 'end of the executor')
    peer.wait_for(lambda: 'cudaErrorLaunchFailure' in message(peer), 'diagnostic')
    assert peer.statuses[ENGINE].level == ERROR


def test_a_gpu_that_hangs_ends_the_node(
    peer: Any, fake_gpu: Any, tiny_model: Path, scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = peer.start_active(model=str(tiny_model), engine='tensorrt')
    peer.segment(scene().message(peer.header()), peer.listen(MASKS))
    monkeypatch.setattr('vidseg_ros.inference.cuda_runtime.WAIT_S', 0.1)
    fake_gpu.hangs = True
    peer.send(scene().message(peer.header()))
    peer.wait_for(lambda: peer.lost, 'end of the executor')
    assert node._engine is None
    peer.wait_for(lambda: 'GPU 0 did not answer for' in message(peer), 'diagnostic')


def test_the_node_waits_longer_than_for_a_gpu_that_does_not_answer() -> None:
    """Else a worker that is about to end with a clear error would be given up."""
    assert WAIT_S + 1 < STOP_TIMEOUT_S


def other_model(model: Path, folder: Path) -> Path:
    """Return a model file that does the same under another name."""
    changed = onnx.load(model)
    card = json.loads(changed.metadata_props[0].value) | {'name': 'other'}
    onnx.helper.set_model_props(changed, {METADATA_KEY: json.dumps(card)})
    onnx.save(changed, folder / 'other.onnx')
    return folder / 'other.onnx'


def test_another_model_must_have_been_built(
    peer: Any, fake_gpu: Any, tiny_model: Path, tmp_path: Path, scene: Any
) -> None:
    other = other_model(tiny_model, tmp_path)
    peer.start_active(model=str(tiny_model))
    assert peer.values(ENGINE).get('engine', 'tensorrt') == 'tensorrt'
    masks = peer.listen(MASKS)
    result = peer.set_parameters(model=str(other))
    assert not result.successful
    assert f'run vidseg build-engine {other}' in result.reason
    peer.segment(scene().message(peer.header()), masks)
    assert fake_gpu.builds == 1
