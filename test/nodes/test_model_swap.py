# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Another model at run time, as `ros2 param set` asks for it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

pytest.importorskip('rclpy')

from rcl_interfaces.msg import SetParametersResult
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import String

from vidseg_ros.core.model_card import METADATA_KEY, ModelCard
from vidseg_ros.inference.model_file import read_model
from vidseg_ros.nodes.model_swap import open_model

MASKS = '/segmentation/label_map'


@pytest.fixture
def swapped_model(tiny_model: Path, tmp_path: Path) -> Path:
    """Return the tiny model for frames in bgr8: red and blue change places, names do not."""
    card = read_model(tiny_model).card
    names = ('blue', 'green', 'red')
    changed = replace(
        card, name='swapped', input_order='bgr8', labels=replace(card.labels, names=names)
    )
    return with_card(tiny_model, tmp_path / 'swapped.onnx', changed)


def with_card(source: Path, target: Path, card: ModelCard) -> Path:
    model = onnx.load(source)
    (entry,) = [item for item in model.metadata_props if item.key == METADATA_KEY]
    entry.value = card.to_json()
    onnx.save(model, target)
    return target


def engine_model(peer: Any) -> str | None:
    model: str | None = peer.values('segmentation: engine').get('model')
    return model


def test_an_active_node_goes_on_with_the_new_model(
    peer: Any, tiny_model: Path, swapped_model: Path, scene: Any
) -> None:
    node = peer.start_active(model=str(tiny_model))
    masks = peer.listen(MASKS)
    picture = scene()
    mask = peer.segment(picture.message(peer.header()), masks)
    np.testing.assert_array_equal(peer.pixels(mask), picture.labels)
    old = node._engine

    assert peer.set_parameters(model=str(swapped_model)).successful
    peer.wait_for(lambda: node._engine is not old, 'exchange')
    assert old._session is None, 'closed'
    mask = peer.segment(picture.message(peer.header()), masks)
    np.testing.assert_array_equal(peer.pixels(mask), 2 - picture.labels)
    assert peer.state() == 'active'
    peer.wait_for(lambda: engine_model(peer) == 'swapped', 'diagnostic')
    assert node.get_parameter('model').value == str(swapped_model)


def test_an_inactive_node_stays_inactive(
    peer: Any, tiny_model: Path, swapped_model: Path, scene: Any
) -> None:
    node = peer.start(model=str(tiny_model), diagnostics_period=0.1)
    assert peer.change('CONFIGURE')
    assert peer.set_parameters(model=str(swapped_model)).successful
    peer.wait_for(lambda: engine_model(peer) == 'swapped', 'exchange')
    assert peer.state() == 'inactive'
    assert not node.count_subscribers('/image')
    assert peer.change('ACTIVATE')
    picture = scene()
    mask = peer.segment(picture.message(peer.header()), peer.listen(MASKS))
    np.testing.assert_array_equal(peer.pixels(mask), 2 - picture.labels)


def test_an_unconfigured_node_takes_it_with_configure(
    peer: Any, tiny_model: Path, tmp_path: Path
) -> None:
    peer.start(model=str(tmp_path / 'none.onnx'))
    assert not peer.change('CONFIGURE')
    assert peer.set_parameters(model=str(tiny_model)).successful
    assert peer.change('CONFIGURE')


def test_a_start_up_value_that_was_refused_can_be_replaced(peer: Any, tiny_model: Path) -> None:
    peer.start(model=str(tiny_model), overlay_opacity=7.0)
    assert not peer.change('CONFIGURE')
    assert peer.set_parameters(overlay_opacity=0.7).successful
    assert peer.change('CONFIGURE')


