# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from typing import NamedTuple

import pytest

pytest.importorskip('rclpy')

from vidseg_ros.core.timing import StageTimings
from vidseg_ros.nodes import camera_health
from vidseg_ros.nodes.camera_health import CameraHealth
from vidseg_ros.nodes.clock_check import ClockReading
from vidseg_ros.nodes.diagnostics import ERROR, InputFacts, Limits, OK, WARN, WINDOW_S

SECOND = 10**9
MS = 10**6
TIMINGS = StageTimings(decode_ns=1 * MS, wait_ns=2 * MS, infer_ns=30 * MS, fill_ns=4 * MS)


class FakeClock:
    def __init__(self) -> None:
        self.now_ns = 50 * SECOND

    def monotonic_ns(self) -> int:
        return self.now_ns

    def step(self, seconds: float) -> None:
        self.now_ns += int(seconds * SECOND)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    fake = FakeClock()
    monkeypatch.setattr(camera_health, 'time', fake)
    return fake


class Status(NamedTuple):
    level: bytes
    message: str
    rules: list[str]
    values: dict[str, str]


TIMEOUT_S = 2.0
NOW_NS = 1000 * SECOND
SEEN = InputFacts(publishers=1, misfit='', info_problem='')
NOW = ClockReading(NOW_NS, simulated=False)


def assess(
    health: CameraHealth,
    *,
    replaced: int = 0,
    inputs: InputFacts = SEEN,
    clock: ClockReading = NOW,
) -> Status:
    verdict, values = health.assess(
        replaced=replaced,
        inputs=inputs,
        clock=clock,
        limits=Limits(camera_timeout_s=TIMEOUT_S, max_age_s=1.0),
    )
    return Status(verdict.level, '; '.join(verdict.texts.values()), list(verdict.texts), values)


def receive(health: CameraHealth, stamp_ns: int | None, *, offset_ns: int = 0) -> bool:
    """Let a message arrive so long after its stamp."""
    return health.received(stamp_ns, (stamp_ns or NOW_NS) + offset_ns)


def segment(
    health: CameraHealth, stamp_ns: int = NOW_NS, *, age_ns: int = 0, offset_ns: int = 0
) -> None:
    """Let a good image arrive and its mask leave at that age."""
    receive(health, stamp_ns, offset_ns=offset_ns)
    health.accepted()
    health.published(TIMINGS, stamp_ns, stamp_ns + age_ns)


def test_rates_age_and_latencies(clock: FakeClock) -> None:
    health = CameraHealth('/image')
    for number in range(11):
        offset_ns = (60 + number) * MS
        if number % 2 == 0:
            segment(health, NOW_NS + number, age_ns=(100 + number) * MS, offset_ns=offset_ns)
        else:
            receive(health, NOW_NS + number, offset_ns=offset_ns)
        clock.step(0.25)
    status = assess(
        health, replaced=5, clock=ClockReading(NOW_NS + 10 + 360 * MS, simulated=False)
    )
    found = status.values
    assert (status.level, status.rules) == (OK, ['replaced'])
    assert status.message == (
        'frames are segmented; 45% were replaced by newer ones before their turn'
    )
    assert health.topic == '/image'
    assert (found['received_hz'], found['rate_hz']) == (f'{10 / 2.75:.1f}', f'{5 / 2.75:.1f}')
    assert (found['received'], found['segmented'], found['dropped.replaced']) == ('11', '6', '5')
    assert found['newest_age_ms'] == '360.00'
    assert found['clock_offset_ms'] == '65.00'
    assert [found[f'{s}.p50_ms'] for s in ('decode', 'wait', 'infer', 'fill', 'total')] == [
        '1.00',
        '2.00',
        '30.00',
        '4.00',
        '37.00',
    ]
    assert (found['age.p50_ms'], found['age.p95_ms'], found['age.p99_ms']) == (
        '105.00',
        '109.50',
        '109.90',
    )


def test_before_the_first_frame(clock: FakeClock) -> None:
    health = CameraHealth('/image')
    clock.step(0.1)
    status = assess(health)
    assert (status.level, status.message) == (OK, 'frames are segmented')
    assert (status.values['rate_hz'], status.values['infer.p99_ms']) == ('0.0', 'none')
    assert 'newest_age_ms' not in status.values


