# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A replay gives the known label maps of a ten-frame clip, and loses nothing on bad input."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
import json
import logging
from pathlib import Path
from typing import Final, Literal

import av
import cv2
import numpy as np
from numpy.typing import NDArray
import pytest

from vidseg_ros.bag_io import BagReader, BagWriter
from vidseg_ros.core.errors import ImageError, ModelError, OutputError, SourceError
from vidseg_ros.core.image_codec import ColorOrder
from vidseg_ros.core.labels import LabelSet
from vidseg_ros.core.model_card import ModelCard
from vidseg_ros.evaluation.replay import (
    claim_folder,
    DECODE_BOUNDARY,
    MARKER,
    MaskFormat,
    Outputs,
    replay_offline,
    ReplayResults,
    write_json,
)
from vidseg_ros.evaluation.sources import LabelDirectory, open_source, Source, SourceFrame
from vidseg_ros.evaluation.summary import ReplaySummary
from vidseg_ros.inference.engine import create_engine
from vidseg_ros.inference.prediction import EngineInfo, Prediction, SegmentationEngine
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
                bag.write_image(
                    '/camera/image',
                    picture(index),
                    encoding='rgb8',
                    stamp_ns=START_NS + index * 1_000_000_000 // FPS,
                    frame_id='front',
                )
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


def write_labels(folder: Path, maps: dict[str, NDArray[np.uint8]]) -> LabelDirectory:
    folder.mkdir()
    for name, ids in maps.items():
        cv2.imwrite(str(folder / f'{name}.png'), ids)
    return LabelDirectory(folder, LABELS)


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


class StrongestChannel:
    """Labels every pixel by its strongest channel in the card's order, plus an offset."""

    info = EngineInfo(name='strongest', version='0', device='none', precision='uint8')
    has_confidence = False

    def __init__(self, order: ColorOrder = 'rgb8', offset: int = 0) -> None:
        self.card = ModelCard(
            name='strongest',
            network='argmax',
            labels=LABELS,
            input_order=order,
            input_size=(48, 64),
            precision='uint8',
            licence='',
            recipe='',
            datasets=(),
            scores=(),
        )
        self._offset = offset

    def infer(
        self, frames: Sequence[NDArray[np.uint8]], *, confidence: bool = False
    ) -> Prediction:
        assert not confidence or frames[0].max() == 0, 'confidence is for the warm-up only'
        channels = np.argmax(np.stack(frames), axis=-1)
        if self.card.input_order == 'bgr8':
            channels = 2 - channels
        return Prediction(labels=(channels + self._offset).astype(np.uint8), confidence=None)

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture(scope='module')
def engine(tiny_model: Path) -> Iterator[SegmentationEngine]:
    with closing(create_engine('onnxruntime', tiny_model)) as opened:
        yield opened


def run(
    engine: SegmentationEngine,
    source: Source,
    outputs: Outputs | None = None,
    truth: LabelDirectory | None = None,
) -> ReplaySummary:
    with ReplayResults(LABELS, outputs, truth=truth) as results:
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
        images = list(bag.images(bag.image_topic()))
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


def test_summary_file_is_the_summary(tmp_path: Path, engine: SegmentationEngine) -> None:
    outputs = Outputs(folder=tmp_path / 'out', masks='none', video=False, sheet=False)
    summary = run(engine, Broken(bad={0: 'step'}), outputs)
    written = json.loads((outputs.folder / 'summary.json').read_text())
    assert written == summary.to_dict()
    assert written['drops'] == {'step': 1}


def test_frames_reach_a_bgr_model_as_bgr_and_the_pictures_as_rgb(tmp_path: Path) -> None:
    outputs = Outputs(folder=tmp_path / 'out', sheet=False)
    source = Broken()
    run(StrongestChannel('bgr8'), source, outputs)
    assert set(source.orders) == {'bgr8'}
    for index, mask in enumerate(read_masks(outputs.folder).values()):
        np.testing.assert_array_equal(mask, golden(index))
    shown = read_video(outputs.folder / 'overlay.mp4')[0]
    strongest = np.argmax(shown[2::4, 2::4], axis=-1)
    assert (strongest == golden(0, 1)).mean() > 0.95


