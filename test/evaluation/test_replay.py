# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A replay gives the known label maps of a ten-frame clip, and loses nothing on bad input."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
import json
import logging
from pathlib import Path
import threading
from typing import Final, Literal

import av
import cv2
import numpy as np
from numpy.typing import NDArray
import pytest

from vidseg_ros.bag_io import BagReader, BagWriter
from vidseg_ros.core.errors import ImageError, OutputError, SourceError
from vidseg_ros.core.image_codec import ColorOrder
from vidseg_ros.core.labels import LabelSet
from vidseg_ros.evaluation.replay import (
    DECODE_BOUNDARY,
    MaskFormat,
    Outputs,
    replay_offline,
    ReplayResults,
)
from vidseg_ros.evaluation.sources import open_source, Source, SourceFrame
from vidseg_ros.evaluation.summary import ReplaySummary
from vidseg_ros.evaluation.true_labels import LabelDirectory
from vidseg_ros.inference.engine import create_engine
from vidseg_ros.inference.prediction import Prediction, SegmentationEngine
from vidseg_ros.pipeline import Segmenter

FRAMES: Final = 10
FPS: Final = 15
START_NS: Final = 1_700_000_000_000_000_000
COLORS: Final = ((255, 0, 0), (0, 255, 0), (0, 0, 255))
LABELS: Final = LabelSet(names=('red', 'green', 'blue'), colors=COLORS)

Kind = Literal['bag', 'images', 'video']


def golden(index: int, scale: int = 4) -> NDArray[np.uint8]:
    """Return the label map of a frame: squares that move right by one square per frame."""
    ids = np.random.default_rng(5).integers(0, 3, (12, 16), np.uint8)
    return np.roll(ids, index, axis=1).repeat(scale, axis=0).repeat(scale, axis=1)


def picture(index: int) -> NDArray[np.uint8]:
    """Return the (48, 64, 3) RGB frame whose labels the tiny model knows."""
    return np.array(COLORS, np.uint8)[golden(index)]


def clip(path: Path, kind: Kind) -> Path:
    """Write the ten-frame clip."""
    if kind == 'bag':
        with BagWriter(path) as bag:
            for index in range(FRAMES):
                header = {'stamp_ns': START_NS + index * 10**9 // FPS, 'frame_id': 'front'}
                bag.write_image('/camera/image', picture(index), encoding='rgb8', **header)
        return path
    if kind == 'images':
        path.mkdir()
        for index in range(FRAMES):
            cv2.imwrite(str(path / f'{index:06d}.png'), picture(index)[..., ::-1])
        return path
    path = path.with_suffix('.mp4')
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('libx264', rate=FPS, options={'crf': '1'})
        stream.width, stream.height, stream.pix_fmt = 64, 48, 'yuv420p'
        for index in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(picture(index), format='rgb24')
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def read_masks(folder: Path) -> dict[str, NDArray[np.uint8]]:
    found = {}
    for file in sorted((folder / 'masks').glob('*.png')):
        ids = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        assert ids is not None
        found[file.stem] = ids.astype(np.uint8, casting='no')
    return found


def read_video(path: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format='rgb24') for frame in container.decode(video=0)]
    return [frame.astype(np.uint8, casting='no') for frame in frames]


class Broken(Source):
    """Ten frames from memory; some cannot be decoded, and it may break off."""

    kind = 'images'
    name = 'broken'
    frame_count = FRAMES
    fps = FPS

    def __init__(self, bad: dict[int, str] | None = None, ends_at: int = FRAMES) -> None:
        super().__init__()
        self.orders: list[ColorOrder] = []
        self._bad = bad or {}
        self._ends_at = ends_at

    def __iter__(self) -> Iterator[SourceFrame]:
        for index in range(FRAMES):
            if index == self._ends_at:
                msg = f'the file breaks off after frame {index}'
                raise SourceError(msg)

            def decode(order: ColorOrder, index: int = index) -> NDArray[np.uint8]:
                self.orders.append(order)
                if index in self._bad:
                    raise ImageError(self._bad[index], f'frame {index} is bad')
                return picture(index) if order == 'rgb8' else picture(index)[..., ::-1].copy()

            yield SourceFrame(
                index=index,
                name=f'{index:06d}',
                stamp_ns=index * round(1e9 / FPS),
                frame_id='',
                decode=decode,
            )


