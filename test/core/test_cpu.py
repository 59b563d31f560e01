# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from vidseg_ros.core.cpu import has_vnni


@pytest.mark.parametrize(
    ('flags', 'found'),
    [('fma avx512_vnni', True), ('avx_vnni sse', True), ('avx2 avx512_vnnix', False)],
)
def test_vnni_is_one_of_the_flags(tmp_path: Path, flags: str, found: bool) -> None:  # noqa: FBT001
    path = tmp_path / 'cpuinfo'
    path.write_text(f'model name\t: some CPU\nflags\t\t: {flags}\n')
    assert has_vnni(path) is found
    assert not has_vnni(tmp_path / 'absent')
