# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from vidseg_ros.core.class_list import LABEL_SETS, read_classes
from vidseg_ros.core.errors import ModelError


def test_classes_by_name_or_from_a_file(tmp_path: Path) -> None:
    assert read_classes('camvid') is LABEL_SETS['camvid']
    file = tmp_path / 'classes.yaml'
    for text in ('[road, sky]', 'classes: [road, sky]\nother: 1'):
        file.write_text(text)
        assert read_classes(str(file)).names == ('road', 'sky')


def test_files_that_hold_no_classes(tmp_path: Path) -> None:
    file = tmp_path / 'classes.yaml'
    for text, message in (
        ('names: [road]', r"classes\.yaml: no key 'classes'"),
        ('7', r'classes\.yaml: classes must be a list of classes, or one of camvid'),
        ('[road, road]', r'classes\.yaml: class names repeat'),
        ('[', r'cannot read classes from .*classes\.yaml: .* or camvid, cityscapes, street'),
    ):
        file.write_text(text)
        with pytest.raises(ModelError, match=f'(?s){message}'):
            read_classes(str(file))
    with pytest.raises(ModelError, match=r'cannot read classes from citiscapes: '):
        read_classes('citiscapes')
