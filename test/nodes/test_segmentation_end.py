# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""How the node ends: signals, arguments that are none, a GPU that is lost."""

import os
from pathlib import Path
import signal
import subprocess
import sys
from types import SimpleNamespace
from typing import Any, NoReturn

import onnxruntime
import pytest

pytest.importorskip('rclpy')

import rclpy

from vidseg_ros.inference.cuda_runtime import GpuError
from vidseg_ros.nodes import segmentation_node

MASKS = '/segmentation/label_map'
ERROR = b'\x02'


@pytest.mark.parametrize(
    ('state', 'numbers'),
    [
        ('active', [signal.SIGINT]),
        ('active', [signal.SIGTERM]),
        ('active', [signal.SIGINT, signal.SIGINT]),  # of launch and of the terminal
        ('inactive', [signal.SIGTERM]),
        ('unconfigured', [signal.SIGINT]),
    ],
)
def test_a_signal_ends_the_process_cleanly(
    peer: Any, tiny_model: Path, scene: Any, state: str, numbers: list[signal.Signals]
) -> None:
    command = [sys.executable, '-m', 'vidseg_ros.nodes.segmentation_node', '--ros-args']
    process = subprocess.Popen(
        [*command, '-p', f'model:={tiny_model}', '-p', 'cameras:=[]'],
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env=os.environ,
    )
    try:
        assert peer.state() == 'unconfigured'
        if state != 'unconfigured':
            assert peer.change('CONFIGURE')
        if state == 'active':
            assert peer.change('ACTIVATE')
            peer.segment(scene().message(peer.header()), peer.listen(MASKS))
        for number in numbers:
            process.send_signal(number)
        _, stderr = process.communicate(timeout=15)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, stderr
    assert 'Traceback' not in stderr
    assert 'rror' not in stderr


@pytest.mark.parametrize(
    'arguments', [['-p', 'max_age:=0.2'], ['x', '--ros-args', '-p', 'gpu:=1']]
)
def test_arguments_that_are_not_for_ros_are_refused(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert segmentation_node.main(arguments) == 2
    said = capsys.readouterr().err
    first = '-p max_age:=0.2' if arguments[0] == '-p' else 'x'
    assert said.startswith(f'segmentation_node: cannot use {first}: --ros-args must stand before')


LOSES_ITS_GPU = """
import atexit, pathlib, sys, time
import rclpy
from vidseg_ros.inference.cuda_runtime import Gpu
from vidseg_ros.nodes.segmentation_node import main
from vidseg_ros.pipeline import Segmenter

hangs, busy = sys.argv.pop(1) == 'True', pathlib.Path(sys.argv.pop(1))
gpu = Gpu.__new__(Gpu)
gpu.index = 0

def segment(*_, **__):
    busy.touch()
    while hangs and rclpy.ok():
        time.sleep(0.01)
    raise gpu.give_up()

Segmenter.segment = segment
Segmenter.warm_up = lambda _: None
atexit.register(time.sleep, 60)  # as CUDA, which waits for its GPU
sys.exit(main())
"""


@pytest.mark.parametrize('stopped', [False, True])
def test_a_lost_gpu_ends_the_process_so_that_it_is_respawned(
    peer: Any, tiny_model: Path, scene: Any, tmp_path: Path, *, stopped: bool
) -> None:
    busy = tmp_path / 'busy'
    command = [sys.executable, '-c', LOSES_ITS_GPU, str(stopped), str(busy), '--ros-args']
    process = subprocess.Popen(
        [*command, '-p', f'model:={tiny_model}', '-p', 'diagnostics_period:=60.0'],
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env=os.environ,
    )
    try:
        assert peer.change('CONFIGURE')
        assert peer.change('ACTIVATE')
        # Best effort, so a frame may be lost: again.
        message = scene().message(peer.header())
        peer.wait_for(lambda: busy.exists() or peer.send(message), 'frame in work')
        if stopped:  # before anybody knows
            process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=15)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == (0 if stopped else 2), stderr
    name = '/segmentation'
    peer.wait_for(lambda: name not in peer.node.get_fully_qualified_node_names(), 'goodbye')
    assert 'Traceback' not in stderr
    if not stopped:
        peer.wait_for(lambda: 'segmentation: engine' in peer.statuses, 'last words')
        status = peer.statuses['segmentation: engine']
        assert status.level == ERROR
        assert status.message.startswith('GPU 0 did not answer for 10 s; CUDA cannot be used')


@pytest.mark.usefixtures('fake_cuda_provider')
def test_a_gpu_that_onnx_runtime_lost_ends_the_node(
    peer: Any, tiny_model: Path, scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = peer.start_active(
        model=str(tiny_model), engine='onnxruntime-cuda', diagnostics_period=0.1
    )
    peer.segment(scene().message(peer.header()), peer.listen(MASKS))
    # Last words reach who is connected; masks arrive, diagnostics may still be connecting.
    peer.wait_for(lambda: 'segmentation: engine' in peer.statuses, 'first words')

    def fail(*_: object) -> NoReturn:
        msg = 'FAIL : CUDA failure 719: unspecified launch failure ; GPU=0 ; hostname=car ; '
        raise RuntimeError(msg)

    monkeypatch.setattr(onnxruntime.InferenceSession, 'run', fail)
    peer.send(scene().message(peer.header()))
    peer.wait_for(lambda: peer.lost, 'end of the executor')
    assert [error.name for error in peer.lost] == ['cudaErrorLaunchFailure']
    assert node._engine is None
    end = 'CUDA cannot be used again in this process'
    peer.wait_for(lambda: peer.reported('segmentation: engine', ERROR, end), 'last words')


def test_last_words_that_fail_do_not_hide_the_lost_gpu(
    peer: Any, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = peer.start(model=str(tiny_model))

    def broken() -> None:
        msg = 'context is invalid'
        raise RuntimeError(msg)

    monkeypatch.setattr(node._health, 'flush', broken)
    lost = GpuError('cudaErrorIllegalAddress', 'the GPU has left')
    node.fail(lost)
    peer.wait_for(lambda: peer.lost, 'end of the executor')
    assert peer.lost == [lost]


@pytest.mark.parametrize('ended', [True, False])
def test_only_a_callback_that_meets_the_end_of_ros_may_fail(
    monkeypatch: pytest.MonkeyPatch, *, ended: bool
) -> None:
    destroyed = []

    def spin(_: Any) -> None:
        if ended:
            rclpy.get_default_context().shutdown()  # as rclpy's handler of signals does
        msg = 'rcl_count_publishers: context is invalid'
        raise RuntimeError(msg)

    monkeypatch.setattr(rclpy, 'spin', spin)
    fake = SimpleNamespace(destroy_node=lambda: destroyed.append(True))
    monkeypatch.setattr(segmentation_node, 'SegmentationNode', lambda: fake)
    handler = signal.getsignal(signal.SIGINT)
    try:
        if ended:
            assert segmentation_node.main([]) == 0
        else:
            with pytest.raises(RuntimeError, match='context is invalid'):
                segmentation_node.main([])
    finally:
        signal.signal(signal.SIGINT, handler)
    assert destroyed == [True]
    assert not rclpy.ok()
