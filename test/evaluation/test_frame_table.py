# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import numpy as np
import pytest

from vidseg_ros.core.errors import OutputError
from vidseg_ros.evaluation.frame_table import columns, FrameTable
from vidseg_ros.evaluation.sources import SourceFrame
from vidseg_ros.evaluation.tally import FrameScores

FRAME = SourceFrame(
    index=7,
    name='x',
    stamp_ns=10**18 + 1,
    frame_id='',
    decode=lambda _: np.zeros((1, 1, 3), np.uint8),
)


def test_rows_are_written_while_it_goes_on(tmp_path: Path) -> None:
    path = tmp_path / 'frames-a.csv'
    full = FrameScores(1_234_567, 0.5, 0.25, 1, 0.75, (0.1, 0.9))
    empty = FrameScores(1, None, None, None, None, (0, 1))
    with FrameTable(path, ('road', 'a, b')) as table:
        table.add(FRAME, full)
        table.add(FRAME, empty)
        for _ in range(300):
            table.add(FRAME, empty)
        assert path.stat().st_size > 5000, 'a killed run loses at most the last rows'
    lines = path.read_text().splitlines()
    assert lines[:3] == [
        'index,stamp_ns,inference_ms,tc,flips,confidence,miou,labelled,share_road,"share_a, b"',
        '7,1000000000000000001,1.235,0.500000,0.250000,1.000000,0.750000,1,0.100000,0.900000',
        '7,1000000000000000001,0.000,,,,,0,0.000000,1.000000',
    ]
    assert len(lines) == 303


def test_a_faster_flow_has_other_names() -> None:
    assert columns(('x',), 'fast')[3:5] == ('tc_fast', 'flips_fast')


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match=r'cannot write .*frames\.csv: No such file'),
        FrameTable(tmp_path / 'nowhere' / 'frames.csv', ()),
    ):
        pass