def test_bad_frames_are_counted_by_reason_and_the_rest_goes_on(
    tmp_path: Path, engine: SegmentationEngine, caplog: pytest.LogCaptureFixture
) -> None:
    outputs = Outputs(folder=tmp_path / 'out')
    summary = run(engine, Broken(bad={0: 'step', 4: 'corrupt', 5: 'corrupt'}), outputs)
    assert summary.drops == {'step': 1, 'corrupt': 2}
    assert (summary.frames_segmented, summary.frames_seen) == (7, 10)
    masks = read_masks(outputs.folder)
    assert list(masks) == ['000001', '000002', '000003', '000006', '000007', '000008', '000009']
    np.testing.assert_array_equal(masks['000006'], golden(6))
    assert len(read_video(outputs.folder / 'overlay.mp4')) == 7
    warnings = [item.message for item in caplog.records if item.levelno == logging.WARNING]
    assert warnings == [
        'frame 000000 is skipped, and others like it: frame 0 is bad',
        'frame 000004 is skipped, and others like it: frame 4 is bad',
    ]


def test_the_video_lasts_as_long_as_the_drive_without_its_bad_frames(
    tmp_path: Path, engine: SegmentationEngine
) -> None:
    outputs = Outputs(folder=tmp_path / 'out', fps=FPS)
    run(engine, Broken(bad={1: 'corrupt', 4: 'corrupt', 5: 'corrupt'}), outputs)
    with open_source(outputs.folder / 'overlay.mp4') as source:
        shown = [frame.stamp_ns * FPS / 1e9 for frame in source]
    assert shown == pytest.approx([0, 2, 3, 6, 7, 8, 9], abs=1e-3)


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
    summary = run(engine, Broken(ends_at=3), outputs)
    assert summary.frames_segmented == 3
    assert summary.error == 'the file breaks off after frame 3'
    assert len(read_masks(outputs.folder)) == 3
    assert len(read_video(outputs.folder / 'overlay.mp4')) == 3
    written = json.loads((outputs.folder / 'summary.json').read_text())
    assert written['error'] == 'the file breaks off after frame 3'


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


def test_scores_by_hand(tmp_path: Path, engine: SegmentationEngine) -> None:
    wrong = golden(0).copy()
    wrong[:4, :4] = (wrong[:4, :4] + 1) % 3  # one square of 16 pixels has another true class
    void = golden(1).copy()
    void[:24] = 11  # ids without a class are not scored
    truth = write_labels(tmp_path / 'labels', {'000000': wrong, '000001': void})
    summary = run(engine, Broken(), truth=truth)
    predicted = np.concatenate([golden(0).ravel(), golden(1)[24:].ravel()])
    true = np.concatenate([wrong.ravel(), void[24:].ravel()])
    ious = [
        ((true == c) & (predicted == c)).sum() / ((true == c) | (predicted == c)).sum()
        for c in range(3)
    ]
    assert summary.scores is not None
    assert summary.scores.frames == 2
    assert [item.iou for item in summary.scores.classes] == pytest.approx(ious)
    assert [item.pixels for item in summary.scores.classes] == np.bincount(true).tolist()
    assert summary.scores.miou == pytest.approx(sum(ious) / 3)
    assert summary.scores.miou < 1


def test_masks_at_network_size_score_against_labels_at_camera_size(
    tmp_path: Path, engine: SegmentationEngine
) -> None:
    truth = write_labels(tmp_path / 'labels', {'000002': golden(2)})
    outputs = Outputs(folder=tmp_path / 'out')
    with ReplayResults(LABELS, outputs, truth=truth) as results:
        summary = replay_offline(Broken(), Segmenter(engine, 'network'), results)
    np.testing.assert_array_equal(read_masks(outputs.folder)['000002'], golden(2, 1))
    assert summary.scores is not None
    assert summary.scores.miou == 1
    assert read_video(outputs.folder / 'overlay.mp4')[0].shape == (48, 64, 3)


def test_labels_at_half_size_are_scored(tmp_path: Path, engine: SegmentationEngine) -> None:
    truth = write_labels(tmp_path / 'labels', {'000002': golden(2, 2)})
    summary = run(engine, Broken(), truth=truth)
    assert summary.scores is not None
    assert summary.scores.miou == 1
    assert sum(item.pixels for item in summary.scores.classes) == 24 * 32


def test_labels_of_other_footage_are_refused(tmp_path: Path, engine: SegmentationEngine) -> None:
    truth = write_labels(tmp_path / 'labels', {'000000': golden(0)[:, :60]})
    with pytest.raises(SourceError, match='frame 000000 are 60x48, the frame is 64x48'):
        run(engine, Broken(), truth=truth)


