# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The node from state to state: transitions and failures; its end is test_segmentation_end.py."""

from pathlib import Path
import threading
from typing import Any

import pytest

pytest.importorskip('rclpy')

from std_msgs.msg import String

from vidseg_ros.core.errors import EngineError

MASKS = '/segmentation/label_map'
ERROR = b'\x02'


def workers() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name == 'vidseg worker']


def test_each_transition_does_its_part_and_can_be_undone(
    peer: Any, tiny_model: Path, scene: Any
) -> None:
    node = peer.start(model=str(tiny_model))
    assert peer.state() == 'unconfigured'
    for _ in range(2):
        assert not node.count_publishers(MASKS)
        assert peer.change('CONFIGURE')
        assert node.count_publishers(MASKS) == 1
        assert not node.count_subscribers('/image')
        for _ in range(2):
            assert peer.change('ACTIVATE')
            assert node.count_subscribers('/image') == 1
            assert workers() == ['vidseg worker']
            peer.segment(scene().message(peer.header()), peer.listen(MASKS))
            assert peer.change('DEACTIVATE')
            assert not node.count_subscribers('/image')
            assert not workers()
        assert peer.change('CLEANUP')
        assert node._engine is None
    assert not node.count_publishers(MASKS)
    assert peer.state() == 'unconfigured'


def test_a_transition_that_the_state_does_not_have_is_refused(
    peer: Any, tiny_model: Path, scene: Any
) -> None:
    peer.start(model=str(tiny_model))
    for transition in ('DEACTIVATE', 'ACTIVATE', 'CLEANUP', 'ACTIVE_SHUTDOWN'):
        assert not peer.change(transition)
        assert peer.state() == 'unconfigured'
    peer.wait_for(
        lambda: 'transition 4 is refused: the node is unconfigured' in peer.logs, 'log of it'
    )
    assert peer.change('CONFIGURE')
    assert peer.change('ACTIVATE')
    assert not peer.change('CONFIGURE')
    assert peer.state() == 'active'
    peer.segment(scene().message(peer.header()), peer.listen(MASKS))


@pytest.mark.parametrize('state', ['UNCONFIGURED', 'INACTIVE', 'ACTIVE'])
def test_shutdown_from_every_state(peer: Any, tiny_model: Path, state: str) -> None:
    node = peer.start(model=str(tiny_model))
    for transition in ('CONFIGURE', 'ACTIVATE')[
        : ('UNCONFIGURED', 'INACTIVE', 'ACTIVE').index(state)
    ]:
        assert peer.change(transition)
    assert peer.change(f'{state}_SHUTDOWN')
    assert peer.state() == 'finalized'
    assert not workers()
    assert not node.count_publishers(MASKS)


def expect_refusal(peer: Any, *texts: str, transition: str = 'CONFIGURE') -> None:
    """The transition must fail, say why in log and diagnostics, and leave the node as it was."""
    state = peer.state()
    assert not peer.change(transition)
    assert peer.state() == state

    def said() -> Any:
        return next((log for log in peer.logs if all(text in log for text in texts)), None)

    message = peer.wait_for(said, f'log with {texts}')
    assert 'Traceback' not in message
    peer.wait_for(
        lambda: (
            'segmentation: engine' in peer.statuses
            and peer.statuses['segmentation: engine'].message == message
        ),
        'diagnostic',
    )
    assert peer.statuses['segmentation: engine'].level == ERROR


@pytest.mark.parametrize(
    ('name', 'value', 'texts'),
    [
        ('overlay_opacity', 2.5, ('2.5', 'from 0.0 to 1.0')),
        ('camera_time_out', 0.2, ('does not exist', 'did you mean camera_timeout?')),
        ('overlay_opacity', 'much', ('much', 'a decimal number')),
        ('diagnostics_period', 0.0, ('0.0', 'from 0.1 to 60.0')),
        ('model', 5, ('5', 'text')),
        ('model', '', ("''", 'name of a shipped model')),
        ('engine', 'steam', ("'steam'", 'one of auto, onnxruntime, onnxruntime-cuda, tensorrt')),
        ('gpu', 64, ('64', 'from 0 to 63')),
        ('input_type', 'video', ("'video'", 'one of auto, image, compressed')),
        ('mask_size', 'huge', ("'huge'", 'one of camera, network')),
        ('cameras', ['front', '/rear'], ("'/rear'", 'no relative topic name')),
        ('cameras', ['front', 'front'], ('front, front', 'repeats')),
        (f'qos_overrides.{MASKS}.publisher.reliability', 'hopeful', ('reliability', 'hopeful')),
        (f'qos_overrides.{MASKS}.publisher.depth', 'deep', ('depth', 'deep')),
    ],
)
def test_a_start_up_parameter_that_is_not_allowed(
    peer: Any, tiny_model: Path, name: str, value: Any, texts: tuple[str, ...]
) -> None:
    peer.start(**{'model': str(tiny_model), 'diagnostics_period': 0.1, name: value})
    expect_refusal(peer, name.removesuffix('.reliability').removesuffix('.depth'), *texts)


def test_a_failed_configure_leaves_nothing_behind(peer: Any, tiny_model: Path) -> None:
    override = 'qos_overrides./segmentation/rear/overlay.publisher.reliability'
    cameras = ['front', 'rear']
    node = peer.start(model=str(tiny_model), cameras=cameras, **{override: 'hopeful'})
    assert not peer.change('CONFIGURE')
    for camera in cameras:
        for name in ('label_map', 'confidence', 'overlay'):
            assert not node.count_publishers(f'/segmentation/{camera}/{name}')


