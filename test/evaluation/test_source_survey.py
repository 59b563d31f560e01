# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What a first look into sources finds, and that it is one look."""

from collections.abc import Callable
from pathlib import Path

import pytest

from vidseg_ros.bag_io import BagReader
from vidseg_ros.evaluation.source_survey import survey_sources


def test_class_names_that_bags_give_their_labels(
    tmp_path: Path, write_names: Callable[..., None]
) -> None:
    names = {'two': {0: 'warm', 1: 'cold'}, 'repeated': {0: 'void', 1: 'void'}, 'none': {}}
    for name, classes in {**names, 'gap': {0: 'warm', 2: 'cold'}, 'damaged': None}.items():
        write_names(tmp_path / name, classes)
    (tmp_path / 'video.mp4').touch()
    order = ('two', 'repeated', 'none', 'gap', 'damaged', 'video.mp4', 'nowhere')
    paths = [tmp_path / name for name in order]
    found = survey_sources(paths, labels='/truth')
    assert [source.path for source in found] == paths
    assert [source.label_names for source in found] == [
        ('warm', 'cold'),
        ('void', 'void'),
        (),
        *[None] * 4,
    ]
    elsewhere = survey_sources(paths[:1], labels='/elsewhere')
    assert [source.label_names for source in elsewhere] == [None]


def test_a_bag_is_opened_once(
    tmp_path: Path, write_names: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_names(tmp_path / 'bag', {0: 'warm'})
    opened: list[Path] = []
    whole = BagReader.__enter__

    def counted(bag: BagReader) -> BagReader:
        opened.append(bag.path)
        return whole(bag)

    monkeypatch.setattr(BagReader, '__enter__', counted)
    (source,) = survey_sources([tmp_path / 'bag'] * 2, labels='/truth')
    assert (source.cameras, source.label_names) == (('/camera',), ('warm',))
    assert opened == [tmp_path / 'bag']
    survey_sources([tmp_path / 'bag'], topics=['/camera'])
    assert opened == [tmp_path / 'bag'], 'nothing is to be found out'
