# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Types of arguments that several commands have."""

import argparse

from vidseg_ros.core.labels import IGNORE_ID


def count(text: str) -> int:
    """Return a whole number from 1.

    Raises:
        ArgumentTypeError: If it is none.
    """
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        msg = f'must be a whole number from 1, not {text!r}'
        raise argparse.ArgumentTypeError(msg)
    return value


def label_id(text: str) -> int:
    """Return a whole number from 0 to 255.

    Raises:
        ArgumentTypeError: If it is none.
    """
    value = int(text) if text.isdecimal() else -1
    if not 0 <= value <= IGNORE_ID:
        msg = f'must be an id from 0 to {IGNORE_ID}, not {text!r}'
        raise argparse.ArgumentTypeError(msg)
    return value


def factor(text: str) -> float:
    """Return a finite number above 0.

    Raises:
        ArgumentTypeError: If it is none.
    """
    value = _number(text)
    if not 0 < value < float('inf'):
        msg = f'must be a number above 0, not {text!r}'
        raise argparse.ArgumentTypeError(msg)
    return value


def fraction(text: str) -> float:
    """Return a number above 0 and at most 1.

    Raises:
        ArgumentTypeError: If it is none.
    """
    value = _number(text)
    if not 0 < value <= 1:
        msg = f'must be a fraction above 0, at most 1, such as 0.65, not {text!r}'
        raise argparse.ArgumentTypeError(msg)
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
