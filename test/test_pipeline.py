# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Newest frame wins, equal sizes go together, and no frame becomes floats on the host."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
import threading
import time
import tracemalloc
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
import pytest

from vidseg_ros import pipeline
from vidseg_ros.core.errors import ParameterError
from vidseg_ros.core.labels import LabelSet
from vidseg_ros.core.model_card import ModelCard
from vidseg_ros.inference.engine import create_engine
from vidseg_ros.inference.prediction import EngineInfo, Prediction, SegmentationEngine
from vidseg_ros.pipeline import Frame, Mailbox, Segmenter

COLORS = ((255, 0, 0), (0, 255, 0), (0, 0, 255))


@pytest.fixture(scope='module')
def engine(tiny_model: Path) -> Iterator[SegmentationEngine]:
    with closing(create_engine('onnxruntime', tiny_model)) as opened:
        yield opened


class RecordingEngine:
    """Labels every pixel with the frame's own value, and remembers the calls."""

    card = ModelCard(
        name='recording',
        network='none',
        labels=LabelSet(names=('a',), colors=((0, 0, 0),)),
        input_order='rgb8',
        input_size=(4, 6),
        precision='fp32',
        licence='',
        recipe='',
        datasets=(),
        scores=(),
    )
    info = EngineInfo(name='recording', version='0', device='none', precision='fp32')
    has_confidence = True

    def __init__(self) -> None:
        self.calls: list[list[tuple[int, ...]]] = []

    def infer(
        self, frames: Sequence[NDArray[np.uint8]], *, confidence: bool = False
    ) -> Prediction:
        self.calls.append([frame.shape for frame in frames])
        labels = np.stack([np.full((4, 6), frame[0, 0, 0]) for frame in frames])
        return Prediction(labels=labels, confidence=255 - labels if confidence else None)

    def close(self) -> None:
        """Nothing is open."""


def blocks(rows: int, columns: int, scale: int, seed: int = 0) -> NDArray[np.uint8]:
    """Return random class ids in squares of ``scale`` pixels."""
    ids = np.random.default_rng(seed).integers(0, 3, (rows, columns), np.uint8)
    return ids.repeat(scale, axis=0).repeat(scale, axis=1)


def painted(ids: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.array(COLORS, np.uint8)[ids]


def frame_of(camera: str, image: NDArray[np.uint8], context: object = None) -> Frame:
    now_ns = time.monotonic_ns()
    return Frame(
        camera=camera, image=image, context=context, received_ns=now_ns - 2000, decoded_ns=now_ns
    )


def plain(camera: str, value: int, size: tuple[int, int] = (8, 12)) -> Frame:
    return frame_of(camera, np.full((*size, 3), value, np.uint8), context=value)


def test_mailbox_keeps_the_newest_of_each_camera_and_counts_the_rest() -> None:
    mailbox = Mailbox()
    for camera, value in [('left', 1), ('right', 2), ('left', 3), ('left', 4)]:
        mailbox.put(plain(camera, value))
    assert [(frame.camera, frame.context) for frame in mailbox.take()] == [
        ('right', 2),
        ('left', 4),
    ]
    assert mailbox.replaced() == {'left': 2}
    assert mailbox.take(timeout_s=0) == []
    mailbox.put(plain('left', 5))
    assert mailbox.replaced() == {'left': 2}, 'a frame that was taken was not replaced'


def test_mailbox_counts_are_a_copy() -> None:
    mailbox = Mailbox()
    mailbox.put(plain('left', 1))
    mailbox.put(plain('left', 2))
    mailbox.replaced()['left'] = 99
    assert mailbox.replaced() == {'left': 1}


def test_closing_wakes_whoever_waits_and_drops_what_is_left() -> None:
    mailbox = Mailbox()
    taken: list[list[Frame]] = []
    waiting = threading.Thread(target=lambda: taken.append(mailbox.take()))
    waiting.start()
    mailbox.close()
    waiting.join(10)
    assert taken == [[]]
    mailbox.put(plain('left', 1))
    assert mailbox.take() == [], 'a closed mailbox waits for nothing and gives nothing'


def test_mailbox_between_two_threads_loses_no_frame_uncounted() -> None:
    mailbox, count = Mailbox(), 2000
    image = np.zeros((1, 1, 3), np.uint8)
    taken: list[Frame] = []

    def put_all() -> None:
        for value in range(count):
            mailbox.put(frame_of(('left', 'right')[value % 2], image, context=value))

    def take_all() -> None:
        while frames := mailbox.take():
            taken.extend(frames)

    taker, putter = threading.Thread(target=take_all), threading.Thread(target=put_all)
    taker.start()
    putter.start()
    putter.join(10)
    left = mailbox.take(timeout_s=0)
    mailbox.close()
    taker.join(10)
    assert not taker.is_alive()
    for camera, parity in (('left', 0), ('right', 1)):
        mine = [frame.context for frame in (*taken, *left) if frame.camera == camera]
        values = [value for value in mine if isinstance(value, int)]
        assert values == sorted(set(values)), 'out of order or twice'
        assert len(values) + mailbox.replaced().get(camera, 0) == count // 2
        assert values[-1] == count - 2 + parity, 'the newest frame got lost'


def test_who_puts_a_frame_lets_a_waiting_thread_take_it_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pipeline, 'HAND_OVER_S', 10.0)
    mailbox = Mailbox()
    taken: list[list[Frame]] = []

    def take_twice() -> None:
        taken.extend(mailbox.take() for _ in range(2))

    taker = threading.Thread(target=take_twice)
    taker.start()
    for value in range(2):
        deadline_s = time.monotonic() + 10
        while not mailbox._taker_waits and time.monotonic() < deadline_s:
            time.sleep(0.001)
        mailbox.put(plain('left', value))
        assert not mailbox._slots
    taker.join(10)
    assert [[frame.context for frame in frames] for frames in taken] == [[0], [1]]


