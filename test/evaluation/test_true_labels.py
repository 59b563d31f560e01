# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""True labels from folders and topics, in the classes that are scored."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
import pytest

from vidseg_ros.bag_io import BagWriter
from vidseg_ros.bag_io.messages import IMAGE_TYPE, serialize_image
from vidseg_ros.core.errors import SourceError
from vidseg_ros.core.labels import CAMVID, LabelSet
from vidseg_ros.evaluation.sources import open_source, SourceFrame
from vidseg_ros.evaluation.true_labels import (
    check_aspect,
    LabelDirectory,
    LabelTopic,
    SourceTruth,
)

IDENTITY = np.arange(256, dtype=np.uint8)


def frame_named(name: str, stamp_ns: int = 0) -> SourceFrame:
    return SourceFrame(
        index=0,
        name=name,
        stamp_ns=stamp_ns,
        frame_id='',
        decode=lambda _: np.zeros((2, 2, 3), np.uint8),
    )


def test_labels_are_found_by_name_and_void_is_ignored(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / '000001.png'), np.array([[0, 10], [11, 255]], np.uint8))
    labels = LabelDirectory(tmp_path, CAMVID)
    found = labels.get(frame_named('000001'))
    assert found is not None
    assert found.dtype == np.uint8
    assert found.tolist() == [[0, 10], [255, 255]]
    assert labels.get(frame_named('000002')) is None
    assert labels.foreign == {11: 1}


def test_two_ids_without_a_class_are_labels_of_something_else(tmp_path: Path) -> None:
    for name, number in (('1', 11), ('2', 19)):
        cv2.imwrite(str(tmp_path / f'{name}.png'), np.full((2, 2), number, np.uint8))
    labels = LabelDirectory(tmp_path, CAMVID)
    assert labels.get(frame_named('1')) is not None
    with pytest.raises(SourceError, match=r'up to frame 2, have ids without a class: 11, 19; vid'):
        labels.get(frame_named('2'))


def test_real_labels(data_dir: Path) -> None:
    labels = LabelDirectory(data_dir / 'camvid' / 'testannot', CAMVID)
    with open_source(data_dir / 'camvid' / 'test') as source:
        assert source.frame_count == 233
        frame = next(iter(source))
        assert frame.decode('rgb8').shape == (360, 480, 3)
    found = labels.get(frame)
    assert found is not None
    assert found.shape == (360, 480)
    assert set(np.unique(found)) <= {*range(11), 255}


def test_a_folder_without_labels_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / 'nowhere'):
        with pytest.raises(SourceError, match=f'no labels in {folder}: expected index PNGs'):
            LabelDirectory(folder, CAMVID)


def test_labels_are_found_by_stamp_and_those_of_no_frame_are_counted(tmp_path: Path) -> None:
    for name in ('000001', '40', '50'):
        cv2.imwrite(str(tmp_path / f'{name}.png'), np.full((2, 2), 3, np.uint8))
    labels = LabelDirectory(tmp_path, CAMVID)
    assert labels.read(frame_named('000001', 20)) is not None
    assert labels.read(frame_named('000002', 40)) is not None
    assert labels.read(frame_named('000003', 60)) is None
    assert labels.unused() == 1
    assert labels.read(frame_named('40_000003', 40)) is not None, 'a stamp that comes again'
    assert labels.unused() == 1


def record(path: Path, stamps: Sequence[int], encoding: Any = 'mono8') -> Path:
    """Write label maps whose id is their position."""
    with BagWriter(path) as bag:
        for number, stamp_ns in enumerate(stamps):
            ids = np.full((2, 3), number, np.uint8)
            image = ids if encoding == 'mono8' else np.stack([ids] * 3, axis=-1)
            cdr = serialize_image(image, encoding=encoding, stamp_ns=stamp_ns, frame_id='')
            bag.write_raw('/seg/truth', IMAGE_TYPE, cdr, number)
    return path


def read_all(topic: LabelTopic, stamps: Sequence[int]) -> list[int | None]:
    found = [topic.read(frame_named(str(stamp), stamp)) for stamp in stamps]
    return [None if ids is None else int(ids[0, 0]) for ids in found]


