# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The node over real DDS: what goes in, what must come out."""

from pathlib import Path
import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest

pytest.importorskip('rclpy')

from rclpy.qos import DurabilityPolicy
from sensor_msgs.msg import Image

from vidseg_ros.core.labels import LabelSet
from vidseg_ros.core.overlay import blend
from vidseg_ros.nodes import camera_topics, log_throttle
from vidseg_ros.nodes.messages import image_message

MASKS = '/segmentation/label_map'
COLORS = LabelSet(names=('red', 'green', 'blue'), colors=((255, 0, 0), (0, 255, 0), (0, 0, 255)))


def raw(header: Any, array: Any, encoding: str, padding: int = 0) -> Image:
    height, width, channels = array.shape
    rows = np.full((height, width * channels + padding), 0xAB, np.uint8)
    rows[:, : width * channels] = array.reshape(height, -1)
    message = image_message(header, rows)
    message.width, message.encoding = width, encoding
    return message


def test_masks_are_exact_for_every_encoding_with_padding(
    peer: Any, tiny_model: Path, scene: Any
) -> None:
    peer.start_active(model=str(tiny_model))
    masks = peer.listen(MASKS)
    for seed, (encoding, order) in enumerate(
        {
            'rgb8': [0, 1, 2],
            'bgr8': [2, 1, 0],
            'rgba8': [0, 1, 2, 0],
            'bgra8': [2, 1, 0, 1],
        }.items()
    ):
        picture = scene(seed=seed)
        message = raw(peer.header(), picture.rgb[..., order], encoding, padding=5 * seed)
        mask = peer.segment(message, masks)
        assert (mask.encoding, mask.height, mask.width) == ('mono8', 48, 64)
        np.testing.assert_array_equal(peer.pixels(mask), picture.labels)
    grey = peer.segment(raw(peer.header(), np.full((48, 64, 1), 90, np.uint8), 'mono8'), masks)
    np.testing.assert_array_equal(peer.pixels(grey), 0)  # equal channels: the first class


def test_the_header_comes_back_bit_for_bit(peer: Any, tiny_model: Path, scene: Any) -> None:
    peer.start_active(model=str(tiny_model))
    masks = peer.listen(MASKS)
    header = peer.header('kamera_vorn/ö')
    header.stamp.sec, header.stamp.nanosec = 2**31 - 1, 999_999_999
    mask = peer.segment(scene().message(header), masks)
    assert mask.header.frame_id == 'kamera_vorn/ö'
    assert (mask.header.stamp.sec, mask.header.stamp.nanosec) == (2**31 - 1, 999_999_999)


def test_the_diagnostics_period_is_the_parameter(peer: Any) -> None:
    node = peer.start(diagnostics_period=2.5)
    assert [timer.timer_period_ns for timer in node.timers] == [2_500_000_000]


def test_label_info_has_the_masks_ids(peer: Any, tiny_model: Path) -> None:
    label_info = pytest.importorskip(
        'vision_msgs.msg', reason='vision_msgs is not on PyPI'
    ).LabelInfo
    node = peer.start_active(model=str(tiny_model))
    (info,) = node.get_publishers_info_by_topic('/segmentation/label_info')
    assert info.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
    received: list[Any] = []
    peer.node.create_subscription(
        label_info, '/segmentation/label_info', received.append, info.qos_profile
    )
    peer.wait_for(lambda: received, 'label info')
    ids = {item.class_id: item.class_name for item in received[0].class_map}
    assert ids == {0: 'red', 1: 'green', 2: 'blue'}