def test_a_configure_that_fails_at_its_last_topic_leaves_the_node_alive(
    peer: Any, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A stand-in for vision_msgs, as in test_model_swap.py.
    monkeypatch.setattr(
        'vidseg_ros.nodes.label_info.label_info_message', lambda *_: String(data='names')
    )
    override = 'qos_overrides./segmentation/label_info.publisher.reliability'
    peer.start(model=str(tiny_model), diagnostics_period=0.1, **{override: 'hopeful'})
    expect_refusal(peer, override.removesuffix('.reliability'), 'hopeful')  # reported as well


@pytest.mark.parametrize(
    ('input_type', 'topic'),
    [
        ('auto', '/image/compressed'),
        ('auto', '/image'),
        ('compressed', '/image/compressed'),
        ('image', '/image'),
    ],
)
def test_an_override_of_an_input_that_is_not_allowed(
    peer: Any, tiny_model: Path, input_type: str, topic: str
) -> None:
    override = f'qos_overrides.{topic}.subscription.reliability'
    node = peer.start(
        model=str(tiny_model),
        input_type=input_type,
        diagnostics_period=0.1,
        **{override: 'hopeful'},
    )
    assert peer.change('CONFIGURE')
    timers = list(node.timers)
    for _ in range(2):
        expect_refusal(
            peer, override.removesuffix('.reliability'), 'hopeful', transition='ACTIVATE'
        )
    assert list(node.timers) == timers
    assert not node.count_subscribers('/image')
    assert not node.count_subscribers('/image/compressed')
    assert not workers()


def test_a_missing_model_and_one_that_is_no_model(peer: Any, tmp_path: Path) -> None:
    path = tmp_path / 'model.onnx'
    peer.start(model=str(path), diagnostics_period=0.1)
    expect_refusal(peer, str(path), 'does not exist; check the path')
    path.write_bytes(b'not a model at all')
    expect_refusal(peer, str(path), 'copy or export it again')


def test_configure_succeeds_once_the_model_is_there(
    peer: Any, tiny_model: Path, tmp_path: Path
) -> None:
    path = tmp_path / 'model.onnx'
    peer.start(model=str(path), diagnostics_period=0.1)
    expect_refusal(peer, str(path))
    path.write_bytes(tiny_model.read_bytes())
    assert peer.change('CONFIGURE')
    peer.wait_for(lambda: peer.values('segmentation: engine').get('state') == 'inactive', 'state')
    assert peer.statuses['segmentation: engine'].level == b'\x00'


@pytest.mark.parametrize('error', [EngineError('the GPU has left'), ValueError('a bug')])
def test_an_engine_that_fails_leaves_the_node_unconfigured_and_ready_for_another_try(
    peer: Any, tiny_model: Path, scene: Any, error: Exception
) -> None:
    node = peer.start_active(model=str(tiny_model))
    masks = peer.listen(MASKS)
    peer.segment(scene().message(peer.header()), masks)

    def broken(*_: Any, **__: Any) -> Any:
        raise type(error)(str(error))  # the parameter would keep the node in its traceback

    node._segmenter.segment = broken
    peer.send(scene().message(peer.header()))
    peer.wait_for(lambda: node._engine is None, 'error processing')
    assert peer.state() == 'unconfigured'
    assert not workers()
    peer.wait_for(lambda: peer.reported('segmentation: engine', ERROR, str(error)), 'diagnostic')
    peer.wait_for(lambda: any(str(error) in log for log in peer.logs), 'log')

    assert peer.change('CONFIGURE')
    assert peer.change('ACTIVATE')
    peer.segment(scene().message(peer.header()), masks)


def test_an_engine_that_hangs_cannot_hold_the_node(
    peer: Any, tiny_model: Path, scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('vidseg_ros.nodes.segmentation_node.STOP_TIMEOUT_S', 0.05)
    node = peer.start_active(model=str(tiny_model), camera_timeout=0.1)
    masks = peer.listen(MASKS)
    busy, release = threading.Event(), threading.Event()
    segment = node._segmenter.segment

    def hanging(frames: Any, *, confidence: bool) -> Any:
        results = segment(frames, confidence=confidence)
        busy.set()
        release.wait(30)
        return results

    node._segmenter.segment = hanging
    late = peer.header()
    peer.send(scene().message(late))
    peer.wait_for(busy.is_set, 'inference')

    def camera_message() -> str:
        status = peer.statuses.get('segmentation: image')
        return '' if status is None else str(status.message)

    peer.wait_for(lambda: 'the engine is slow or hangs' in camera_message(), 'diagnostic')
    assert not peer.change('DEACTIVATE')
    assert peer.state() == 'unconfigured'
    peer.wait_for(lambda: any('did not return within' in log for log in peer.logs), 'log')

    assert peer.change('CONFIGURE')
    assert peer.change('ACTIVATE')
    peer.segment(scene().message(peer.header()), masks)
    release.set()
    peer.wait_for(lambda: len(workers()) == 1, 'end of the thread')
    peer.segment(scene().message(peer.header()), masks)
    assert late not in [mask.header for mask in masks], 'a mask from before the restart'
