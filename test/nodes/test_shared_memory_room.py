# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vidseg_ros.nodes.shared_memory_room import (
    DEFAULT_SEGMENT_BYTES,
    free_bytes,
    PROFILE_VARIABLES,
    segment_bytes,
    shortage,
)

PROFILE = Path(__file__).parents[2] / 'config' / 'fastdds_local.xml'
FAST_DDS = 'rmw_fastrtps_cpp'
NEEDED = 70_255_136  # what `ls -l /dev/shm` shows for a segment of the shipped profile


def leave(free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    status = SimpleNamespace(f_bavail=free // 4096, f_frsize=4096)
    monkeypatch.setattr(os, 'statvfs', lambda _: status)


@pytest.mark.parametrize('variable', PROFILE_VARIABLES)
def test_the_profile_says_how_large_a_segment_is(variable: str) -> None:
    assert segment_bytes({variable: str(PROFILE)}) == 64 * 2**20


def test_without_a_readable_profile_a_segment_has_its_default_size(tmp_path: Path) -> None:
    profile = tmp_path / 'profile.xml'
    profile.write_text('<dds/>')
    for environment in (
        {},
        {PROFILE_VARIABLES[0]: str(tmp_path / 'missing.xml')},
        {PROFILE_VARIABLES[0]: str(profile)},
    ):
        assert segment_bytes(environment) == DEFAULT_SEGMENT_BYTES


def test_free_bytes(tmp_path: Path) -> None:
    status = os.statvfs(tmp_path)
    assert free_bytes(tmp_path) <= status.f_blocks * status.f_frsize
    assert free_bytes(tmp_path) > 0
    assert free_bytes(tmp_path / 'missing') == 0


def test_docker_s_64_mib_are_too_few(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {PROFILE_VARIABLES[1]: str(PROFILE)}
    leave(64 * 2**20, monkeypatch)
    warning = shortage(FAST_DDS, environment)
    assert '/shm has 64.0 MiB left, but a shared-memory segment' in warning
    assert 'takes 67.2 MiB' in warning
    assert 'docker run --ipc=host, or --shm-size=1g' in warning
    assert shortage('rmw_cyclonedds_cpp', environment) == ''
    assert shortage(FAST_DDS, {}) == '', 'the default segment fits'


@pytest.mark.parametrize(('free', 'fits'), [(NEEDED - 4096, False), (1.05 * NEEDED, True)])
def test_what_counts_is_the_segment_with_its_overhead(
    free: Any,
    fits: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    leave(int(free), monkeypatch)
    warning = shortage(FAST_DDS, {PROFILE_VARIABLES[0]: str(PROFILE)})
    assert (warning == '') == fits


def test_no_shared_memory_at_all(tmp_path: Path) -> None:
    assert 'missing has 0.0 MiB left' in shortage(FAST_DDS, {}, tmp_path / 'missing')