def test_labels_are_the_known_ones_at_camera_size(engine: SegmentationEngine) -> None:
    ids = blocks(12, 16, 4)
    context = object()
    frame = frame_of('front', painted(ids), context)
    (found,) = Segmenter(engine).segment([frame])
    np.testing.assert_array_equal(found.labels, ids)
    assert found.frame is frame
    assert found.frame.context is context
    assert found.confidence is None


def test_labels_at_network_size(engine: SegmentationEngine) -> None:
    frame = frame_of('front', painted(blocks(12, 16, 4)))
    (found,) = Segmenter(engine, 'network').segment([frame], confidence=True)
    np.testing.assert_array_equal(found.labels, blocks(12, 16, 1))
    assert found.confidence is not None
    assert found.confidence.shape == (12, 16)


def test_labels_are_enlarged_without_new_ids_and_confidence_smoothly() -> None:
    frame = plain('front', 200, (40, 60))
    (found,) = Segmenter(RecordingEngine()).segment([frame], confidence=True)
    assert found.labels.shape == (40, 60)
    assert set(found.labels.flat) == {200}
    assert found.confidence is not None
    assert found.confidence.shape == (40, 60)
    assert set(found.confidence.flat) == {55}


def test_enlarged_labels_sit_at_pixel_centres(engine: SegmentationEngine) -> None:
    ids = blocks(12, 16, 1, seed=3)
    small = frame_of('front', painted(ids.repeat(10, axis=0).repeat(5, axis=1)))
    (found,) = Segmenter(engine).segment([small])
    np.testing.assert_array_equal(found.labels, ids.repeat(10, axis=0).repeat(5, axis=1))


@pytest.mark.parametrize('mask_size', ['camera', 'network'])
@pytest.mark.parametrize('scale', [1, 4])
def test_labels_are_written_where_their_frame_wants_them(
    engine: SegmentationEngine, mask_size: Literal['camera', 'network'], scale: int
) -> None:
    given: list[NDArray[np.uint8]] = []

    def place(height: int, width: int) -> NDArray[np.uint8]:
        # As in a serialised message: not aligned, in memory of somebody else.
        memory = np.frombuffer(bytearray(height * width + 5), np.uint8, offset=5)
        given.append(memory.reshape(height, width))
        return given[-1]

    frames = [
        frame_of(name, painted(blocks(12, 16, scale, seed))) for seed, name in enumerate('ab')
    ]
    segmenter = Segmenter(engine, mask_size)
    expected = segmenter.segment(frames, confidence=True)
    found = segmenter.segment([replace(f, place=place) for f in frames], confidence=True)
    for memory, wanted, result in zip(given, expected, found, strict=True):
        assert result.labels is memory
        np.testing.assert_array_equal(result.labels, wanted.labels)
        np.testing.assert_array_equal(result.confidence, wanted.confidence)


def test_memory_that_does_not_fit_is_a_bug(engine: SegmentationEngine) -> None:
    frame = frame_of('a', painted(blocks(12, 16, 4)))
    unfit = replace(frame, place=lambda height, width: np.empty((height + 1, width), np.uint8))
    with pytest.raises(AssertionError):
        Segmenter(engine).segment([unfit])


