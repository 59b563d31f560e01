# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Memory of frames and of training steps that the process keeps, instead of giving it back."""

import ctypes
from typing import Final

_TRIM_THRESHOLD: Final = -1  # from malloc.h
_MMAP_THRESHOLD: Final = -3
_MMAP_MAX: Final = -4
_NEVER: Final = -1

LARGEST_BLOCK: Final = 32 * 2**20
"""Blocks up to this size are kept, bytes: the most that every glibc accepts, a frame of 4K."""

MOST_KEPT: Final = 256 * 2**20
"""So much unused memory is kept at the most, bytes."""


def keep_freed_memory(*, of_any_size: bool = False) -> bool:
    """Tell glibc to keep what frames have freed for the frames that follow.

    By default it gives large blocks back to the kernel as soon as they are free, and the next
    frame then pays for every fresh page, up to several milliseconds at 1920x1080 (see
    ``bench/node_latency.py``). Holds for the whole process, which keeps its peak as long as it
    lives; the memory in use does not grow.

    Args:
        of_any_size: Keep blocks above `LARGEST_BLOCK`, and more than `MOST_KEPT` of them, as well:
            for work whose steps all need the same, such as a training.

    Returns:
        Whether it was done; not where the C library is another one.
    """
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    if mallopt is None:
        return False
    blocks = mallopt(_MMAP_MAX, 0) if of_any_size else mallopt(_MMAP_THRESHOLD, LARGEST_BLOCK)
    kept = mallopt(_TRIM_THRESHOLD, _NEVER if of_any_size else MOST_KEPT)
    return bool(blocks and kept)