def test_a_model_that_cannot_be_used_is_refused_and_the_old_one_goes_on(
    peer: Any, tiny_model: Path, scene: Any, tmp_path: Path
) -> None:
    node = peer.start_active(model=str(tiny_model))
    masks = peer.listen(MASKS)
    peer.segment(scene().message(peer.header()), masks)
    engine, worker = node._engine, node._worker
    truncated = tmp_path / 'truncated.onnx'
    truncated.write_bytes(tiny_model.read_bytes()[:-200])
    foreign = onnx.load(tiny_model)
    foreign.ClearField('metadata_props')
    onnx.save(foreign, tmp_path / 'foreign.onnx')
    for model, reason in {
        '': 'give the name of a shipped model',
        str(tmp_path / 'none.onnx'): 'does not exist; check the path',
        str(truncated): 'is not a complete ONNX file',
        str(tmp_path / 'foreign.onnx'): 'was not written for vidseg',
    }.items():
        result = peer.set_parameters(model=model)
        assert not result.successful
        assert result.reason.startswith(f'model {model!r} is refused, the old one goes on: ')
        assert reason in result.reason
        assert 'Traceback' not in result.reason
        picture = scene(seed=len(model))
        mask = peer.segment(picture.message(peer.header()), masks)
        np.testing.assert_array_equal(peer.pixels(mask), picture.labels)
    assert (node._engine, node._worker) == (engine, worker), 'not even interrupted'
    assert node.get_parameter('model').value == str(tiny_model)
    assert not peer.set_parameters(model=7).successful


def test_an_engine_that_fails_to_warm_up_is_closed_and_refused(
    peer: Any, tiny_model: Path, swapped_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = peer.start_active(model=str(tiny_model))
    closed = []

    def warm_up(self: Any) -> None:
        monkeypatch.setattr(self.engine, 'close', lambda: closed.append(self.engine))
        msg = 'a bug'
        raise ValueError(msg)

    monkeypatch.setattr('vidseg_ros.nodes.model_swap.Segmenter.warm_up', warm_up)
    result = peer.set_parameters(model=str(swapped_model))
    assert not result.successful
    assert 'ValueError: a bug' in result.reason
    assert len(closed) == 1
    assert closed != [node._engine]


def test_what_a_later_check_of_the_same_request_refuses_is_closed_again(
    peer: Any, tiny_model: Path, swapped_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = peer.start_active(model=str(tiny_model))
    engine, opened = node._engine, []

    def recording_open(settings: Any, **more: Any) -> Any:
        opened.append(open_model(settings, **more))
        return opened[-1]

    monkeypatch.setattr('vidseg_ros.nodes.model_swap.open_model', recording_open)
    refusal = SetParametersResult(successful=False, reason='not today')
    node._on_set_parameters_callbacks.append(lambda _: refusal)  # rclpy only adds to the front
    assert peer.set_parameters(model=str(swapped_model)).reason == 'not today'
    (model,) = opened
    peer.wait_for(lambda: model.engine._session is None, 'end of the new model')
    assert node._engine is engine
    assert node.get_parameter('model').value == str(tiny_model)


def test_the_same_name_opens_the_file_again(peer: Any, tiny_model: Path, scene: Any) -> None:
    node = peer.start_active(model=str(tiny_model))
    engine = node._engine
    assert peer.set_parameters(model=str(tiny_model)).successful
    peer.wait_for(lambda: node._engine is not engine, 'exchange')
    peer.segment(scene().message(peer.header()), peer.listen(MASKS))


def test_the_names_of_the_ids_are_published_again(
    peer: Any, tiny_model: Path, swapped_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A stand-in for vision_msgs/LabelInfo; test_messages.py checks the real one's content.
    monkeypatch.setattr(
        'vidseg_ros.nodes.label_info.label_info_message',
        lambda _, labels: String(data=' '.join(labels.names)),
    )
    peer.start_active(model=str(tiny_model))
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)

    def late_subscriber() -> list[str]:
        received: list[str] = []
        peer.node.create_subscription(
            String, '/segmentation/label_info', lambda m: received.append(m.data), latched
        )
        peer.wait_for(lambda: received, 'names of the classes')
        return received

    early = late_subscriber()
    assert early == ['red green blue']
    assert peer.set_parameters(model=str(swapped_model)).successful
    peer.wait_for(lambda: len(early) == 2, 'new names')
    assert early[1] == 'blue green red'
    assert late_subscriber() == ['blue green red']
