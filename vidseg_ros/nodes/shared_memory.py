# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What Fast DDS leaves in the shared memory of this machine."""

from contextlib import suppress
from pathlib import Path
import re
from typing import Final

_LOCK: Final = re.compile(r'/dev/shm/(fastrtps_[0-9a-f]{16})_el')  # noqa: S108 - only looked at


def segments_of(pid: int) -> list[Path]:
    """Return the segments that a running process has made, and their locks.

    A process that ends removes them; one that is killed cannot, and nobody else ever does: with
    this package's profile 67 MB each time. Segments of others, which it only reads, do not count:
    a process keeps the locks of its own open, and only these.

    Args:
        pid: The process; it must belong to this user.

    Returns:
        Files in ``/dev/shm``; none where there is no ``/proc``.
    """
    found = []
    with suppress(OSError):
        for link in Path(f'/proc/{pid}/fd').iterdir():
            with suppress(OSError):
                lock = link.readlink()
                if match := _LOCK.fullmatch(str(lock)):
                    found += [lock.with_name(match[1]), lock]
    return sorted(found)
