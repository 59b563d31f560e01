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
how, size, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
if how != 'as it comes':
    assert keep_freed_memory(of_any_size=how == 'of any size')
for number in range(int(sys.argv[4])):
    frames = [b'x' * size for _ in range(count)]
    frames.clear()
    if number == 5:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


needs_glibc = pytest.mark.skipif(
    platform.libc_ver()[0] != 'glibc', reason='this C library is not glibc'
)


def faults(how: str, size: int, count: int, rounds: int) -> int:
    """Return the pages that rounds need afresh, of so many blocks each, after the first six."""
    command = [sys.executable, '-c', FAULTS, how, str(size), str(count), str(rounds)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return int(done.stdout)


@needs_glibc
def test_frames_reuse_the_memory_of_those_before() -> None:
    frame = 1920 * 1080 * 3, 3, 60  # what one image needs on its way: 4556 pages
    assert faults('kept', *frame) < 200 < faults('as it comes', *frame)


@needs_glibc
def test_steps_of_a_training_reuse_larger_blocks_too() -> None:
    step = 40 * 2**20, 7, 9  # above both limits of what is kept for frames: 71680 pages
    assert faults('of any size', *step) < 1000 < faults('kept', *step)


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(malloc.ctypes, 'CDLL', lambda _: object())
    assert not malloc.keep_freed_memory()