class BgrModel:
    """The tiny model, but it wants its colours in the other order."""

    has_confidence = False

    def __init__(self, engine: SegmentationEngine) -> None:
        self._engine, self.info = engine, engine.info
        self.card = replace(engine.card, input_order='bgr8')

    def infer(
        self, frames: Sequence[NDArray[np.uint8]], *, confidence: bool = False
    ) -> Prediction:
        return self._engine.infer([frame[..., ::-1] for frame in frames], confidence=confidence)

    def close(self) -> None:
        """Leave it to the fixture."""


@pytest.fixture(scope='module')
def engine(tiny_model: Path) -> Iterator[SegmentationEngine]:
    with closing(create_engine('onnxruntime', tiny_model)) as opened:
        yield opened


def run(
    engine: SegmentationEngine, source: Source, outputs: Outputs | None = None
) -> ReplaySummary:
    with ReplayResults(LABELS, outputs) as results:
        return replay_offline(source, Segmenter(engine), results)


@pytest.mark.parametrize('kind', ['bag', 'images', 'video'])
def test_golden_label_maps(tmp_path: Path, engine: SegmentationEngine, kind: Kind) -> None:
    outputs = Outputs(folder=tmp_path / 'out', fps=FPS)
    with open_source(clip(tmp_path / 'clip', kind)) as source:
        names = [frame.name for frame in source]
        summary = run(engine, source, outputs)
    masks = read_masks(outputs.folder)
    assert list(masks) == names
    for index, name in enumerate(names):
        np.testing.assert_array_equal(masks[name], golden(index), f'frame {index}')
    assert (summary.frames_segmented, summary.frames_seen, summary.drops) == (10, 10, {})
    assert (summary.mode, summary.source) == ('offline', source.name)
    assert (summary.model, summary.engine) == ('tiny', engine.info)
    assert summary.scores is None
    assert summary.error is None
    assert summary.wall_ns > 0
    stages = {item.stage: item for item in summary.latencies}
    assert list(stages) == ['decode', 'infer', 'fill', 'total']
    assert all(item.latency.count == FRAMES for item in summary.latencies)
    assert stages['decode'].boundary == DECODE_BOUNDARY[kind]


def test_the_same_run_twice_gives_the_same_files(
    tmp_path: Path, engine: SegmentationEngine
) -> None:
    folders = [tmp_path / 'first', tmp_path / 'second']
    for folder in folders:
        run(engine, Broken(bad={3: 'corrupt'}), Outputs(folder=folder))
    first, second = (
        {
            file.relative_to(folder): file.read_bytes()
            for file in folder.rglob('*.*')
            if file.name != 'summary.json'
        }
        for folder in folders
    )
    assert len(first) == 9 + 2 + 1
    assert first == second


def test_mask_bag_holds_the_golden_labels_under_the_recorded_headers(
    tmp_path: Path, engine: SegmentationEngine
) -> None:
    outputs = Outputs(folder=tmp_path / 'out', masks='bag', video=False, sheet=False)
    with open_source(clip(tmp_path / 'clip', 'bag')) as source:
        run(engine, source, outputs)
    with BagReader(outputs.folder / 'masks') as bag:
        images = list(bag.images('/segmentation/label_map'))
    assert len(images) == FRAMES
    for index, image in enumerate(images):
        np.testing.assert_array_equal(image.label_map(), golden(index))
        assert image.stamp_ns == START_NS + index * 1_000_000_000 // FPS
        assert image.frame_id == 'front'


def test_overlay_video_and_sheet_show_the_labels(
    tmp_path: Path, engine: SegmentationEngine
) -> None:
    outputs = Outputs(folder=tmp_path / 'out', masks='none', fps=FPS)
    run(engine, Broken(), outputs)
    pictures = read_video(outputs.folder / 'overlay.mp4')
    assert len(pictures) == FRAMES
    for index, shown in enumerate(pictures):
        # Label colours equal picture colours here, so the overlay looks like the picture.
        strongest = np.argmax(shown[2::4, 2::4], axis=-1)
        assert (strongest == golden(index, 1)).mean() > 0.95
    sheet = cv2.imread(str(outputs.folder / 'contact_sheet.png'))
    assert sheet is not None
    assert sheet.shape[1] > 4 * 320
    assert not (outputs.folder / 'masks').exists()


