# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

pytest.importorskip('rclpy')

from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from std_msgs.msg import String

from vidseg_ros.core.labels import LabelSet
from vidseg_ros.nodes import label_info
from vidseg_ros.nodes.label_info import LabelInfoTopic
from vidseg_ros.nodes.qos import QosClashes

LABELS = LabelSet(names=('road', 'sky'), colors=((1, 2, 3), (4, 5, 6)))
TOPIC = '/labels/label_info'


@pytest.fixture
def node(context: Context) -> Iterator[Node]:
    node = Node('labels', context=context, start_parameter_services=False)
    yield node
    node.destroy_node()


def test_the_topic_is_reliable_and_latched_and_goes_with_its_stack(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        label_info, 'label_info_message', lambda _, labels: String(data=labels.names[0])
    )
    with ExitStack() as stack:
        LabelInfoTopic(node, stack, LABELS, QosClashes(node))
        (info,) = node.get_publishers_info_by_topic(TOPIC)
        assert info.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
        assert info.qos_profile.reliability == ReliabilityPolicy.RELIABLE
    assert not node.count_publishers(TOPIC)


def test_without_vision_msgs_there_is_one_warning(
    node: Node, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def missing(*_: Any) -> Any:
        raise ImportError

    monkeypatch.setattr(label_info, 'label_info_message', missing)
    for _ in range(3):
        with ExitStack() as stack:
            topic = LabelInfoTopic(node, stack, LABELS, QosClashes(node))
            topic.publish(LABELS)
            assert not node.count_publishers(TOPIC)
    assert capfd.readouterr().err.count('vision_msgs is not installed') == 1