def test_label_maps_are_paired_by_stamp(tmp_path: Path) -> None:
    with LabelTopic(record(tmp_path / 'bag', [5, 10, 12, 20, 90]), '/seg/truth') as topic:
        assert read_all(topic, [0, 10, 15, 20, 30]) == [None, 1, None, 3, None]
        assert topic.unused() == 3, '5 and 12 before, 90 after the frames'


def test_a_stamp_that_comes_again_finds_its_own_label_map(tmp_path: Path) -> None:
    with LabelTopic(record(tmp_path / 'bag', [10, 20, 30, 10, 20]), '/seg/truth') as topic:
        assert read_all(topic, [10, 20, 30, 40, 10, 20]) == [0, 1, 2, None, 3, 4]
        assert topic.unused() == 0


def test_a_new_run_of_the_clock_finds_its_own_label_maps(tmp_path: Path) -> None:
    second = 1_000_000_000
    stamps = [0, second, 2 * second, 0, second]
    with LabelTopic(record(tmp_path / 'bag', stamps[1:]), '/seg/truth') as topic:
        assert read_all(topic, stamps) == [None, 0, 1, 2, 3]
        assert topic.unused() == 0


@pytest.mark.parametrize(
    ('frames', 'labels', 'found'),
    [
        ([1, 2, 4, 3, 5, 6], [1, 2, 4, 5, 6], [0, 1, 2, None, 3, 4]),
        ([1, 2, 4, 3, 5, 6], [1, 2, 3, 4, 6], [0, 1, 3, 2, None, 4]),
        ([1, 2, 3, 4, 5, 6], [1, 2, 4, 3, 6], [0, 1, 3, 2, None, 4]),
    ],
    ids=['frame without a label', 'frame', 'label map'],
)
def test_what_comes_late_does_not_disturb_the_rest(
    tmp_path: Path, frames: list[int], labels: list[int], found: list[int | None]
) -> None:
    step = 100_000_000
    with LabelTopic(record(tmp_path / 'bag', [at * step for at in labels]), '/seg/truth') as topic:
        assert read_all(topic, [at * step for at in frames]) == found
        assert topic.unused() == 0


def test_the_bag_names_the_ids(tmp_path: Path) -> None:
    with BagWriter(tmp_path / 'bag') as bag:
        names = LabelSet(names=('a', 'b'), colors=((0, 0, 0), (1, 1, 1)))
        bag.write_label_info('/other/label_info', CAMVID, stamp_ns=0)
        bag.write_label_info('/seg/label_info', names, stamp_ns=0)
        ids = np.zeros((2, 2), np.uint8)
        bag.write_image('/seg/truth', ids, encoding='mono8', stamp_ns=0, frame_id='')
    with LabelTopic(tmp_path / 'bag', '/seg/truth') as topic:
        assert topic.names() == ('a', 'b')
    with LabelTopic(record(tmp_path / 'plain', [0]), '/seg/truth') as topic:
        assert topic.names() is None


def test_class_names_that_cannot_be_used(tmp_path: Path, write_names: Callable[..., None]) -> None:
    write_names(tmp_path / 'gap', {0: 'road', 2: 'sky'})
    write_names(tmp_path / 'damaged', None)
    message = r"ids on /info are not 0, 1, 2, …: \[\(0, 'road'\), \(2, 'sky'\)\]; --label-cl"
    with (
        LabelTopic(tmp_path / 'gap', '/truth') as topic,
        pytest.raises(SourceError, match=message),
    ):
        topic.names()
    message = r'cannot read the class list on /info in .*/damaged: .* is damaged'
    with (
        LabelTopic(tmp_path / 'damaged', '/truth') as topic,
        pytest.raises(SourceError, match=message),
    ):
        topic.names()


def test_a_topic_that_is_not_there_or_no_label_map(tmp_path: Path) -> None:
    bag = record(tmp_path / 'bag', [0], encoding='rgb8')
    with (
        pytest.raises(
            SourceError, match=r'no label maps on /truth in .*bag: .* images there: /seg/truth'
        ),
        LabelTopic(bag, '/truth'),
    ):
        pass
    with (
        LabelTopic(bag, '/seg/truth') as topic,
        pytest.raises(SourceError, match=r'label map of frame 0 on /seg/truth: .* is rgb8'),
    ):
        read_all(topic, [0])


