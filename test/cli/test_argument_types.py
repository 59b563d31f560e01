# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from argparse import ArgumentTypeError
from collections.abc import Callable

import pytest

from vidseg_ros.cli.argument_types import count, factor, fraction, label_id


def test_what_is_allowed() -> None:
    assert [label_id(text) for text in ('0', '255')] == [0, 255]
    assert (count('3'), factor('2.5'), fraction('1'), fraction('0.65')) == (3, 2.5, 1, 0.65)


@pytest.mark.parametrize(
    ('kind', 'texts', 'message'),
    [
        (count, ('0', '-1', '1.5', 'all'), 'must be a whole number from 1, not '),
        (label_id, ('-1', '256', '300', 'sky', ''), 'must be an id from 0 to 255, not '),
        (factor, ('0', '-1', 'nan', 'inf', 'x'), 'must be a number above 0, not '),
        (fraction, ('0', '1.01', '65', 'nan', 'x'), 'must be a fraction above 0, at most 1'),
    ],
)
def test_what_is_not(kind: Callable[[str], float], texts: tuple[str, ...], message: str) -> None:
    for text in texts:
        with pytest.raises(ArgumentTypeError, match=f'{message}.*{text}'):
            kind(text)
