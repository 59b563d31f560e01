# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Records the label maps of a segmentation node.

ros2 run vidseg_ros mask_recorder masks_bag
"""

import argparse
from collections.abc import Callable, Sequence
import sys
import time

import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from rclpy.utilities import remove_ros_args
from sensor_msgs.msg import Image

from vidseg_ros.bag_io import BagImage, BagWriter, IMAGE_TYPE
from vidseg_ros.bag_io.messages import read_header
from vidseg_ros.evaluation.writers import LABEL_MAP_TOPIC
from vidseg_ros.nodes.command import run_command


class MaskRecorder(Node):
    """Hands every received label map on, reliably and with the time it came in."""

    def __init__(
        self,
        on_mask: Callable[[BagImage, int], None],
        *,
        topic: str = LABEL_MAP_TOPIC,
        context: Context | None = None,
    ) -> None:
        """Subscribe.

        Args:
            on_mask: Called by the executor with the label map exactly as received (its
                ``log_ns`` is the node's clock: ``/clock`` with ``use_sim_time``, else the
                system's) and the monotonic clock when it came in (ns).
            topic: Topic of the label maps.
            context: The rclpy context; None takes the default one.
        """
        super().__init__('mask_recorder', context=context)
        self._on_mask = on_mask
        qos = QoSProfile(depth=10, reliability=QoSReliabilityPolicy.RELIABLE)
        self._masks = self.create_subscription(Image, topic, self._receive, qos, raw=True)

    @property
    def topic(self) -> str:
        """Full name of the topic, after namespace and remapping."""
        return str(self._masks.topic_name)

    def has_publisher(self) -> bool:
        """Return whether a node that publishes label maps is connected."""
        return bool(self._masks.get_publisher_count())

    def _receive(self, cdr: bytes) -> None:
        received_ns = time.monotonic_ns()
        log_ns = self.get_clock().now().nanoseconds
        stamp_ns, frame_id = read_header(cdr) or (log_ns, '')
        mask = BagImage(
            msgtype=IMAGE_TYPE, cdr=cdr, log_ns=log_ns, stamp_ns=stamp_ns, frame_id=frame_id
        )
        self._on_mask(mask, received_ns)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='mask_recorder', description='Record label maps into an MCAP bag until Ctrl-C.'
    )
    parser.add_argument('bag', help='folder of the new bag')
    parser.add_argument(
        '--topic',
        default=LABEL_MAP_TOPIC.removeprefix('/'),
        help='relative to the namespace; default: %(default)s',
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Record label maps into a new MCAP bag until Ctrl-C.

    Args:
        argv: Arguments without the program's name, ROS arguments included; None takes sys.argv.

    Returns:
        Exit status: 0, or 2 after an error that is named on stderr.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = _parser().parse_args(remove_ros_args(arguments))

    def record_until_stopped() -> None:
        rclpy.init(args=arguments)
        with BagWriter(options.bag, compress=True) as bag:
            count = 0

            def record(mask: BagImage, _: int) -> None:
                nonlocal count
                bag.write_raw(recorder.topic, mask.msgtype, mask.cdr, mask.log_ns)
                count += 1

            recorder = MaskRecorder(record, topic=options.topic)
            recorder.get_logger().info(f'recording {recorder.topic} into {options.bag}')
            try:
                rclpy.spin(recorder)
            finally:
                # Not to the log: ROS is shut down by now.
                sys.stdout.write(f'{count} label maps of {recorder.topic} in {options.bag}\n')

    return run_command('mask_recorder', record_until_stopped)


if __name__ == '__main__':
    sys.exit(main())
