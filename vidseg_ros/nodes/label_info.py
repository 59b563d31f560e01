# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The latched topic that names the ids of the masks."""

from contextlib import ExitStack
from typing import Any

from rclpy.node import Node
from rclpy.publisher import Publisher
from std_msgs.msg import Header

from vidseg_ros.core.labels import LabelSet
from vidseg_ros.nodes.messages import label_info_message
from vidseg_ros.nodes.qos import advertise, QosClashes


class LabelInfoTopic:
    """Publishes ``~/label_info``, which every late subscriber gets too."""

    def __init__(
        self, node: Node, stack: ExitStack, labels: LabelSet, clashes: QosClashes
    ) -> None:
        """Publish the names of the classes; without vision_msgs, warn instead, once.

        Args:
            node: Owner.
            stack: Destroys the publisher when it closes.
            labels: Classes of the masks.
            clashes: Hears of subscribers that cannot connect.

        Raises:
            ParameterError: If a QoS override of the topic is not allowed.
        """
        self._node = node
        self._publisher: Publisher | None = None
        try:
            message_type = type(self._message(labels))
        except ImportError:
            node.get_logger().warning(
                'vision_msgs is not installed, so ~/label_info is not published; '
                'install ros-$ROS_DISTRO-vision-msgs',
                once=True,
            )
            return
        self._publisher = advertise(
            node, stack, message_type, '~/label_info', clashes=clashes, latched=True
        )
        self.publish(labels)

    def publish(self, labels: LabelSet) -> None:
        """Publish other names, as those of the masks from now on."""
        if self._publisher is not None:
            self._publisher.publish(self._message(labels))

    def _message(self, labels: LabelSet) -> Any:  # noqa: ANN401  # vision_msgs may be missing
        return label_info_message(Header(stamp=self._node.get_clock().now().to_msg()), labels)
