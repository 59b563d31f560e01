# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The engine works while its neighbours do, and the order of everything stays."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
import threading
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray
import pytest

from vidseg_ros.core.errors import EngineError, ImageError, SourceError
from vidseg_ros.core.image_codec import ColorOrder
from vidseg_ros.core.labels import LabelSet
from vidseg_ros.core.model_card import ModelCard
from vidseg_ros.evaluation.lookahead import segment_ahead, segment_in_turn, Segmentations
from vidseg_ros.evaluation.sources import SourceFrame
from vidseg_ros.inference.prediction import EngineInfo, Prediction
from vidseg_ros.pipeline import Segmenter

FRAMES: Final = 6
WAIT_S: Final = 15.0


class Clip:
    """Frames whose pixels are their index; some cannot be decoded, and it may break off."""

    def __init__(self, bad: Sequence[int] = (), breaks_at: int = FRAMES) -> None:
        self.decoded = [threading.Event() for _ in range(FRAMES)]
        self._bad, self._breaks_at = bad, breaks_at

    def __iter__(self) -> Iterator[SourceFrame]:
        for index in range(FRAMES):
            if index == self._breaks_at:
                msg = f'breaks off after frame {index}'
                raise SourceError(msg)

            def decode(order: ColorOrder, index: int = index) -> NDArray[np.uint8]:
                assert order == 'bgr8'
                self.decoded[index].set()
                if index in self._bad:
                    raise ImageError('corrupt', f'frame {index} is bad')
                return np.full((2, 2, 3), index, np.uint8)

            yield SourceFrame(
                index=index, name=str(index), stamp_ns=index, frame_id='', decode=decode
            )


class Engine:
    """Labels every pixel by its first channel."""

    info = EngineInfo(name='first channel', version='0', device='none', precision='uint8')
    has_confidence = False
    card = ModelCard(
        name='first channel',
        network='none',
        labels=LabelSet(names=('a', 'b'), colors=((0, 0, 0), (1, 1, 1))),
        input_order='bgr8',
        input_size=(2, 2),
        precision='uint8',
        licence='',
        recipe='',
        datasets=(),
        scores=(),
    )

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []

    def infer(
        self, frames: Sequence[NDArray[np.uint8]], *, confidence: bool = False
    ) -> Prediction:
        assert not confidence
        self.threads.append(threading.current_thread())
        return Prediction(labels=np.stack(frames)[..., 0], confidence=None)

    def close(self) -> None:
        """Nothing is open."""


def ids(outcome: Segmentations | ImageError) -> int | str:
    """Return the id of all pixels of the only result, or why there is none."""
    if isinstance(outcome, ImageError):
        return str(outcome)
    (segmentation,) = outcome
    (found,) = np.unique(segmentation.labels)
    return int(found)


def test_every_frame_has_its_own_result_in_order() -> None:
    engine = Engine()
    found = list(segment_ahead(Clip(bad=[0, 3]), 'front', [Segmenter(engine)]))
    assert [item.index for item, _ in found] == list(range(FRAMES))
    assert [ids(outcome) for _, outcome in found] == [
        *('frame 0 is bad', 1, 2),
        *('frame 3 is bad', 4, 5),
    ]
    results = [(item, *outcome) for item, outcome in found if isinstance(outcome, tuple)]
    assert {result.frame.camera for _, result in results} == {'front'}
    assert all(result.frame.context is item for item, result in results)
    assert len(set(engine.threads)) == 1
    assert engine.threads[0] is not threading.current_thread()
    assert not engine.threads[0].is_alive()


def test_the_engine_works_while_the_next_frame_is_decoded_and_the_last_one_taken() -> None:
    clip = Clip()
    taken = [threading.Event() for _ in range(FRAMES)]
    met = []

    class Meeting(Engine):
        """Returns once the others have done what they can do in the meantime."""

        def infer(
            self, frames: Sequence[NDArray[np.uint8]], *, confidence: bool = False
        ) -> Prediction:
            index = len(met)
            others = [*clip.decoded[index + 1 : index + 2], *taken[:index]]
            met.append(all(event.wait(WAIT_S) for event in others))
            return super().infer(frames, confidence=confidence)

    for item, _ in segment_ahead(clip, 'front', [Segmenter(Meeting())]):
        taken[item.index].set()
    assert met == [True] * FRAMES


@pytest.mark.parametrize('breaks_at', [0, 1, 3])
def test_frames_before_the_damage_come_first(breaks_at: int) -> None:
    found: list[tuple[int, int | str]] = []
    outcomes = segment_ahead(Clip(breaks_at=breaks_at), '', [Segmenter(Engine())])
    with pytest.raises(SourceError, match=f'breaks off after frame {breaks_at}'):
        found.extend((item.index, ids(outcome)) for item, outcome in outcomes)
    assert found == [(index, index) for index in range(breaks_at)]


def test_frames_before_a_failure_of_the_engine_come_first() -> None:
    class Failing(Engine):
        def infer(
            self, frames: Sequence[NDArray[np.uint8]], *, confidence: bool = False
        ) -> Prediction:
            if frames[0][0, 0, 0] == 3:
                msg = 'no power'
                raise EngineError(msg)
            return super().infer(frames, confidence=confidence)

    found: list[int] = []
    outcomes = segment_ahead(Clip(), '', [Segmenter(Failing())])
    with pytest.raises(EngineError, match='no power'):
        found.extend(item.index for item, _ in outcomes)
    assert found == [0, 1, 2]


def test_after_close_the_engine_is_left_alone() -> None:
    engine = Engine()
    with closing(segment_ahead(Clip(), '', [Segmenter(engine)])) as outcomes:
        next(outcomes)
    calls = len(engine.threads)
    assert calls == 2
    assert not engine.threads[0].is_alive()


def test_several_models_see_the_same_frame_each_in_its_colour_order() -> None:
    class Rgb(Engine):
        card = replace(Engine.card, input_order='rgb8')

    class Ramp(Clip):
        """A frame whose channels are told apart."""

        def __iter__(self) -> Iterator[SourceFrame]:
            for item in super().__iter__():
                yield replace(item, decode=self._ramp)

        def _ramp(self, order: ColorOrder) -> NDArray[np.uint8]:
            self.orders.append(order)
            bgr = np.tile(np.array([1, 2, 3], np.uint8), (2, 2, 1))
            return bgr if order == 'bgr8' else bgr[..., ::-1]

        orders: ClassVar[list[ColorOrder]] = []

    both = [Segmenter(Engine()), Segmenter(Rgb())]
    for _, outcome in segment_ahead(Ramp(), 'front', both):
        assert isinstance(outcome, tuple)
        assert [result.labels[0, 0] for result in outcome] == [1, 3]
    assert Ramp.orders == ['bgr8'] * FRAMES, 'decoded once for both'


def test_in_turn_gives_the_same_in_one_thread() -> None:
    engine = Engine()
    clip = Clip(bad=[0, 3], breaks_at=5)
    found: list[tuple[int, int | str]] = []
    with pytest.raises(SourceError, match='breaks off after frame 5'):
        found.extend(
            (item.index, ids(outcome))
            for item, outcome in segment_in_turn(clip, 'front', [Segmenter(engine)])
        )
    assert found == [(0, 'frame 0 is bad'), (1, 1), (2, 2), (3, 'frame 3 is bad'), (4, 4)]
    assert set(engine.threads) == {threading.current_thread()}
