# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Workers import the jobs of tests by name: their folder is on the path."""

import os
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def toy_jobs(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the module `toy_jobs`, which workers find as well."""
    here = str(Path(__file__).parent)
    monkeypatch.syspath_prepend(here)
    paths = filter(None, (here, os.environ.get('PYTHONPATH')))
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join(paths))  # for Ray
    import toy_jobs  # noqa: PLC0415 - once it is on the path

    return toy_jobs
