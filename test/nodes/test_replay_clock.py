# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from typing import Any

import pytest

pytest.importorskip('rclpy')

from vidseg_ros.nodes import replay_clock
from vidseg_ros.nodes.replay_clock import ReplayClock

MS = 1_000_000
START_NS = 5_000_000_000


class Recorder:
    """A node whose publishers keep the times (ns) instead of sending them."""

    def __init__(self) -> None:
        self.times_ns: list[int] = []
        self.topic = ''

    def create_publisher(self, _kind: type, topic: str, _qos: Any) -> 'Recorder':
        self.topic = topic
        return self

    def publish(self, message: Any) -> None:
        self.times_ns.append(message.clock.sec * 10**9 + message.clock.nanosec)


@pytest.fixture
def clock_ns(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the monotonic clock as a list of one number, to be set by the test."""
    now = [777]
    monkeypatch.setattr(replay_clock.time, 'monotonic_ns', lambda: now[0])
    return now


@pytest.fixture
def node() -> Recorder:
    return Recorder()


@pytest.fixture
def clock(node: Any, clock_ns: list[int]) -> ReplayClock:
    assert clock_ns
    return ReplayClock(node, hz=50, rate=2)


def test_time_goes_on_at_the_rate_and_stops_at_the_next_frame(
    clock: ReplayClock, node: Recorder, clock_ns: list[int]
) -> None:
    clock.set(START_NS)
    for _ in range(4):
        clock_ns[0] += 20 * MS
        clock.advance(START_NS + 100 * MS)
    assert node.topic == '/clock'
    assert [(time_ns - START_NS) / MS for time_ns in node.times_ns] == [0, 40, 80, 100, 100]


def test_no_more_messages_than_asked_for(
    clock: ReplayClock, node: Recorder, clock_ns: list[int]
) -> None:
    clock.set(START_NS)
    clock_ns[0] += 19 * MS
    clock.advance(START_NS + 100 * MS)
    clock.hold()
    assert node.times_ns == [START_NS]


def test_held_time_is_published_again_and_again(
    clock: ReplayClock, node: Recorder, clock_ns: list[int]
) -> None:
    clock.set(START_NS)
    for _ in range(2):
        clock_ns[0] += 20 * MS
        clock.hold()
    assert node.times_ns == [START_NS] * 3


def test_times_that_a_clock_cannot_tell_are_left_out(clock: ReplayClock, node: Recorder) -> None:
    last_ns = 2**31 * 10**9 - 1
    for time_ns in (-1, 0, last_ns, last_ns + 1):
        clock.set(time_ns)
    assert node.times_ns == [0, last_ns]


def test_time_waits_for_a_stamp_that_jumps_back(
    clock: ReplayClock, node: Recorder, clock_ns: list[int]
) -> None:
    clock.set(START_NS)
    clock_ns[0] += 20 * MS
    clock.advance(START_NS - 100 * MS)
    clock.set(START_NS - 100 * MS)
    assert node.times_ns == [START_NS, START_NS, START_NS - 100 * MS]
