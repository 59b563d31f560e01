# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
import platform
import subprocess
import sys

import pytest

from vidseg_ros.core import malloc

FAULTS = """
import resource, sys
from vidseg_ros.core.malloc import keep_freed_memory
if sys.argv[1] == 'kept':
    assert keep_freed_memory()
for number in range(60):
    frames = [b'x' * 6_220_800 for _ in range(3)]  # what one image of 1920x1080 needs on its way
    frames.clear()
    if number == 20:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='this C library is not glibc')
def test_frames_reuse_the_memory_of_those_before() -> None:
    def faults(mode: str) -> int:
        command = [sys.executable, '-c', FAULTS, mode]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        return int(done.stdout)

    assert faults('kept') < 200 < faults('as it comes')  # a frame has 1500 pages


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(malloc.ctypes, 'CDLL', lambda _: object())
    assert not malloc.keep_freed_memory()