def test_a_compressed_topic_is_no_label_map_even_beside_a_raw_one(tmp_path: Path) -> None:
    with BagWriter(tmp_path / 'bag') as bag:
        ids = np.zeros((2, 2), np.uint8)
        bag.write_image('/gt', ids, encoding='mono8', stamp_ns=0, frame_id='')
        bag.write_compressed('/gt/compressed', b'', encoding='png', stamp_ns=0, frame_id='')
    with (
        LabelTopic(tmp_path / 'bag', '/gt/compressed') as topic,
        pytest.raises(SourceError, match=r'on /gt/compressed: a label map is a mono8 image, this'),
    ):
        read_all(topic, [0])


def truth_of(folder: Path, ids: NDArray[np.uint8], **options: Any) -> SourceTruth:
    cv2.imwrite(str(folder / 'a.png'), ids)
    table = np.full(256, 255, np.uint8)
    table[:3] = [2, 0, 1]
    return SourceTruth(LabelDirectory(folder, CAMVID), table, **options)


def test_ids_become_classes_and_one_foreign_id_is_counted(tmp_path: Path) -> None:
    truth = truth_of(tmp_path, np.array([[0, 1, 2], [11, 11, 255]], np.uint8))
    found = truth.get(frame_named('a'), (2, 3))
    assert found is not None
    assert found.tolist() == [[2, 0, 1], [255, 255, 255]]
    assert truth.foreign == {11: 2}
    assert truth.get(frame_named('b'), (2, 3)) is None


def test_ids_of_another_list_are_refused_unless_they_are_void(tmp_path: Path) -> None:
    ids = np.array([[0, 1, 2], [11, 12, 255]], np.uint8)
    with pytest.raises(
        SourceError, match=r'up to frame a have ids without a class: 11, 12; name their'
    ):
        truth_of(tmp_path, ids).get(frame_named('a'), (2, 3))
    truth = truth_of(tmp_path, ids, void=(11, 12))
    assert truth.get(frame_named('a'), (2, 3)) is not None
    assert truth.foreign == {}


def test_the_id_behind_the_last_class_is_void_or_tells_that_ids_count_from_1(
    tmp_path: Path,
) -> None:
    ids = np.array([[0, 1, 2], [2, 3, 255]], np.uint8)
    message = (
        r'frame a have the id 3, where the last class is 2: if it is void, say --void 3; if id'
    )
    with pytest.raises(SourceError, match=message):
        truth_of(tmp_path, ids, taken_for=3).get(frame_named('a'), (2, 3))
    for known in ({}, {'taken_for': 3, 'void': [3]}, {'taken_for': 2}):
        found = truth_of(tmp_path, ids, **known).get(frame_named('a'), (2, 3))
        assert found is not None
        assert found.tolist() == [[2, 0, 1], [1, 255, 255]]


def test_a_void_id_is_not_scored_even_if_it_has_a_class(tmp_path: Path) -> None:
    truth = truth_of(tmp_path, np.array([[0, 1, 2]], np.uint8), void=(1,))
    found = truth.get(frame_named('a'), (1, 3))
    assert found is not None
    assert found.tolist() == [[2, 255, 1]]
    assert truth.foreign == {}


def test_labels_of_a_frame_without_a_mask_are_passed_over(tmp_path: Path) -> None:
    truth = truth_of(tmp_path, np.zeros((2, 3), np.uint8))
    truth.skip(frame_named('a'))
    assert truth.unused() == 0
    (tmp_path / 'a.png').write_bytes(b'garbage')
    truth.skip(frame_named('a'))


def test_another_aspect_ratio_is_refused(tmp_path: Path) -> None:
    check_aspect('a', (48, 64), (720, 960))
    check_aspect('a', (480, 853), (720, 1280))
    with pytest.raises(SourceError, match='labels of frame a are 60x48, the frame is 64x48'):
        truth_of(tmp_path, np.zeros((48, 60), np.uint8)).get(frame_named('a'), (48, 64))