def test_equal_sizes_are_one_batch_and_the_order_is_kept() -> None:
    engine = RecordingEngine()
    frames = [
        plain('a', 1, (8, 12)),
        plain('b', 2, (16, 12)),
        plain('c', 3, (8, 12)),
        plain('d', 4, (16, 12)),
        plain('e', 5, (9, 9)),
    ]
    found = Segmenter(engine).segment(frames)
    assert engine.calls == [[(8, 12, 3)] * 2, [(16, 12, 3)] * 2, [(9, 9, 3)]]
    assert [result.frame for result in found] == frames
    for value, result in enumerate(found, 1):
        assert result.labels.shape == result.frame.image.shape[:2]
        assert set(result.labels.flat) == {value}


def test_no_frames_give_no_results() -> None:
    engine = RecordingEngine()
    assert Segmenter(engine).segment([]) == []
    assert engine.calls == []


def test_timings_are_the_frames_own_and_never_negative(engine: SegmentationEngine) -> None:
    frames = [plain('a', 1), plain('b', 2)]
    started_ns = time.monotonic_ns()
    found = Segmenter(engine).segment(frames)
    elapsed_ns = time.monotonic_ns() - started_ns
    for result in found:
        timings = result.timings
        assert timings.decode_ns == 2000
        assert timings.wait_ns > 0
        assert timings.infer_ns > 0
        assert timings.fill_ns >= 0
        assert timings.infer_ns + timings.fill_ns <= elapsed_ns
    assert found[0].timings.infer_ns == found[1].timings.infer_ns, 'one batch, one time'


def test_results_belong_to_the_caller(engine: SegmentationEngine) -> None:
    segmenter = Segmenter(engine, 'network')
    (first,) = segmenter.segment([frame_of('a', painted(blocks(12, 16, 1)))])
    segmenter.segment([frame_of('a', painted(blocks(12, 16, 1, seed=1)))])
    np.testing.assert_array_equal(first.labels, blocks(12, 16, 1))


def test_two_threads_with_a_segmenter_each_do_not_disturb_each_other(tiny_model: Path) -> None:
    wrong: list[int] = []

    def work(seed: int) -> None:
        with closing(create_engine('onnxruntime', tiny_model)) as own:
            segmenter = Segmenter(own)
            for step in range(20):
                ids = blocks(12, 16, 4, seed=seed + step)
                (found,) = segmenter.segment([frame_of('a', painted(ids))])
                if not np.array_equal(found.labels, ids):
                    wrong.append(seed + step)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in (0, 1000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []


@pytest.mark.parametrize('mask_size', ['camera', 'network'])
def test_no_frame_becomes_floats(
    engine: SegmentationEngine, mask_size: Literal['camera', 'network']
) -> None:
    height, width = 1080, 1920
    frame = frame_of('front', np.zeros((height, width, 3), np.uint8))
    segmenter = Segmenter(engine, mask_size)
    segmenter.segment([frame], confidence=True)
    tracemalloc.start()
    try:
        (found,) = segmenter.segment([frame], confidence=True)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.labels.dtype == np.uint8
    assert found.confidence is not None
    assert found.confidence.dtype == np.uint8
    # The two results alone are 2 bytes a pixel; one float plane would be 4 more.
    assert peak < (2 if mask_size == 'camera' else 0) * height * width + 100_000


def test_opencv_allocations_are_traced() -> None:
    """What the test above relies on."""
    plane = np.zeros((500, 500), np.uint8)
    tracemalloc.start()
    try:
        kept = cv2.resize(plane, (1000, 1000))
        current, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert current >= kept.nbytes


def test_frames_are_only_read(engine: SegmentationEngine) -> None:
    image = painted(blocks(12, 16, 4))
    before = image.copy()
    image.setflags(write=False)
    Segmenter(engine).segment([frame_of('front', image)], confidence=True)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(('size', 'expected'), [(None, (4, 6, 3)), ((720, 1280), (720, 1280, 3))])
def test_warm_up_runs_once_at_the_size_asked_for(
    size: tuple[int, int] | None, expected: tuple[int, int, int]
) -> None:
    engine = RecordingEngine()
    Segmenter(engine).warm_up(size)
    assert engine.calls == [[expected]]


def test_another_mask_size_is_refused() -> None:
    with pytest.raises(ParameterError, match="one of camera, network, not 'half'"):
        Segmenter(RecordingEngine(), 'half')  # type: ignore[arg-type]  # the error is wanted
