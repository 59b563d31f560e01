# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Plays recorded footage as camera messages, with the stamps it was recorded with.

ros2 run vidseg_ros bag_player drive.mcap --topic /camera/image --ros-args -r image:=/front/image
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
import sys
import time
from typing import Final

import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from rclpy.utilities import remove_ros_args
from sensor_msgs.msg import CompressedImage, Image

from vidseg_ros.bag_io import COMPRESSED_TYPE, IMAGE_TYPE
from vidseg_ros.bag_io.messages import check_complete, restamp, serialize_image
from vidseg_ros.core.errors import ImageError, ParameterError
from vidseg_ros.core.image_codec import FOLDER_FPS
from vidseg_ros.evaluation.sources import open_source, Source, SourceFrame
from vidseg_ros.nodes.command import run_command
from vidseg_ros.nodes.replay_clock import ReplayClock

CLOCK_HZ: Final = 40.0
"""Messages/s on ``/clock`` unless told otherwise, as with ``ros2 bag play --clock``."""

_TOPICS: Final = {
    IMAGE_TYPE: (Image, 'image'),
    COMPRESSED_TYPE: (CompressedImage, 'image/compressed'),
}
_LONGEST_PAUSE_NS: Final = 5_000_000_000
_NAP_S: Final = 0.05
_FAREWELL_S: Final = 0.5  # a message on its way is lost when its publisher goes


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
        clock_hz: float | None = None,
        context: Context | None = None,
    ) -> None:
        """Offer the topic; no frame is published before `play`.

        Args:
            source: The footage; stays the caller's.
            rate: Speed, 1 = as recorded.
            loop: Whether to start again after the last frame. The stamps go on to rise: each
                round is later than the one before by the length of the footage.
            clock_hz: Messages/s on ``/clock``: the stamp of each frame right before the frame,
                and recorded time going on in between. None: no ``/clock``.
            context: The rclpy context; None takes the default one.

        Raises:
            ParameterError: If a rate is not above 0.
            SourceError: If the footage cannot be read.
        """
        for name, value in (('rate', rate), ('clock rate', clock_hz)):
            if value is not None and not value > 0:
                msg = f'{name} must be above 0, not {value}; leave it out for the default'
                raise ParameterError(msg)
        super().__init__('bag_player', context=context)
        self._source, self._rate, self._loop = source, rate, loop
        self._frame_publishers: dict[str, Publisher] = {}
        self._replay_clock = None if clock_hz is None else ReplayClock(self, clock_hz, rate)
        self._nap_s = _NAP_S if clock_hz is None else min(_NAP_S, 1 / clock_hz)
        for frame in source:
            self._publisher(frame)
            if self._replay_clock is not None:
                self._replay_clock.set(frame.stamp_ns)
            break

    @property
    def compressed(self) -> bool:
        """Whether the footage starts with compressed messages."""
        return COMPRESSED_TYPE in self._frame_publishers

    @property
    def topics(self) -> list[str]:
        """Where frames are published, as far as they have been looked at."""
        return [publisher.topic_name for publisher in self._frame_publishers.values()]

    def has_subscriber(self) -> bool:
        """Return whether somebody subscribes to the frames."""
        return any(p.get_subscription_count() for p in self._frame_publishers.values())

    def missing_subscribers(self, also: Sequence[str] = ()) -> list[str]:
        """Return which topics nobody subscribes to: the frames', and others.

        Args:
            also: Other topics, as for `wait_for_subscriber`.
        """
        frames = [] if self.has_subscriber() else ['the frames']
        return [*frames, *(topic for topic in also if not self.count_subscribers(topic))]

    def wait_for_subscriber(self, timeout_s: float, *, also: Sequence[str] = ()) -> bool:
        """Wait until somebody subscribes; ``/clock`` shows the first stamp meanwhile.

        Args:
            timeout_s: Longest wait, seconds.
            also: Other topics that must have a subscriber, such as the one a recorder records.

        Returns:
            Whether there are subscribers.
        """
        deadline_ns = time.monotonic_ns() + round(timeout_s * 1e9)
        while self.missing_subscribers(also):
            if time.monotonic_ns() > deadline_ns or not self.context.ok():
                return False
            if self._replay_clock is not None:
                self._replay_clock.hold()
            time.sleep(self._nap_s)
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
        period_ns = 1e9 / (self._source.fps or FOLDER_FPS)
        schedule = _Schedule(period_ns, self._rate)
        for frame in self._frames(round(period_ns)):
            cdr = self._read(frame)
            if not self._sleep_until(schedule.next(_recorded_ns(frame)), frame.stamp_ns):
                return
            if cdr is None:
                continue
            if self._replay_clock is not None:
                self._replay_clock.set(frame.stamp_ns)
            published_ns = time.monotonic_ns()
            self._publisher(frame).publish(cdr)
            yield frame, published_ns

    def _frames(self, period_ns: int) -> Iterator[SourceFrame]:
        """Yield the frames; in a loop without end, each round later than the one before."""
        shift_ns = 0
        while True:
            first_ns: int | None = None
            last_ns = 0
            for frame in self._source:
                yield replace(frame, stamp_ns=frame.stamp_ns + shift_ns)
                if first_ns is None:
                    first_ns = last_ns = frame.stamp_ns
                first_ns, last_ns = min(first_ns, frame.stamp_ns), max(last_ns, frame.stamp_ns)
            if not self._loop or first_ns is None:
                return
            shift_ns += last_ns - first_ns + period_ns

    def _read(self, frame: SourceFrame) -> bytes | None:
        try:
            return _serialize(frame)
        except ImageError as error:
            self.get_logger().warning(f'frame {frame.name} is left out: {error}')
            return None

    def _publisher(self, frame: SourceFrame) -> Publisher:
        msgtype = IMAGE_TYPE if frame.message is None else frame.message.msgtype
        if msgtype not in self._frame_publishers:
            qos = QoSProfile(depth=5, reliability=QoSReliabilityPolicy.RELIABLE)
            self._frame_publishers[msgtype] = self.create_publisher(*_TOPICS[msgtype], qos)
        return self._frame_publishers[msgtype]

    def _sleep_until(self, due_ns: int, stamp_ns: int) -> bool:
        """Sleep until a frame with this stamp is due; return False as soon as ROS shuts down."""
        while self.context.ok():
            left_s = (due_ns - time.monotonic_ns()) / 1e9
            if left_s <= 0:
                return True
            time.sleep(min(left_s, self._nap_s))
            if self._replay_clock is not None and self.context.ok():
                self._replay_clock.advance(stamp_ns)
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
    """Return the recorded message, with the frame's stamp, or else a bgr8 image.

    A recorded one must be whole: rclpy publishes a truncated buffer without a word.
    """
    if frame.message is not None:
        check_complete(frame.message)
        if frame.stamp_ns == frame.message.stamp_ns:
            return frame.message.cdr
        return restamp(frame.message.cdr, frame.stamp_ns)
    return serialize_image(
        frame.decode('bgr8'), encoding='bgr8', stamp_ns=frame.stamp_ns, frame_id=frame.frame_id
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='bag_player', description='Play a bag, a video or a folder of images as a camera.'
    )
    parser.add_argument('source', help='bag, video file or folder of images')
    parser.add_argument('--topic', help='image topic, where a bag has more than one')
    parser.add_argument('--rate', type=float, default=1.0, help='speed, 1 = as recorded')
    parser.add_argument(
        '--loop',
        action='store_true',
        help='start again after the last frame, with stamps that go on to rise',
    )
    parser.add_argument(
        '--clock',
        type=float,
        nargs='?',
        const=CLOCK_HZ,
        metavar='HZ',
        help=f'publish the recorded time on /clock, {CLOCK_HZ:g} messages/s if HZ is left out',
    )
    parser.add_argument(
        '--wait', type=float, default=10.0, help='longest wait for a subscriber before playing, s'
    )
    parser.add_argument(
        '--wait-for',
        action='append',
        default=[],
        metavar='TOPIC',
        help='wait for a subscriber of this topic as well, such as a recorder of label maps; with '
        'it, nothing is played (exit code 2) when a subscriber is missing after the wait',
    )
    return parser