def test_exact_labels_may_be_given_with_the_frame() -> None:
    (frame, *_) = Broken()
    with ReplayResults(LABELS) as results:
        results.add(frame, picture(0), golden(0), truth=golden(0))
        results.skip('replaced', 3)
        scores = results.scores()
    assert scores is not None
    assert scores.miou == 1
    assert (results.segmented, results.drops) == (1, {'replaced': 3})


def test_a_model_with_more_classes_than_its_card_says_is_refused(tmp_path: Path) -> None:
    truth = write_labels(tmp_path / 'labels', {'000000': golden(0)})
    message = 'frame 000000: predicted id 3 is out of range .* does not fit its card'
    with pytest.raises(ModelError, match=message):
        run(StrongestChannel(offset=1), Broken(), truth=truth)


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
        assert {topic.name: topic.count for topic in bag.topics}[bag.image_topic()] == 5


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / 'holiday.png').touch()
    with (
        pytest.raises(
            OutputError, match='is not empty; choose another --out: vidseg did not make'
        ),
        ReplayResults(LABELS, Outputs(folder=tmp_path)),
    ):
        pass
    assert [file.name for file in tmp_path.iterdir()] == ['holiday.png']


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


def test_overwriting_takes_nothing_from_a_folder_of_somebody_else(tmp_path: Path) -> None:
    (tmp_path / 'masks').mkdir()
    for name in ('masks/000001.png', 'masks/drive.mcap', 'overlay.mp4', 'summary.json'):
        (tmp_path / name).write_text('mine')
    with (
        pytest.raises(
            OutputError, match='is not empty; choose another --out: vidseg did not make'
        ),
        ReplayResults(LABELS, Outputs(folder=tmp_path, overwrite=True)),
    ):
        pass
    found = [file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob('*')]
    assert sorted(found) == [
        'masks',
        'masks/000001.png',
        'masks/drive.mcap',
        'overlay.mp4',
        'summary.json',
    ]


def test_overwriting_stops_at_a_foreign_file_among_the_masks(
    tmp_path: Path, engine: SegmentationEngine
) -> None:
    outputs = Outputs(folder=tmp_path, overwrite=True)
    run(engine, Broken(), outputs)
    (tmp_path / 'masks' / 'notes.txt').write_text('mine')
    with pytest.raises(OutputError, match=r"not empty: '.*masks'; choose another --out"):
        run(engine, Broken(), outputs)
    assert (tmp_path / 'masks' / 'notes.txt').read_text() == 'mine'


def test_overwriting_does_not_follow_links(tmp_path: Path, engine: SegmentationEngine) -> None:
    (tmp_path / 'labels').mkdir()
    (tmp_path / 'labels' / '000001.png').write_text('mine')
    outputs = Outputs(folder=tmp_path / 'out', masks='none', overwrite=True)
    run(engine, Broken(), outputs)
    (outputs.folder / 'masks').symlink_to(tmp_path / 'labels')
    run(engine, Broken(), outputs)
    assert not (outputs.folder / 'masks').exists()
    assert (tmp_path / 'labels' / '000001.png').read_text() == 'mine'


def test_a_run_that_left_nothing_does_not_block_the_next(tmp_path: Path) -> None:
    outputs = Outputs(folder=tmp_path / 'out', masks='none')
    for _ in range(2):
        with ReplayResults(LABELS, outputs):
            pass
    assert [path.name for path in outputs.folder.iterdir() if path.stat().st_size] == [MARKER]


def test_a_folder_that_cannot_be_made_says_where(tmp_path: Path) -> None:
    (tmp_path / 'file').touch()
    with (
        pytest.raises(OutputError, match=r'cannot write to .*file/out'),
        ReplayResults(LABELS, Outputs(folder=tmp_path / 'file' / 'out')),
    ):
        pass


def test_json_that_cannot_be_written_says_where(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r'cannot write .*missing/summary\.json'):
        write_json(tmp_path / 'missing' / 'summary.json', {})


def test_input_among_the_results_is_refused_and_kept(tmp_path: Path) -> None:
    masks = tmp_path / 'out' / 'masks'
    masks.mkdir(parents=True)
    (masks / 'a.png').write_bytes(b'truth')
    (tmp_path / 'out' / MARKER).touch()
    with pytest.raises(OutputError, match='among the results'):
        claim_folder(tmp_path / 'out', ('masks',), overwrite=True, inputs=[masks])
    assert (masks / 'a.png').read_bytes() == b'truth'
    claim_folder(tmp_path / 'out', ('masks',), overwrite=True, inputs=[tmp_path / 'elsewhere'])
    assert not masks.exists()