@pytest.mark.parametrize(
    ('publishers', 'rule', 'text'),
    [(0, 'no_publisher', 'nobody publishes there'), (1, 'no_images', 'although somebody')],
)
def test_silence_is_an_error(clock: FakeClock, publishers: int, rule: str, text: str) -> None:
    health = CameraHealth('/front/image')
    inputs = SEEN._replace(publishers=publishers)
    clock.step(TIMEOUT_S)
    assert assess(health, inputs=inputs).level == OK
    clock.step(1.2)
    status = assess(health, inputs=inputs)
    assert (status.level, status.rules) == (ERROR, [rule])
    assert status.message.startswith('no frame on /front/image for 3 s, ')
    assert text in status.message
    segment(health)
    assert assess(health, inputs=inputs).level == OK


def test_a_camera_info_may_come_later_than_the_first_mask(clock: FakeClock) -> None:
    health = CameraHealth('/image')
    inputs = SEEN._replace(info_problem='no CameraInfo on /camera_info')
    clock.step(TIMEOUT_S - 1)
    assert assess(health, inputs=inputs).rules == ['fine'], 'no mask yet'
    segment(health)
    clock.step(TIMEOUT_S)
    segment(health)
    assert assess(health, inputs=inputs).rules == ['fine']
    clock.step(0.1)
    status = assess(health, inputs=inputs)
    assert (status.level, status.rules) == (WARN, ['no_camera_info'])
    assert status.message.endswith('go out without ~/camera_info: no CameraInfo on /camera_info')
    assert assess(health).level == OK


def test_pictures_that_failed_are_a_warning_for_a_while(clock: FakeClock) -> None:
    health = CameraHealth('/image')
    segment(health)
    for _ in range(2):
        health.extras_failed()
    status = assess(health)
    assert (status.level, status.rules) == (WARN, ['extras_failed'])
    assert 'failed for 2 frames in the last 10 s' in status.message
    clock.step(WINDOW_S + 0.1)
    segment(health)
    assert assess(health).rules == ['fine']


def test_frames_without_a_mask_are_an_error_until_the_next_mask(clock: FakeClock) -> None:
    health = CameraHealth('/image')
    for number in range(8):
        clock.step(0.4)
        receive(health, NOW_NS + number)
        health.accepted()
        if number == 0:
            health.published(TIMINGS, NOW_NS, NOW_NS)
        waiting_s = 0.4 * (number - 1)
        assert (assess(health).level == OK) == (waiting_s <= TIMEOUT_S)
    status = assess(health)
    assert (status.level, status.rules) == (ERROR, ['no_masks'])
    assert status.message == 'frames arrive, but no mask for 2 s: the engine is slow or hangs'
    clock.step(5)
    assert 'no mask for 7 s' in assess(health).message, 'whether or not more arrive'
    segment(health, NOW_NS + 8)
    assert assess(health).level == OK


def test_frames_that_cannot_be_decoded_do_not_blame_the_engine(clock: FakeClock) -> None:
    health = CameraHealth('/image')
    for number in range(8):
        clock.step(0.4)
        receive(health, NOW_NS + number)
        health.dropped('corrupt')
        blind_s = 0.4 * (number + 1)
        expected = (ERROR, ['no_good_frames']) if blind_s > TIMEOUT_S else (WARN, ['bad_frames'])
        status = assess(health)
        assert (status.level, status.rules) == expected
    assert status.message == (
        'frames arrive on /image, but none for 3 s could be decoded; bad frames in the last 10 s: '
        'corrupt 8; check the encoding and the camera driver'
    )
    segment(health, NOW_NS + 8)
    assert assess(health).rules == ['bad_frames'], 'one good frame among bad ones is no outage'
    clock.step(TIMEOUT_S + 0.1)
    assert assess(health).rules == ['no_images', 'bad_frames']


def test_bad_frames_warn_for_a_while_and_are_counted_for_good(clock: FakeClock) -> None:
    health = CameraHealth('/image')
    for reason in ('step', 'truncated', 'step'):
        receive(health, NOW_NS)
        health.dropped(reason)
    status = assess(health)
    assert (status.level, status.rules) == (WARN, ['bad_frames'])
    assert status.message == 'bad frames in the last 10 s: step 2, truncated 1'
    clock.step(WINDOW_S + 0.1)
    segment(health)
    status = assess(health)
    assert status.level == OK
    assert status.values['dropped.step'] == '2'


def test_one_bad_frame_among_a_hundred_is_no_warning(clock: FakeClock) -> None:
    del clock
    health = CameraHealth('/image')
    for _ in range(100):
        receive(health, NOW_NS)
    health.dropped('corrupt')
    assert assess(health).level == OK
    health.dropped('corrupt')
    assert assess(health).level == WARN