@pytest.mark.parametrize(
    ('masks', 'video', 'sheet', 'expected'),
    [
        ('none', False, False, []),
        ('png', False, False, ['masks']),
        ('bag', False, True, ['contact_sheet.png', 'masks']),
        ('none', True, False, ['overlay.mp4']),
    ],
)
def test_only_what_is_wanted_is_written(  # noqa: PLR0913 - parameters of the test
    *,
    tmp_path: Path,
    engine: SegmentationEngine,
    masks: MaskFormat,
    video: bool,
    sheet: bool,
    expected: list[str],
) -> None:
    outputs = Outputs(folder=tmp_path / 'out', masks=masks, video=video, sheet=sheet)
    run(engine, Broken(), outputs)
    found = sorted(file.name for file in outputs.folder.iterdir())
    assert found == sorted([*expected, '.vidseg', 'summary.json'])


def test_frames_reach_a_bgr_model_as_bgr_and_the_pictures_as_rgb(
    tmp_path: Path, engine: SegmentationEngine
) -> None:
    outputs = Outputs(folder=tmp_path / 'out', sheet=False)
    source = Broken()
    run(BgrModel(engine), source, outputs)
    assert set(source.orders) == {'bgr8'}
    for index, mask in enumerate(read_masks(outputs.folder).values()):
        np.testing.assert_array_equal(mask, golden(index))
    shown = read_video(outputs.folder / 'overlay.mp4')[0]
    strongest = np.argmax(shown[2::4, 2::4], axis=-1)
    assert (strongest == golden(0, 1)).mean() > 0.95


def test_bad_frames_are_counted_by_reason_and_the_rest_goes_on(
    tmp_path: Path, engine: SegmentationEngine, caplog: pytest.LogCaptureFixture
) -> None:
    outputs = Outputs(folder=tmp_path / 'out', fps=FPS)
    summary = run(engine, Broken(bad={0: 'step', 4: 'corrupt', 5: 'corrupt'}), outputs)
    assert summary.drops == {'step': 1, 'corrupt': 2}
    assert (summary.frames_segmented, summary.frames_seen) == (7, 10)
    masks = read_masks(outputs.folder)
    assert list(masks) == ['000001', '000002', '000003', '000006', '000007', '000008', '000009']
    np.testing.assert_array_equal(masks['000006'], golden(6))
    with open_source(outputs.folder / 'overlay.mp4') as video:
        shown = [frame.stamp_ns * FPS / 1e9 for frame in video]
    assert shown == pytest.approx([0, 1, 2, 5, 6, 7, 8], abs=1e-3), 'a gap stays a gap'
    warnings = [item.message for item in caplog.records if item.levelno == logging.WARNING]
    assert warnings == [
        'frame 000000 is skipped, and others like it: frame 0 is bad',
        'frame 000004 is skipped, and others like it: frame 4 is bad',
    ]


def test_without_one_good_frame_there_are_no_pictures_but_a_summary(
    tmp_path: Path, engine: SegmentationEngine
) -> None:
    outputs = Outputs(folder=tmp_path / 'out', masks='none')
    summary = run(engine, Broken(bad=dict.fromkeys(range(FRAMES), 'corrupt')), outputs)
    assert (summary.frames_segmented, summary.drops) == (0, {'corrupt': 10})
    assert {file.name for file in outputs.folder.iterdir()} == {'.vidseg', 'summary.json'}


def test_footage_that_breaks_off_keeps_what_came_before(
    tmp_path: Path, engine: SegmentationEngine
) -> None:
    outputs = Outputs(folder=tmp_path / 'out')
    summary = run(engine, Broken(bad={1: 'step'}, ends_at=4), outputs)
    assert (summary.frames_segmented, summary.drops) == (3, {'step': 1})
    assert summary.error == 'the file breaks off after frame 4'
    assert len(read_masks(outputs.folder)) == 3
    assert len(read_video(outputs.folder / 'overlay.mp4')) == 3
    written = json.loads((outputs.folder / 'summary.json').read_text())
    assert written == summary.to_dict()
    assert (written['error'], written['drops']) == (summary.error, {'step': 1})


