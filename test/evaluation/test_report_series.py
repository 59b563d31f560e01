# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Numbers of frames: read, thinned to the worst ones, and the worst moments among them."""

from pathlib import Path

import numpy as np
import pytest

from vidseg_ros.core.errors import SourceError
from vidseg_ros.evaluation.report_series import Moment, read_frames, thin, values_at, worst_moments

NAN = float('nan')


def test_read(tmp_path: Path) -> None:
    path = tmp_path / 'frames-a.csv'
    path.write_text(
        'index,stamp_ns,inference_ms,tc,share_sky\n'
        '0,1700000000000000000,5.5,,0.1\n2,1700000000100000001,6,0.25,0.2\n'
    )
    columns, start_ns = read_frames(path)
    assert start_ns == 1_700_000_000_000_000_000
    assert sorted(columns) == ['index', 'inference_ms', 't', 'tc']
    np.testing.assert_array_equal(columns['index'], [0, 2])
    np.testing.assert_array_equal(columns['tc'], [NAN, 0.25])
    np.testing.assert_array_equal(columns['inference_ms'], [5.5, 6])
    np.testing.assert_allclose(columns['t'], [0, 0.1], atol=1e-8)
    later, _ = read_frames(path, start_ns - 10**9)
    np.testing.assert_allclose(later['t'], [1, 1.1], atol=1e-8)


@pytest.mark.parametrize('text', ['index\n1\n', 'stamp_ns,tc\n1,many\n', 'stamp_ns\nnow\n'])
def test_a_damaged_table(tmp_path: Path, text: str) -> None:
    path = tmp_path / 'frames-a.csv'
    path.write_text(text)
    with pytest.raises(SourceError, match=r'cannot read .*frames-a\.csv'):
        read_frames(path)


def test_thinning_keeps_the_worst() -> None:
    columns = {
        'index': np.arange(6) + 3,
        't': np.arange(6) / 10,
        'tc': np.array([0.9, 0.2, NAN, 0.5, NAN, NAN]),
        'flips': np.array([0.1, 0.3, 0.0, NAN, 0.2, 0.1]),
    }
    assert thin(columns, 3) == {
        'index': [3, 5, 7],
        't': [0, 0.2, 0.4],
        'tc': [0.2, 0.5, None],
        'flips': [0.3, 0.0, 0.2],
    }
    assert thin(columns, 6)['tc'] == [0.9, 0.2, None, 0.5, None, None]
    none = np.array([])
    assert thin({'index': none, 't': none, 'tc': none}, 3) == {'index': [], 't': []}


def test_numbers_of_single_frames() -> None:
    columns = {
        'index': np.array([0.0, 1, 4]),
        't': np.array([0.0, 1, 0]),
        'tc': np.array([NAN, 0.25, 0.123456]),
    }
    assert values_at(columns, [4, 0, 1, 3]) == {'tc': [0.12346, None, 0.25, None]}


def test_worst_moments_are_apart_and_worst_first() -> None:
    columns = {
        'index': np.array([0.0, 1, 2, 3, 5]),
        't': np.array([0.0, 1, 2, 3, 10]),
        'tc': np.array([0.5, 0.1, 0.2, 0.3, NAN]),
        'flips': np.array([0.5, 0.1, 0.2, 0.3, 0.4]),
    }
    assert worst_moments(columns, 'tc', 5, range(6)) == [
        Moment(index=1, t=1, value=0.1),
        Moment(index=3, t=3, value=0.3),
    ]
    assert worst_moments(columns, 'flips', 2, range(6)) == [
        Moment(index=0, t=0, value=0.5),
        Moment(index=5, t=10, value=0.4),
    ]
    assert worst_moments(columns, 'miou', 5, range(6)) == []


def test_a_frame_that_cannot_be_shown_is_no_moment() -> None:
    columns = {
        'index': np.array([0.0, 1, 2]),
        't': np.array([0.0, 1, 2]),
        'tc': np.array([0.5, 0.1, 0.2]),
    }
    assert worst_moments(columns, 'tc', 1, {0, 2}) == [Moment(index=2, t=2, value=0.2)]
