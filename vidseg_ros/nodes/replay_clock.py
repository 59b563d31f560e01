# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The recorded time of a replay, for nodes with ``use_sim_time``."""

import time
from typing import final

from builtin_interfaces.msg import Time
from rclpy.node import Node
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from rosgraph_msgs.msg import Clock

_NS_PER_S = 1_000_000_000


@final
class ReplayClock:
    """Publishes ``/clock``: the stamp of each frame, and the time between frames.

    The time between two frames never passes the stamp of the later one, so it goes back only
    where the recorded stamps do. Times that ``/clock`` cannot tell are left out: subscribers take
    none before 1970, and messages hold none after 2038.
    """

    def __init__(self, node: Node, hz: float, rate: float) -> None:
        """Offer ``/clock``.

        Args:
            node: Owner.
            hz: Messages/s between frames.
            rate: Recorded seconds per second.
        """
        qos = QoSProfile(depth=1, reliability=QoSReliabilityPolicy.RELIABLE)
        self._publisher = node.create_publisher(Clock, '/clock', qos)
        self._period_ns, self._rate = round(_NS_PER_S / hz), rate
        self._stamp_ns, self._set_at_ns, self._published_at_ns = 0, 0, 0

    def set(self, stamp_ns: int) -> None:
        """Publish the stamp of a frame (ns), from which time goes on."""
        self._stamp_ns, self._set_at_ns = stamp_ns, time.monotonic_ns()
        self._publish(stamp_ns, self._set_at_ns)

    def hold(self) -> None:
        """Publish the last stamp again, if a message is due."""
        now_ns = time.monotonic_ns()
        if now_ns - self._published_at_ns >= self._period_ns:
            self._publish(self._stamp_ns, now_ns)

    def advance(self, next_stamp_ns: int) -> None:
        """Publish how far time has gone since the last stamp, if a message is due.

        Args:
            next_stamp_ns: Stamp of the next frame (ns).
        """
        now_ns = time.monotonic_ns()
        if now_ns - self._published_at_ns >= self._period_ns:
            gone_ns = round((now_ns - self._set_at_ns) * self._rate)
            until_next_ns = max(0, next_stamp_ns - self._stamp_ns)
            self._publish(self._stamp_ns + min(gone_ns, until_next_ns), now_ns)

    def _publish(self, time_ns: int, now_ns: int) -> None:
        self._published_at_ns = now_ns
        seconds, nanoseconds = divmod(time_ns, _NS_PER_S)
        if not 0 <= seconds < 2**31:
            return
        self._publisher.publish(Clock(clock=Time(sec=seconds, nanosec=nanoseconds)))
