# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What all tests share, those of the runtime and those of training."""

from importlib.util import find_spec
import os
from pathlib import Path

import pytest


def pytest_configure() -> None:
    """Stop where a package that VIDSEG_REQUIRE lists is missing: a skip may not hide it."""
    required = os.environ.get('VIDSEG_REQUIRE', '').split()
    if missing := [name for name in required if find_spec(name) is None]:
        msg = f'VIDSEG_REQUIRE lists {", ".join(missing)}, not importable here: install or unlist'
        raise pytest.UsageError(msg)


@pytest.fixture(scope='session')
def data_dir() -> Path:
    """Return the folder of real driving data that VIDSEG_DATA names, or skip."""
    folder = os.environ.get('VIDSEG_DATA', '')
    if not folder or not Path(folder).is_dir():
        pytest.skip('real driving data not found: set VIDSEG_DATA to its folder')
    return Path(folder)