def test_footage_without_a_first_frame_is_an_error(engine: SegmentationEngine) -> None:
    with pytest.raises(SourceError, match='breaks off after frame 0'):
        run(engine, Broken(ends_at=0))


def test_limit_and_progress(engine: SegmentationEngine) -> None:
    seen: list[int] = []
    with ReplayResults(LABELS) as results:
        summary = replay_offline(
            Broken(bad={1: 'corrupt'}),
            Segmenter(engine),
            results,
            on_frame=lambda frame: seen.append(frame.index),
            limit=4,
        )
    assert seen == [0, 1, 2, 3]
    assert (summary.frames_segmented, summary.frames_seen) == (3, 4)


def test_results_that_cannot_be_written_end_the_run(
    tmp_path: Path, engine: SegmentationEngine
) -> None:
    outputs = Outputs(folder=tmp_path / 'out', video=False, sheet=False)

    def fill_the_place_of_the_next_mask(frame: SourceFrame) -> None:
        if frame.index == 1:
            (outputs.folder / 'masks' / '000002.png').mkdir()

    with (
        ReplayResults(LABELS, outputs) as results,
        pytest.raises(OutputError, match=r'cannot write .*000002\.png'),
    ):
        replay_offline(
            Broken(), Segmenter(engine), results, on_frame=fill_the_place_of_the_next_mask
        )
    assert results.segmented == 2
    assert not [thread for thread in threading.enumerate() if 'vidseg engine' in thread.name]


def test_masks_at_network_size_are_written_and_scored(
    tmp_path: Path, engine: SegmentationEngine
) -> None:
    cv2.imwrite(str(tmp_path / '000002.png'), golden(2))
    outputs = Outputs(folder=tmp_path / 'out')
    with ReplayResults(LABELS, outputs, truth=LabelDirectory(tmp_path, LABELS)) as results:
        summary = replay_offline(Broken(), Segmenter(engine, 'network'), results)
    np.testing.assert_array_equal(read_masks(outputs.folder)['000002'], golden(2, 1))
    assert summary.scores is not None
    assert (summary.scores.frames, summary.scores.miou) == (1, 1)
    assert read_video(outputs.folder / 'overlay.mp4')[0].shape == (48, 64, 3)


def test_what_was_written_is_complete_after_an_interruption(
    tmp_path: Path, engine: SegmentationEngine
) -> None:
    outputs = Outputs(folder=tmp_path / 'out', masks='bag')

    def interrupt(frame: SourceFrame) -> None:
        if frame.index == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), ReplayResults(LABELS, outputs) as results:
        replay_offline(Broken(), Segmenter(engine), results, on_frame=interrupt)
    assert len(read_video(outputs.folder / 'overlay.mp4')) == 5
    assert (outputs.folder / 'contact_sheet.png').is_file()
    with BagReader(outputs.folder / 'masks') as bag:
        assert {topic.name: topic.count for topic in bag.topics}['/segmentation/label_map'] == 5


@pytest.mark.parametrize('first', ['png', 'bag'])
@pytest.mark.parametrize('second', ['png', 'bag', 'none'])
def test_overwriting_replaces_results_and_nothing_else(
    tmp_path: Path, engine: SegmentationEngine, first: MaskFormat, second: MaskFormat
) -> None:
    outputs = Outputs(folder=tmp_path / 'out', masks=first)
    run(engine, Broken(), outputs)
    (outputs.folder / 'notes.txt').write_text('mine')
    again = replace(outputs, masks=second, video=False, overwrite=True)
    run(engine, Broken(ends_at=2), again)
    found = {file.name for file in outputs.folder.iterdir()}
    expected = {'.vidseg', 'notes.txt', 'contact_sheet.png', 'summary.json'}
    assert found == expected | ({'masks'} if second != 'none' else set())
    if second == 'png':
        assert list(read_masks(outputs.folder)) == ['000000', '000001']
