# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""One camera of an active node: its topics, what became of its frames, and its results."""

import traceback

from rclpy.node import Node

from vidseg_ros.core.model_card import ModelCard
from vidseg_ros.nodes.camera_health import CameraHealth
from vidseg_ros.nodes.camera_topics import CameraInputs, CameraOutputs
from vidseg_ros.nodes.diagnostics import EXTRAS_FAILED
from vidseg_ros.nodes.log_throttle import LogThrottle
from vidseg_ros.nodes.messages import stamp_ns
from vidseg_ros.pipeline import Segmentation


class Camera:
    """What belongs to one camera from one activation to the next deactivation."""

    def __init__(
        self, node: Node, inputs: CameraInputs, outputs: CameraOutputs, throttle: LogThrottle
    ) -> None:
        """Start counting.

        Args:
            node: Owner; gives clock, log and parameters.
            inputs: Its subscriptions.
            outputs: Its publishers.
            throttle: Of the node's log.
        """
        self._node, self._throttle = node, throttle
        self.inputs, self.outputs = inputs, outputs
        self.health = CameraHealth(' or '.join(inputs.topics))

    def publish_mask(self, result: Segmentation) -> None:
        """Publish the label map of one result; runs in the worker thread."""
        self.outputs.publish_label_map(result, self.inputs.info)
        now_ns = self._node.get_clock().now().nanoseconds
        self.health.published(result.timings, stamp_ns(result.frame.context), now_ns)

    def publish_extras(self, result: Segmentation, card: ModelCard) -> None:
        """Publish what somebody listens to besides; runs in the worker thread.

        What goes wrong here is counted and logged, and the masks go on.

        Args:
            result: The result.
            card: Of the model that gave it.
        """
        try:
            if self.outputs.wants_confidence:
                self.outputs.publish_confidence(result)
            if self.outputs.wants_overlay:
                opacity = self._node.get_parameter('overlay_opacity').value
                self.outputs.publish_overlay(result, card, opacity)
        except Exception:  # noqa: BLE001  # whatever it is, masks matter more
            if not self._node.context.ok():
                return  # ROS was shut down while a result was on its way out
            self.health.extras_failed()
            name = result.frame.camera
            if self._throttle.passes(name, EXTRAS_FAILED):
                why = traceback.format_exc()
                self._node.get_logger().error(
                    f'{name or "image"}: no ~/confidence or ~/overlay: {why}'
                )
