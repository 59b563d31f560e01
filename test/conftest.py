# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope='session')
def data_dir() -> Path:
    """Return the folder of real driving data that VIDSEG_DATA names, or skip."""
    folder = os.environ.get('VIDSEG_DATA', '')
    if not folder or not Path(folder).is_dir():
        pytest.skip('real driving data not found: set VIDSEG_DATA to its folder')
    return Path(folder)