def test_only_a_stamp_that_jumps_back_counts_as_one(clock: FakeClock) -> None:
    health = CameraHealth('/image')
    assert [receive(health, stamp) for stamp in (5, 6, 6, 3, 4)] == [
        False,
        False,
        False,
        True,
        False,
    ]
    status = assess(health)
    assert (status.level, status.rules) == (WARN, ['stamp_backwards'])
    assert 'stamp_backwards 1; a bag that loops does that' in status.message
    clock.step(WINDOW_S + 0.1)
    segment(health, 5)
    status = assess(health)
    assert (status.level, status.values['stamp_backwards']) == (OK, '1')


def test_old_masks_are_a_warning(clock: FakeClock) -> None:
    health = CameraHealth('/image')
    for age_ms in (900, 1200):
        segment(health, age_ns=age_ms * MS)
    status = assess(health)
    assert (status.level, status.rules) == (WARN, ['age'])
    assert 'masks are 1.19 s old' in status.message
    assert 'the limit is 1 s (parameter max_age)' in status.message
    clock.step(WINDOW_S + 0.1)
    segment(health)
    assert assess(health).level == OK


def test_another_clock_is_a_warning_and_no_matter_of_age(clock: FakeClock) -> None:
    del clock
    health = CameraHealth('/image')
    segment(health, age_ns=3600 * SECOND, offset_ns=3600 * SECOND)
    status = assess(health)
    assert (status.level, status.rules) == (WARN, ['clock'])
    assert 'stamps are 1.0 h behind' in status.message


def test_a_few_images_that_meet_a_clock_that_was_set_back_do_not_matter(clock: FakeClock) -> None:
    del clock
    health = CameraHealth('/image')
    for age_s in (0, 0, 0, -500, -500):
        segment(health, age_ns=age_s * SECOND, offset_ns=age_s * SECOND)
    assert assess(health).level == OK


def test_a_slow_replay_and_slow_masks_are_not_another_clock(clock: FakeClock) -> None:
    """At half the recorded speed, 3 s in the node are 1.5 s of the ROS clock."""
    del clock
    health = CameraHealth('/image')
    slow = replace(TIMINGS, infer_ns=3 * SECOND)
    receive(health, NOW_NS)
    health.accepted()
    health.published(slow, NOW_NS, NOW_NS + slow.total_ns // 2)
    status = assess(health)
    assert (status.rules, status.values['clock_offset_ms']) == (['age'], '0.00')


@pytest.mark.parametrize(('rate', 'expected'), [(0.5, '600.00'), (1.0, '1100.00'), (4, '4100.00')])
def test_the_newest_mask_grows_old_by_the_nodes_clock(
    clock: FakeClock, rate: float, expected: str
) -> None:
    """In a replay at another speed the second since then is another time on the ROS clock."""
    health = CameraHealth('/image')
    segment(health, NOW_NS, age_ns=100 * MS)
    clock.step(1.0)
    later = ClockReading(NOW_NS + 100 * MS + round(rate * SECOND), simulated=True)
    assert assess(health, clock=later).values['newest_age_ms'] == expected


def test_another_clock_shows_without_masks_but_not_before_the_clock_is_known(
    clock: FakeClock,
) -> None:
    del clock
    health = CameraHealth('/image')
    health.received(NOW_NS, 0)
    assert 'clock_offset_ms' not in assess(health).values
    assert assess(health).rules == ['fine']
    receive(health, NOW_NS, offset_ns=10 * SECOND)
    assert assess(health).rules == ['clock']


def test_the_window_forgets(clock: FakeClock) -> None:
    health = CameraHealth('/image')
    segment(health)
    clock.step(WINDOW_S + 0.1)
    found = assess(health).values
    assert (found['rate_hz'], found['received_hz']) == ('0.0', '0.0')
    assert (found['infer.p50_ms'], found['segmented']) == ('none', '1')


def test_a_frame_whose_stamp_cannot_be_read_is_received_all_the_same(clock: FakeClock) -> None:
    health = CameraHealth('/image')
    assert not receive(health, 100)
    clock.step(TIMEOUT_S)
    assert not receive(health, None)
    clock.step(0.1)
    status = assess(health)
    assert (status.rules, status.values['received']) == (['no_good_frames'], '2')
    assert receive(health, 99), 'older than the last stamp that was read'
