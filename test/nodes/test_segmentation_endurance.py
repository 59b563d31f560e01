# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What must not wear the node out: transitions without end, a subscriber that stalls."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
import gc
from itertools import pairwise
import os
from pathlib import Path
import signal
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy')

MASKS = '/segmentation/label_map'
MEBI = 2**20
TRANSITIONS = ('CONFIGURE', 'ACTIVATE', 'DEACTIVATE', 'CLEANUP')

STALLING_SUBSCRIBER = f"""
import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node('stalling')
qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
node.create_subscription(Image, {MASKS!r}, lambda message: None, qos)
try:
    rclpy.spin(node)
except KeyboardInterrupt:
    pass
"""


def threads_and_files() -> tuple[int, int]:
    return threading.active_count(), len(list(Path('/proc/self/fd').iterdir()))


def resident_bytes() -> int:
    gc.collect()
    pages = Path('/proc/self/statm').read_text().split()[1]
    return int(pages) * os.sysconf('SC_PAGE_SIZE')


def least_growth(work: Callable[[], object], laps: int = 4) -> int:
    """Do the work several times; return by how many bytes memory grew in the best of the laps.

    What leaks, leaks in each of them; an allocator that takes another arena does so in one.
    """
    sizes = [resident_bytes()]
    for _ in range(laps):
        work()
        sizes.append(resident_bytes())
    return min(after - before for before, after in pairwise(sizes))


@pytest.mark.slow
def test_transitions_in_any_order_leave_nothing_behind(
    peer: Any, tiny_model: Path, scene: Any
) -> None:
    node = peer.start(model=str(tiny_model))
    peer.state()
    masks = peer.listen_later(MASKS)
    rng = np.random.default_rng(1)
    picture = scene()

    done: Counter[str] = Counter()

    def wander() -> None:
        end = done.total() + 60
        while done.total() < end:  # what the state does not have is refused and not done
            transition = str(rng.choice(TRANSITIONS))
            done[transition] += peer.request(transition)
            if node._worker is not None and rng.random() < 0.3:
                mask = peer.segment(picture.message(peer.header()), masks)
                np.testing.assert_array_equal(peer.pixels(mask), picture.labels)
                masks.clear()
        while node._engine is not None:  # one state to compare
            peer.request('DEACTIVATE')
            peer.request('CLEANUP')

    wander()
    before = threads_and_files()
    assert least_growth(wander) < 1.5 * MEBI
    assert threads_and_files() == before
    assert min(done[transition] for transition in TRANSITIONS) > 20


@contextmanager
def stalled_subscriber(peer: Any) -> Iterator[None]:
    """Subscribe to the masks, reliably, in a process that is then stopped."""
    others = peer.node.count_subscribers(MASKS)
    process = subprocess.Popen([sys.executable, '-c', STALLING_SUBSCRIBER], env=os.environ)
    try:
        peer.wait_for(lambda: peer.node.count_subscribers(MASKS) > others, 'subscriber')
        process.send_signal(signal.SIGSTOP)
        yield
    finally:
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGINT)
        try:
            process.wait(15)
        finally:
            process.kill()
            process.wait()


@pytest.mark.slow
def test_a_reliable_subscriber_that_stalls_holds_nobody_up_and_costs_no_memory(
    peer: Any, tiny_model: Path, scene: Any
) -> None:
    peer.start_active(model=str(tiny_model))
    masks = peer.listen(MASKS)
    picture = scene(720, 1280)

    def segment(count: int) -> None:
        for _ in range(count):
            mask = peer.segment(picture.message(peer.header()), masks)
            np.testing.assert_array_equal(peer.pixels(mask), picture.labels)
            masks.clear()

    segment(30)  # every page of the shared memory was used once
    with stalled_subscriber(peer):
        memory = resident_bytes()
        segment(200)
        kept = resident_bytes() - memory
    assert kept < 16 * MEBI, 'of 176 MiB of masks'
    assert not any('no mask' in log for log in peer.logs)


@pytest.mark.slow
def test_one_model_after_the_other(peer: Any, tiny_model: Path) -> None:
    node = peer.start_active(model=str(tiny_model))

    def swap(count: int) -> None:
        for _ in range(count):
            old = node._worker
            assert peer.set_parameters(model=str(tiny_model)).successful
            peer.wait_for(lambda old=old: node._worker not in (old, None), 'exchange')

    swap(20)
    before = threads_and_files()
    assert least_growth(partial(swap, 15)) < 1.5 * MEBI
    assert threads_and_files() == before
