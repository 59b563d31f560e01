# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from collections import Counter
from collections.abc import Callable
from heapq import heappop, heappush
import threading
from typing import Any

import numpy as np
import pytest

from vidseg_ros.nodes.worker import Worker
from vidseg_ros.pipeline import Frame, Mailbox


class FakeSegmenter:
    """Returns the frames as results."""

    def __init__(self, act: Callable[[], None] = lambda: None) -> None:
        self.act = act
        self.confidences: list[bool] = []

    def segment(self, frames: list[Frame], *, confidence: bool) -> list[Frame]:
        self.confidences.append(confidence)
        self.act()
        return frames


def frame(camera: str) -> Frame:
    image = np.zeros((2, 2, 3), np.uint8)
    return Frame(camera=camera, image=image, context=None, received_ns=0, decoded_ns=0)


def start(
    segmenter: Any, *publish: Any, failures: Any = print, cameras: tuple[str, ...] = ()
) -> tuple[Worker, Mailbox]:
    mailbox = Mailbox()
    for camera in cameras:
        mailbox.put(frame(camera))
    worker = Worker(
        segmenter,
        mailbox,
        wants_confidence=lambda: True,
        publish=publish,
        failed=failures,
    )
    return worker, mailbox


def test_results_are_handed_on_and_confidence_is_asked_for() -> None:
    published: list[Any] = []
    done = threading.Event()

    def publish(result: Any) -> None:
        published.append(result.camera)
        done.set()

    segmenter = FakeSegmenter()
    worker, mailbox = start(segmenter, publish)
    mailbox.put(frame('a'))
    assert done.wait(5)
    assert worker.stop(5)
    assert published == ['a']
    assert segmenter.confidences == [True]


def test_no_camera_waits_for_the_extras_of_another() -> None:
    calls: list[tuple[str, str]] = []
    done = threading.Event()

    def publish_extras(result: Any) -> None:
        calls.append(('extras', result.camera))
        if result.camera == 'b':
            done.set()

    worker, _ = start(
        FakeSegmenter(),
        lambda result: calls.append(('mask', result.camera)),
        publish_extras,
        cameras=('a', 'b'),
    )
    assert done.wait(5)
    assert worker.stop(5)
    assert calls == [('mask', 'a'), ('mask', 'b'), ('extras', 'a'), ('extras', 'b')]


def test_nothing_more_is_published_once_stopped() -> None:
    busy, release = threading.Event(), threading.Event()
    published: list[str] = []

    def publish(result: Any) -> None:
        published.append(result.camera)
        busy.set()
        release.wait(10)

    worker, _ = start(FakeSegmenter(), publish, cameras=('a', 'b'))
    assert busy.wait(5)
    assert not worker.stop(0.01)
    release.set()
    assert worker.stop(5)
    assert published == ['a']


def test_a_failure_is_reported_once_and_ends_the_thread() -> None:
    failures: list[Exception] = []
    failed = threading.Event()
    error = RuntimeError('broken')

    def act() -> None:
        raise error

    def report(found: Exception) -> None:
        failures.append(found)
        failed.set()

    worker, mailbox = start(FakeSegmenter(act), print, failures=report)
    mailbox.put(frame('a'))
    assert failed.wait(5)
    assert worker.stop(5)
    assert failures == [error]


def test_stop_is_bounded_and_what_fails_afterwards_is_nobodys_business() -> None:
    busy, release = threading.Event(), threading.Event()
    failures: list[Exception] = []

    def act() -> None:
        busy.set()
        release.wait(10)
        msg = 'publishers are gone'
        raise RuntimeError(msg)

    worker, mailbox = start(FakeSegmenter(act), print, failures=failures.append)
    mailbox.put(frame('a'))
    assert busy.wait(5)
    assert not worker.stop(0.01)
    release.set()
    assert worker.stop(5)
    assert failures == []


class SlowSegmenter:
    """Lets cameras take pictures while it works; time passes only here."""

    def __init__(self, mailbox: Mailbox, periods_ms: list[float], frame_ms: float) -> None:
        self.mailbox, self.periods_ms, self.frame_ms = mailbox, periods_ms, frame_ms
        self.now_ms = 0.0
        self.taken: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.due: list[tuple[float, int]] = []
        for camera, period_ms in enumerate(periods_ms):
            heappush(self.due, (period_ms * camera / len(periods_ms), camera))
        self.work(1)

    def segment(self, frames: list[Frame], *, confidence: bool) -> list[Frame]:
        del confidence
        self.work(len(frames))
        self.done.update(frame.camera for frame in frames)
        return frames

    def work(self, frames: int) -> None:
        self.now_ms += frames * self.frame_ms
        while self.due[0][0] <= self.now_ms:
            at_ms, camera = heappop(self.due)
            heappush(self.due, (at_ms + self.periods_ms[camera], camera))
            self.taken[str(camera)] += 1
            self.mailbox.put(frame(str(camera)))


@pytest.mark.parametrize('frame_ms', [20, 33, 47, 125])
@pytest.mark.parametrize('periods_ms', [[100.0] * 6, [100.0] * 5 + [16.6]])
def test_six_cameras_that_outrun_the_engine_get_fair_shares(
    periods_ms: list[float], frame_ms: float
) -> None:
    mailbox = Mailbox()
    segmenter: Any = SlowSegmenter(mailbox, periods_ms, frame_ms)
    enough = threading.Event()

    def publish(_: Any) -> None:
        if segmenter.done.total() >= 600:
            enough.set()

    worker = Worker(
        segmenter,
        mailbox,
        wants_confidence=lambda: False,
        publish=(publish,),
        failed=print,
    )
    assert enough.wait(30)
    assert worker.stop(30)
    share = segmenter.done.total() / len(periods_ms)
    cameras = [str(camera) for camera in range(5)]  # the sixth may be faster
    assert min(segmenter.done[camera] for camera in cameras) > 0.8 * share
    assert segmenter.done.total() < 0.9 * segmenter.taken.total(), 'or else all had a turn'
