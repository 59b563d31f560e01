# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Plays recorded footage as camera messages, with the stamps it was recorded with.

ros2 run vidseg_ros bag_player drive.mcap --topic /camera/image --ros-args -r image:=/front/image
"""

import argparse
from collections.abc import Iterator, Sequence
import sys
import time
from typing import Final

from builtin_interfaces.msg import Time
import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from rclpy.utilities import remove_ros_args
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image

from vidseg_ros.bag_io import COMPRESSED_TYPE, IMAGE_TYPE
from vidseg_ros.bag_io.messages import check_complete, serialize_image
from vidseg_ros.core.errors import ImageError, ParameterError
from vidseg_ros.evaluation.sources import FOLDER_FPS, open_source, Source, SourceFrame
from vidseg_ros.nodes.command import run_command

_TOPICS: Final = {
    IMAGE_TYPE: (Image, 'image'),
    COMPRESSED_TYPE: (CompressedImage, 'image/compressed'),
}
_LONGEST_PAUSE_NS: Final = 5_000_000_000
_NAP_S: Final = 0.05


class BagPlayer(Node):
    """Publishes footage on ``image``, or ``image/compressed`` where that is what was recorded.

    Messages of a bag go out byte for byte, pictures of a video or folder as bgr8. The publishers
    are reliable, which serves reliable and best-effort subscribers alike, and keep the last 5.
    """

    def __init__(
        self,
        source: Source,
        *,
        rate: float = 1.0,
        loop: bool = False,
        clock: bool = False,
        context: Context | None = None,
    ) -> None:
        """Offer the topic; nothing is published before `play`.

        Args:
            source: The footage; stays the caller's.
            rate: Speed, 1 = as recorded.
            loop: Whether to start again after the last frame, with the same stamps.
            clock: Whether to publish the stamp of each frame on ``/clock`` before the frame.
            context: The rclpy context; None takes the default one.

        Raises:
            ParameterError: If the rate is not above 0.
            SourceError: If the footage cannot be read.
        """
        if not rate > 0:
            msg = f'rate must be above 0 (1 = as recorded), not {rate}'
            raise ParameterError(msg)
        super().__init__('bag_player', context=context)
        self._source, self._rate, self._loop = source, rate, loop
        self._frame_publishers: dict[str, Publisher] = {}
        self._clock_publisher = self.create_publisher(Clock, '/clock', _qos(1)) if clock else None
        for frame in source:
            self._publisher(frame)
            break

    @property
    def compressed(self) -> bool:
        """Whether the footage starts with compressed messages."""
        return COMPRESSED_TYPE in self._frame_publishers

    def has_subscriber(self) -> bool:
        """Return whether somebody subscribes to the frames."""
        return any(p.get_subscription_count() for p in self._frame_publishers.values())

    def wait_for_subscriber(self, timeout_s: float) -> bool:
        """Wait until somebody subscribes; return whether somebody did within the time (s)."""
        deadline_ns = time.monotonic_ns() + round(timeout_s * 1e9)
        while not self.has_subscriber():
            if time.monotonic_ns() > deadline_ns or not self.context.ok():
                return False
            time.sleep(_NAP_S)
        return True

    def play(self) -> Iterator[tuple[SourceFrame, int]]:
        """Publish frame after frame at the recorded times, until the end or a shutdown.

        A bag's frames keep the distances in time at which they were recorded, those of other
        footage the distances of their stamps; one period of the nominal rate where these do not
        go forward, and at most 5 s. A player that cannot keep up is late, it never publishes a
        burst. Frames that cannot be read are logged and left out.

        Yields:
            Each published frame, and the monotonic clock right before it was published (ns).

        Raises:
            SourceError: If the footage turns out to be damaged.
        """
        schedule = _Schedule(1e9 / (self._source.fps or FOLDER_FPS), self._rate)
        while True:
            for frame in self._source:
                cdr = self._read(frame)
                if not self._sleep_until(schedule.next(_recorded_ns(frame))):
                    return
                if cdr is None:
                    continue
                if self._clock_publisher is not None:
                    self._clock_publisher.publish(Clock(clock=_time(frame.stamp_ns)))
                published_ns = time.monotonic_ns()
                self._publisher(frame).publish(cdr)
                yield frame, published_ns
            if not self._loop:
                return

    def _read(self, frame: SourceFrame) -> bytes | None:
        try:
            return _serialize(frame)
        except ImageError as error:
            self.get_logger().warning(f'frame {frame.name} is left out: {error}')
            return None

    def _publisher(self, frame: SourceFrame) -> Publisher:
        msgtype = IMAGE_TYPE if frame.message is None else frame.message.msgtype
        if msgtype not in self._frame_publishers:
            self._frame_publishers[msgtype] = self.create_publisher(*_TOPICS[msgtype], _qos(5))
        return self._frame_publishers[msgtype]

    def _sleep_until(self, due_ns: int) -> bool:
        """Sleep; return False as soon as ROS shuts down."""
        while self.context.ok():
            left_s = (due_ns - time.monotonic_ns()) / 1e9
            if left_s <= 0:
                return True
            time.sleep(min(left_s, _NAP_S))
        return False


class _Schedule:
    """When each frame is due on the monotonic clock."""

    def __init__(self, period_ns: float, rate: float) -> None:
        self._period_ns, self._rate = period_ns, rate
        self._recorded_ns: int | None = None
        self._due_ns = time.monotonic_ns()

    def next(self, recorded_ns: int) -> int:
        """Return when the frame recorded at this time is due."""
        pause: float = 0
        if self._recorded_ns is not None:
            pause = recorded_ns - self._recorded_ns
            pause = min(pause, _LONGEST_PAUSE_NS) if pause > 0 else self._period_ns
        self._recorded_ns = recorded_ns
        step_ns = round(pause / self._rate)
        # More than one step late: the schedule gives way instead of catching up in a burst.
        self._due_ns = max(self._due_ns, time.monotonic_ns() - step_ns) + step_ns
        return self._due_ns


def _recorded_ns(frame: SourceFrame) -> int:
    return frame.stamp_ns if frame.message is None else frame.message.log_ns


def _serialize(frame: SourceFrame) -> bytes:
    """Return the recorded message as it is, or else a bgr8 image.

    A recorded one must be whole: rclpy publishes a truncated buffer without a word.
    """
    if frame.message is not None:
        check_complete(frame.message)
        return frame.message.cdr
    return serialize_image(
        frame.decode('bgr8'), encoding='bgr8', stamp_ns=frame.stamp_ns, frame_id=frame.frame_id
    )


def _time(stamp_ns: int) -> Time:
    seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
    return Time(sec=seconds, nanosec=nanoseconds)


def _qos(depth: int) -> QoSProfile:
    return QoSProfile(depth=depth, reliability=QoSReliabilityPolicy.RELIABLE)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='bag_player', description='Play a bag, a video or a folder of images as a camera.'
    )
    parser.add_argument('source', help='bag, video file or folder of images')
    parser.add_argument('--topic', help='image topic, where a bag has more than one')
    parser.add_argument('--rate', type=float, default=1.0, help='speed, 1 = as recorded')
    parser.add_argument('--loop', action='store_true', help='start again after the last frame')
    parser.add_argument('--clock', action='store_true', help='publish the stamps on /clock')
    parser.add_argument(
        '--wait', type=float, default=10.0, help='longest wait for a subscriber before playing, s'
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Play footage from the command line.

    Args:
        argv: Arguments without the program's name, ROS arguments included; None takes sys.argv.

    Returns:
        Exit status: 0, or 2 after an error that is named on stderr.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = _parser().parse_args(remove_ros_args(arguments))

    def play() -> None:
        with open_source(options.source, topic=options.topic) as source:
            rclpy.init(args=arguments)
            player = BagPlayer(source, rate=options.rate, loop=options.loop, clock=options.clock)
            if not player.wait_for_subscriber(options.wait):
                player.get_logger().warning(f'no subscriber after {options.wait:g} s')
            for _ in player.play():
                pass

    return run_command('bag_player', play)


if __name__ == '__main__':
    sys.exit(main())
