# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy')

from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data, QoSProfile
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image

from vidseg_ros.bag_io import BagReader, BagWriter, IMAGE_TYPE
from vidseg_ros.bag_io.messages import read_header, serialize_image
from vidseg_ros.core.errors import ParameterError
from vidseg_ros.evaluation.sources import open_source, Source
from vidseg_ros.nodes import bag_player
from vidseg_ros.nodes.bag_player import BagPlayer

START_NS = 1_000_000_000
STEP_NS = 20_000_000


def picture(number: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.full((6, 8, 3), (number, 2 * number, 255 - number), np.uint8)


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    path = tmp_path / 'bag'
    with BagWriter(path) as writer:
        for number in range(5):
            writer.write_image(
                '/cam',
                picture(number),
                encoding='rgb8',
                stamp_ns=START_NS + number * STEP_NS,
                frame_id='front',
            )
    return path


class Listener:
    """Keeps what a subscriber in the same process receives."""

    def __init__(self, context: Context) -> None:
        self.received: list[Any] = []
        self._node = Node('listener', context=context)
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def subscribe(self, kind: type, topic: str, *, raw: bool = False, depth: int = 10) -> None:
        qos = QoSProfile(depth=depth, reliability=qos_profile_sensor_data.reliability)
        self._node.create_subscription(kind, topic, self.received.append, qos, raw=raw)

    def wait(self, count: int) -> None:
        deadline = time.monotonic() + 20
        while len(self.received) < count:
            assert time.monotonic() < deadline, f'{len(self.received)} of {count} came'
            time.sleep(0.01)

    def close(self) -> None:
        self._executor.shutdown()
        self._thread.join()
        self._node.destroy_node()

    def _spin(self) -> None:
        with suppress(ExternalShutdownException):
            self._executor.spin()


@pytest.fixture
def listener(context: Context) -> Iterator[Listener]:
    listener = Listener(context)
    yield listener
    listener.close()


MakePlayer = Callable[..., BagPlayer]


@pytest.fixture
def make_player(context: Context) -> Iterator[MakePlayer]:
    players: list[BagPlayer] = []

    def make(source: Source, **options: Any) -> BagPlayer:
        players.append(BagPlayer(source, context=context, **options))
        return players[-1]

    yield make
    for player in players:
        player.destroy_node()


def test_messages_of_a_bag_arrive_byte_for_byte_at_a_best_effort_subscriber(
    bag: Path, make_player: MakePlayer, listener: Listener
) -> None:
    listener.subscribe(Image, 'image', raw=True, depth=1)
    with open_source(bag) as source:
        player = make_player(source)
        assert not player.compressed
        assert player.wait_for_subscriber(20)
        played = list(player.play())
        listener.wait(5)
    with BagReader(bag) as recorded:
        assert listener.received == [image.cdr for image in recorded.images('/cam')]
    assert [frame.index for frame, _ in played] == [0, 1, 2, 3, 4]


def test_frames_keep_their_distance_in_time_and_rate_shrinks_it(
    bag: Path, make_player: MakePlayer
) -> None:
    with open_source(bag) as source:
        for rate in (1.0, 4.0):
            times_ns = [at for _, at in make_player(source, rate=rate).play()]
            # Never sooner than recorded; how much later is up to the machine.
            assert times_ns[-1] - times_ns[0] >= 4 * STEP_NS / rate - STEP_NS


def test_compressed_messages_have_their_own_topic(
    tmp_path: Path, make_player: MakePlayer, listener: Listener
) -> None:
    data = cv2.imencode('.png', picture(9))[1].tobytes()
    with BagWriter(tmp_path / 'bag') as writer:
        writer.write_compressed('/cam', data, encoding='png', stamp_ns=START_NS, frame_id='f')
    listener.subscribe(CompressedImage, 'image/compressed')
    with open_source(tmp_path / 'bag') as source:
        player = make_player(source)
        assert player.compressed
        assert player.wait_for_subscriber(20)
        assert len(list(player.play())) == 1
        listener.wait(1)
    (message,) = listener.received
    assert bytes(message.data) == data
    assert (message.format, message.header.frame_id) == ('png', 'f')


def test_a_folder_of_images_becomes_bgr8_messages_with_stamps_and_a_clock(
    tmp_path: Path, context: Context, make_player: MakePlayer, listener: Listener
) -> None:
    for number in range(2):
        cv2.imwrite(str(tmp_path / f'{number}.png'), picture(number + 1))
    listener.subscribe(Image, 'image')
    clock = Listener(context)
    clock.subscribe(Clock, '/clock')
    with open_source(tmp_path) as source:
        player = make_player(source, rate=0.1, clock_hz=200)
        assert player.wait_for_subscriber(20, also=['/clock'])
        wait_until(
            lambda: bool(clock.received) or player.wait_for_subscriber(0.1, also=['/nobody'])
        )
        assert len(list(player.play())) == 2
        listener.wait(2)
        wait_until(lambda: nanoseconds(clock.received[-1].clock) == 66_666_666)
    clock.close()
    for number, message in enumerate(listener.received):
        assert (message.encoding, message.height, message.width) == ('bgr8', 6, 8)
        assert message.header.frame_id == 'camera'
        pixels = np.frombuffer(message.data, np.uint8).reshape(6, 8, 3)
        np.testing.assert_array_equal(pixels, picture(number + 1))
    second = listener.received[1].header.stamp
    assert (second.sec, second.nanosec) == (0, 66_666_666)
    times = [nanoseconds(item.clock) for item in clock.received]
    assert times == sorted(times)
    assert times[0] == 0, 'the first stamp is not shown while the player waits'
    assert any(0 < time_ns < 66_666_666 for time_ns in times), 'time stands between frames'


def nanoseconds(stamp: Any) -> int:
    return int(stamp.sec) * 10**9 + int(stamp.nanosec)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_truncated_message_is_left_out(
    tmp_path: Path, bag: Path, make_player: MakePlayer
) -> None:
    with BagReader(bag) as reader, BagWriter(tmp_path / 'cut') as writer:
        for number, image in enumerate(reader.images('/cam')):
            cdr = image.cdr[:-7] if number == 2 else image.cdr
            writer.write_raw('/cam', IMAGE_TYPE, cdr, image.log_ns)
    with open_source(tmp_path / 'cut') as source:
        played = [frame.index for frame, _ in make_player(source).play()]
    assert played == [0, 1, 3, 4]


def test_a_loop_goes_on_with_rising_stamps_until_ros_shuts_down(
    bag: Path, context: Context, make_player: MakePlayer, listener: Listener
) -> None:
    listener.subscribe(Image, 'image', raw=True)
    played = []
    with open_source(bag) as source:
        player = make_player(source, loop=True, rate=10)
        assert player.wait_for_subscriber(20)
        for frame, _ in player.play():
            played.append(frame.stamp_ns)
            if len(played) == 12:
                break
        listener.wait(12)
        context.try_shutdown()
        assert list(player.play()) == []
    assert played == [START_NS + i * STEP_NS for i in range(12)]
    with BagReader(bag) as reader:
        recorded = [image.cdr for image in reader.images('/cam')]
    for number, cdr in enumerate(listener.received):
        assert read_header(cdr) == (START_NS + number * STEP_NS, 'front')
        assert cdr[12:] == recorded[number % 5][12:]


def test_a_round_starts_after_the_latest_stamp_even_where_stamps_jump_back(
    tmp_path: Path, make_player: MakePlayer
) -> None:
    with BagWriter(tmp_path / 'bag') as writer:
        for at_ms, stamp_ms in ((0, 100), (20, 300), (40, 200)):
            cdr = serialize_image(
                picture(1), encoding='rgb8', stamp_ns=stamp_ms * 1_000_000, frame_id='front'
            )
            writer.write_raw('/cam', IMAGE_TYPE, cdr, at_ms * 1_000_000)
    with open_source(tmp_path / 'bag') as source:
        assert source.fps == pytest.approx(5)
        frames = make_player(source, loop=True, rate=1000).play()
        stamps = [next(frames)[0].stamp_ns // 1_000_000 for _ in range(6)]
    assert stamps == [100, 300, 200, 500, 700, 600]


@pytest.mark.parametrize(('first_s', 'rounds'), [(-3, 2), (2**31 - 2, 1)])
def test_a_loop_leaves_out_only_stamps_that_no_message_holds(
    tmp_path: Path,
    make_player: MakePlayer,
    monkeypatch: pytest.MonkeyPatch,
    first_s: int,
    rounds: int,
) -> None:
    second_ns = 1_000_000_000
    with BagWriter(tmp_path / 'bag') as writer:
        for number in range(2):
            stamp_ns = (first_s + number) * second_ns
            cdr = serialize_image(picture(1), encoding='rgb8', stamp_ns=stamp_ns, frame_id='front')
            writer.write_raw('/cam', IMAGE_TYPE, cdr, number * second_ns)
    with open_source(tmp_path / 'bag') as source:
        player = make_player(source, loop=True, rate=1000, clock_hz=100)
        two_rounds = list(islice(player._frames(second_ns), 4))
        monkeypatch.setattr(player, '_frames', lambda _: iter(two_rounds))
        stamps = [frame.stamp_ns // second_ns for frame, _ in player.play()]
    assert stamps == [first_s + number for number in range(2 * rounds)]


def test_nobody_listening_is_noticed_in_time(bag: Path, make_player: MakePlayer) -> None:
    with open_source(bag) as source:
        assert not make_player(source).wait_for_subscriber(0.1)


def test_the_player_also_waits_for_the_subscriber_of_another_topic(
    bag: Path, make_player: MakePlayer, listener: Listener
) -> None:
    listener.subscribe(Image, 'image')
    with open_source(bag) as source:
        player = make_player(source)
        assert player.wait_for_subscriber(20)
        assert not player.wait_for_subscriber(0.1, also=['segmentation/label_map'])
        listener.subscribe(Image, 'segmentation/label_map')
        assert player.wait_for_subscriber(20, also=['segmentation/label_map'])


@pytest.mark.parametrize('rate', [0.0, -1.0, float('nan')])
def test_a_rate_that_goes_nowhere_is_refused(
    bag: Path, make_player: MakePlayer, rate: float
) -> None:
    with open_source(bag) as source:
        with pytest.raises(ParameterError, match=r'^rate must be above 0'):
            make_player(source, rate=rate)
        with pytest.raises(ParameterError, match=r'^clock rate must be above 0'):
            make_player(source, clock_hz=rate)


def test_schedule_waits_as_recorded_but_never_bursts(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0, 0, 0, 0, 500, 0, 0])
    monkeypatch.setattr(bag_player.time, 'monotonic_ns', lambda: next(clock))
    schedule = bag_player._Schedule(period_ns=30, rate=2)
    assert schedule.next(1000) == 0
    assert schedule.next(1040) == 20
    assert schedule.next(1080) == 40
    # The clock says 500 now: late, so this frame is due at once, the next a step later.
    assert schedule.next(1120) == 500
    assert schedule.next(1160) == 520
    # Back in time: one period.
    assert schedule.next(0) == 535


def test_command_line_plays_and_names_errors(
    bag: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    domain = ['--ros-args', '-r', 'image:=/elsewhere']
    assert bag_player.main([str(bag), '--wait', '0', '--rate', '50', *domain]) == 0
    said = capfd.readouterr().err
    assert f'the frames of /cam in {bag} go to /elsewhere, at 50 times the recorded rate' in said
    assert 'no subscriber of the frames after 0 s' in said
    assert bag_player.main([str(bag), '--wait', '0', '--wait-for', 'masks', *domain]) == 2
    said = capfd.readouterr().err
    assert 'bag_player: no subscriber of the frames, masks after 0 s, so nothing is played' in said
    assert 'frames played' not in said
    assert bag_player.main([str(tmp_path / 'none')]) == 2
    assert 'bag_player: no footage at' in capfd.readouterr().err


def test_sigterm_ends_a_player_with_a_clock_cleanly(
    tmp_path: Path, bag: Path, listener: Listener
) -> None:
    listener.subscribe(Clock, '/clock')
    command = [sys.executable, '-m', 'vidseg_ros.nodes.bag_player', str(bag), '--loop']
    log = tmp_path / 'log.txt'
    with log.open('wb') as output:
        process = subprocess.Popen(
            # Slow, so that it sleeps between two frames when the signal comes.
            [*command, '--clock', '--wait', '0', '--rate', '0.001'],
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=Path(__file__).parents[2],
        )
    try:
        listener.wait(5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
    assert 'Traceback' not in log.read_text()
