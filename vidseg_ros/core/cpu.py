# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What the CPU can do."""

from pathlib import Path


def has_vnni(cpuinfo: Path = Path('/proc/cpuinfo')) -> bool:
    """Whether an x86 CPU multiplies and adds 8-bit numbers without saturation (VNNI).

    Args:
        cpuinfo: Linux's description of the CPUs; False where there is none.
    """
    try:
        words = cpuinfo.read_text(encoding='utf-8').split()
    except OSError:
        return False
    return not {'avx512_vnni', 'avx_vnni'}.isdisjoint(words)
