# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Benchmarks are scripts and no package: their folder is on the path, as when they are run."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

BENCH = Path(__file__).parents[2] / 'bench'


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Return what imports a benchmark by name; skips where it needs ROS and there is none."""
    monkeypatch.syspath_prepend(BENCH)

    def load(name: str) -> ModuleType:
        if name in {'node_latency', 'overload', 'peers'}:
            pytest.importorskip('rclpy')
        return import_module(name)

    return load