def test_overlay_and_confidence_only_while_somebody_listens(
    peer: Any, tiny_model: Path, scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    blended = []

    def recording_blend(*args: Any) -> Any:
        blended.append(args)
        return blend(*args)

    monkeypatch.setattr(camera_topics, 'blend', recording_blend)
    node = peer.start_active(model=str(tiny_model))
    asked = []
    segment = node._segmenter.segment

    def recording_segment(frames: Any, *, confidence: bool) -> Any:
        asked.append(confidence)
        return segment(frames, confidence=confidence)

    monkeypatch.setattr(node._segmenter, 'segment', recording_segment)
    masks = peer.listen(MASKS)
    picture = scene()
    peer.segment(picture.message(peer.header()), masks)
    assert not blended
    assert not any(asked)

    overlays = peer.listen('/segmentation/overlay')
    confidences = peer.listen('/segmentation/confidence')
    overlay = peer.segment(picture.message(peer.header()), overlays)
    confidence = peer.segment(picture.message(peer.header()), confidences)
    assert overlay.encoding == 'rgb8'
    np.testing.assert_array_equal(
        peer.pixels(overlay), blend(picture.rgb, picture.labels, COLORS, 0.5)
    )
    assert confidence.encoding == 'mono8'
    np.testing.assert_array_equal(peer.pixels(confidence), 255)

    for subscription in list(peer.node.subscriptions):
        if subscription.topic_name.endswith(('overlay', 'confidence')):
            peer.node.destroy_subscription(subscription)
    peer.wait_for(lambda: not peer.node.count_subscribers('/segmentation/overlay'), 'goodbye')
    peer.wait_for(lambda: not peer.node.count_subscribers('/segmentation/confidence'), 'goodbye')
    blended.clear()
    asked.clear()
    peer.segment(picture.message(peer.header()), masks)
    assert not blended
    assert asked == [False] * len(asked)


@pytest.mark.parametrize('name', ['blend', 'result_message'])
def test_pictures_that_fail_do_not_hold_the_masks(
    peer: Any, tiny_model: Path, scene: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def broken(*_: Any) -> Any:
        msg = 'a bug'
        raise ValueError(msg)

    monkeypatch.setattr(camera_topics, name, broken)
    # Time stands still for the log, however long the warning takes to come.
    monkeypatch.setattr(log_throttle, 'time', SimpleNamespace(monotonic=lambda: 0.0))
    peer.start_active(model=str(tiny_model))
    masks = peer.listen(MASKS)
    peer.listen_later('/segmentation/overlay')
    picture = scene()

    def warned() -> bool:
        mask = peer.segment(picture.message(peer.header()), masks)
        np.testing.assert_array_equal(peer.pixels(mask), picture.labels)
        return peer.values().get('rules') == 'extras_failed'

    peer.wait_for(warned, 'warning')
    assert peer.statuses['segmentation: image'].level == b'\x01'
    assert peer.state() == 'active'

    def logs() -> list[str]:
        return [x for x in peer.logs if x.startswith('image: no ~/confidence or ~/overlay: ')]

    peer.wait_for(logs, 'log')
    peer.segment(picture.message(peer.header()), masks)
    (log,) = logs()
    assert 'ValueError: a bug' in log


def test_a_confidence_that_the_model_lacks_is_a_warning(
    peer: Any, tiny_model: Path, tmp_path: Path
) -> None:
    model = onnx.load(tiny_model)
    (confidence,) = (output for output in model.graph.output if output.name == 'confidence')
    model.graph.output.remove(confidence)
    onnx.save(model, tmp_path / 'mute.onnx')
    peer.start_active(model=str(tmp_path / 'mute.onnx'))
    peer.wait_for(lambda: peer.values('segmentation: engine').get('rules') == 'state', 'well')
    peer.listen('/segmentation/confidence')
    peer.wait_for(
        lambda: peer.values('segmentation: engine').get('rules') == 'no_confidence', 'warning'
    )
    status = peer.statuses['segmentation: engine']
    assert status.level == b'\x01'
    text = 'somebody listens to ~/confidence, but the model tiny has no such output'
    assert text in status.message
    peer.wait_for(lambda: any(log.startswith(f'engine: {text}') for log in peer.logs), 'log')


def test_the_opacity_changes_at_run_time_and_only_within_its_range(
    peer: Any, tiny_model: Path, scene: Any
) -> None:
    peer.start_active(model=str(tiny_model))
    overlays = peer.listen('/segmentation/overlay')

    assert peer.set_parameters(overlay_opacity=0.0).successful
    picture = scene()
    overlay = peer.segment(picture.message(peer.header()), overlays)
    np.testing.assert_array_equal(peer.pixels(overlay), picture.rgb)
    assert not peer.set_parameters(overlay_opacity=1.5).successful


def test_masks_at_network_size(peer: Any, tiny_model: Path, scene: Any) -> None:
    peer.start_active(model=str(tiny_model), mask_size='network')
    masks, overlays = peer.listen(MASKS), peer.listen('/segmentation/overlay')
    picture = scene()
    message = picture.message(peer.header())
    mask = peer.segment(message, masks)
    np.testing.assert_array_equal(peer.pixels(mask), picture.labels[::4, ::4])
    overlay = peer.segment(picture.message(peer.header()), overlays)
    assert peer.pixels(overlay).shape == (12, 16, 3)


def test_two_cameras_of_different_size(peer: Any, tiny_model: Path, scene: Any) -> None:
    peer.start_active(model=str(tiny_model), cameras=['front', 'rear/left'])
    for camera, size in (('front', (48, 64)), ('rear/left', (12, 16)), ('front', (48, 64))):
        masks = peer.listen(f'/segmentation/{camera}/label_map')
        picture = scene(*size, seed=size[0])
        mask = peer.segment(picture.message(peer.header(camera)), masks, f'/{camera}/image')
        assert mask.header.frame_id == camera
        np.testing.assert_array_equal(peer.pixels(mask), picture.labels)
    peer.wait_for(lambda: peer.values('segmentation: rear/left'), 'diagnostic of the camera')
    assert peer.statuses['segmentation: rear/left'].hardware_id == (
        '/rear/left/image or /rear/left/image/compressed'
    )


def test_bad_frames_are_counted_and_skipped(peer: Any, tiny_model: Path, scene: Any) -> None:
    peer.start_active(model=str(tiny_model))
    masks = peer.listen(MASKS)
    peer.segment(scene().message(peer.header()), masks)
    for reason, change in {
        'size': {'height': 0},
        'step': {'step': 10},
        'truncated': {'height': 49},
        'encoding': {'encoding': 'telepathy'},
    }.items():
        bad = scene().message(peer.header())
        for field, value in change.items():
            setattr(bad, field, value)
        peer.send(bad)
        key = f'dropped.{reason}'
        peer.wait_for(lambda key=key: peer.values().get(key) == '1', key)
    assert peer.statuses['segmentation: image'].level == b'\x01'
    assert (
        'encoding 1, size 1, step 1, truncated 1' in peer.statuses['segmentation: image'].message
    )
    assert any(log.startswith('/image: frame skipped: image size 64x0') for log in peer.logs)
    picture = scene(seed=5)
    mask = peer.segment(picture.message(peer.header()), masks)
    np.testing.assert_array_equal(peer.pixels(mask), picture.labels)


def test_bad_frames_of_each_camera_are_an_error_and_in_the_log(
    peer: Any, tiny_model: Path, scene: Any
) -> None:
    """However often one of them says so, the other is heard."""
    peer.start_active(model=str(tiny_model), cameras=['front', 'rear'], camera_timeout=0.5)
    reasons = {'front': 'encoding', 'rear': 'step'}

    def rules() -> list[str]:
        for camera, reason in reasons.items():
            bad = scene().message(peer.header())
            bad.encoding, bad.step = ('telepathy', 192) if reason == 'encoding' else ('rgb8', 10)
            peer.send(bad, f'/{camera}/image')
        return [peer.values(f'segmentation: {camera}').get('rules', '') for camera in reasons]

    peer.wait_for(lambda: rules() == ['no_good_frames'] * 2, 'errors')
    for camera, reason in reasons.items():
        status = peer.statuses[f'segmentation: {camera}']
        assert (status.level, f'{reason} ' in status.message) == (b'\x02', True)
        start = f'/{camera}/image: frame skipped: '
        peer.wait_for(lambda start=start: any(log.startswith(start) for log in peer.logs), start)


def test_stamps_that_jump_back_and_sizes_that_change(
    peer: Any, tiny_model: Path, scene: Any
) -> None:
    peer.start_active(model=str(tiny_model))
    masks = peer.listen(MASKS)
    peer.segment(scene().message(peer.header()), masks)
    header = peer.header()
    header.stamp.sec -= 1
    small = scene(12, 16, seed=1)
    message = raw(header, small.rgb[..., ::-1], 'bgr8')
    np.testing.assert_array_equal(peer.pixels(peer.segment(message, masks)), small.labels)
    peer.wait_for(lambda: peer.values().get('stamp_backwards') == '1', 'count of the jump')
    status = peer.statuses['segmentation: image']
    assert (status.level, 'stamp_backwards 1' in status.message) == (b'\x01', True)
    peer.wait_for(lambda: "/image: 64x48 'rgb8'" in peer.logs, 'log')

    def told() -> bool:
        """Whether the log has the new format; it is silent for a while after the old one."""
        peer.send(raw(peer.header(), small.rgb[..., ::-1], 'bgr8'))
        return "/image: 16x12 'bgr8'" in peer.logs

    peer.wait_for(told, 'log')


def test_a_publisher_dies_and_returns(peer: Any, tiny_model: Path, scene: Any) -> None:
    peer.start_active(model=str(tiny_model))
    masks = peer.listen(MASKS)
    peer.segment(scene().message(peer.header()), masks)
    peer.node.destroy_publisher(peer.publishers.pop('/image'))
    peer.wait_for(lambda: not peer.node.count_publishers('/image'), 'goodbye')
    picture = scene(seed=2)
    mask = peer.segment(picture.message(peer.header()), masks)
    np.testing.assert_array_equal(peer.pixels(mask), picture.labels)


def test_the_newest_frame_wins_and_the_others_are_counted(
    peer: Any, tiny_model: Path, scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = peer.start_active(model=str(tiny_model))
    masks = peer.listen(MASKS)
    peer.segment(scene().message(peer.header()), masks)
    busy, release = threading.Event(), threading.Event()
    segment = node._segmenter.segment

    def slow(frames: Any, *, confidence: bool) -> Any:
        busy.set()
        assert release.wait(20)
        return segment(frames, confidence=confidence)

    monkeypatch.setattr(node._segmenter, 'segment', slow)
    peer.send(scene().message(peer.header()))
    assert busy.wait(10)
    waiting = [peer.header() for _ in range(3)]
    health = node._cameras[''].health
    for header in waiting:
        received = health._received
        peer.send(scene().message(header))
        peer.wait_for(lambda n=received: health._received == n + 1, 'reception')
    release.set()
    peer.wait_for(lambda: any(m.header == waiting[-1] for m in masks), 'newest frame')
    assert [m.header for m in masks if m.header in waiting] == waiting[-1:]
    peer.wait_for(lambda: peer.values().get('dropped.replaced') == '2', 'count')


def test_diagnostics_name_engine_precision_and_latencies(
    peer: Any, tiny_model: Path, scene: Any
) -> None:
    peer.start_active(model=str(tiny_model))
    peer.segment(scene().message(peer.header()), peer.listen(MASKS))
    peer.wait_for(lambda: int(peer.values().get('segmented', '0')) > 0, 'statistics')
    engine = peer.values('segmentation: engine')
    assert engine['state'] == 'active'
    assert (engine['engine'], engine['device'], engine['precision']) == (
        'onnxruntime',
        'CPU',
        'fp32',
    )
    assert peer.statuses['segmentation: engine'].level == b'\x00'
    assert peer.statuses['segmentation: image'].level == b'\x00'
    for stage in ('decode', 'wait', 'infer', 'fill', 'total', 'age'):
        p50, p99 = (float(peer.values()[f'{stage}.{p}_ms']) for p in ('p50', 'p99'))
        assert 0 <= p50 <= p99
