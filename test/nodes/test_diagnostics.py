# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from typing import Any

import pytest

pytest.importorskip('rclpy')

from vidseg_ros.core.timing import StageTimings
from vidseg_ros.nodes import diagnostics
from vidseg_ros.nodes.diagnostics import CameraHealth, SILENCE_S, WINDOW_S

OK, WARN = b'\x00', b'\x01'
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
    monkeypatch.setattr(diagnostics, 'time', fake)
    return fake


def values(status: Any) -> dict[str, str]:
    return {item.key: item.value for item in status.values}


def test_rate_age_and_latencies(clock: FakeClock) -> None:
    health = CameraHealth('/image')
    for number in range(11):
        health.received(number)
        health.published(TIMINGS, age_ns=(100 + number) * MS)
        clock.step(0.25)
    status = health.status('node: image', replaced=7)
    found = values(status)
    assert (status.level, status.message) == (OK, 'frames are segmented')
    assert (status.name, status.hardware_id) == ('node: image', '/image')
    assert found['rate_hz'] == f'{10 / 2.75:.1f}'
    assert (found['received'], found['segmented'], found['dropped.replaced']) == ('11', '11', '7')
    assert found['newest_age_ms'] == '360.00'  # 110 at publication, 250 since then
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
    found = values(health.status('', 0))
    assert (found['rate_hz'], found['infer.p99_ms']) == ('0.0', 'none')
    assert 'newest_age_ms' not in found


def test_silence_is_a_warning(clock: FakeClock) -> None:
    health = CameraHealth('/front/image')
    clock.step(SILENCE_S)
    assert health.status('', 0).level == OK
    clock.step(1.2)
    status = health.status('', 0)
    assert status.level == WARN
    assert status.message.startswith('no frame on /front/image for 3 s; check')
    health.received(1)
    assert health.status('', 0).level == OK


def test_frames_without_a_mask_are_a_warning_until_the_next_mask(clock: FakeClock) -> None:
    health = CameraHealth('/image')
    for number in range(8):
        clock.step(0.4)
        health.received(number)
        health.accepted()
        if number == 0:
            health.published(TIMINGS, age_ns=0)
        waiting_s = 0.4 * (number - 1)
        assert (health.status('', 0).level == OK) == (waiting_s <= SILENCE_S)
    assert health.status('', 0).message == (
        'frames arrive, but no mask for 2 s: the engine is slow or hangs'
    )
    clock.step(5)
    assert 'no mask for 7 s' in health.status('', 0).message, 'whether or not more arrive'
    health.received(8)
    health.accepted()
    health.published(TIMINGS, age_ns=0)
    assert health.status('', 0).level == OK


def test_frames_that_cannot_be_decoded_do_not_blame_the_engine(clock: FakeClock) -> None:
    health = CameraHealth('/image')
    for number in range(8):
        clock.step(0.4)
        health.received(number)
        health.dropped('corrupt')
    assert health.status('', 0).message == 'bad frames in the last 10 s: corrupt 8'


def test_bad_frames_warn_for_a_while_and_are_counted_for_good(clock: FakeClock) -> None:
    health = CameraHealth('/image')
    for reason in ('step', 'truncated', 'step'):
        health.received(1)
        health.dropped(reason)
    status = health.status('', 0)
    assert (status.level, status.message) == (
        WARN,
        'bad frames in the last 10 s: step 2, truncated 1',
    )
    clock.step(WINDOW_S + 0.1)
    health.received(2)
    status = health.status('', 0)
    assert status.level == OK
    assert values(status)['dropped.step'] == '2'


def test_only_a_stamp_that_jumps_back_counts_as_one(clock: FakeClock) -> None:
    del clock
    health = CameraHealth('/image')
    assert [health.received(stamp) for stamp in (5, 6, 6, 3, 4)] == [
        False,
        False,
        False,
        True,
        False,
    ]
    status = health.status('', 0)
    assert values(status)['stamp_backwards'] == '1'
    assert status.level == WARN


def test_the_window_forgets(clock: FakeClock) -> None:
    health = CameraHealth('/image')
    health.received(1)
    health.published(TIMINGS, age_ns=0)
    clock.step(WINDOW_S + 0.1)
    found = values(health.status('', 0))
    assert (found['rate_hz'], found['infer.p50_ms'], found['segmented']) == ('0.0', 'none', '1')


def test_a_frame_whose_stamp_cannot_be_read_is_received_all_the_same(clock: FakeClock) -> None:
    health = CameraHealth('/image')
    assert not health.received(100)
    clock.step(SILENCE_S)
    assert not health.received(None)
    clock.step(0.1)
    status = health.status('', 0)
    assert (status.level, values(status)['received']) == (OK, '2')
    assert health.received(99), 'older than the last stamp that was read'