def _judge_failed_wait(player: BagPlayer, wait_s: float, wait_for: Sequence[str]) -> None:
    """Say who is missing after the wait; who is waited for by name must be there.

    Raises:
        ParameterError: If there are such topics.
    """
    if not player.context.ok():  # a signal ended the wait
        return
    missing = player.missing_subscribers(wait_for)
    if not missing:  # they came at the last moment
        return
    msg = f'no subscriber of {", ".join(missing)} after {wait_s:g} s'
    if wait_for:
        msg += (
            ', so nothing is played; check the names of the topics (ros2 topic list -v), give a '
            'longer --wait, or leave out --wait-for'
        )
        raise ParameterError(msg)
    player.get_logger().warning(f'{msg}: playing all the same')


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
            player = BagPlayer(
                source, rate=options.rate, loop=options.loop, clock_hz=options.clock
            )
            of_topic = f' of {source.topic}' if source.topic else ''
            player.get_logger().info(
                f'the frames{of_topic} in {options.source} go to {", ".join(player.topics)}, at '
                f'{options.rate:g} times the recorded rate'
            )
            if not player.wait_for_subscriber(options.wait, also=options.wait_for):
                _judge_failed_wait(player, options.wait, options.wait_for)
            frames = sum(1 for _ in player.play())
            player.get_logger().info(f'{frames} frames played')
            time.sleep(_FAREWELL_S)

    return run_command('bag_player', play)


if __name__ == '__main__':
    sys.exit(main())
