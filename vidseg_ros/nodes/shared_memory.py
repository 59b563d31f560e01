# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The shared memory that camera frames travel in: what Fast DDS needs of it, and leaves there."""

from collections.abc import Mapping
from contextlib import suppress
import os
from pathlib import Path
import re
from typing import Final

from vidseg_ros.nodes.dds_profile import PROFILE_VARIABLES

SHARED_MEMORY: Final = Path('/dev/shm')  # noqa: S108  # where POSIX shared memory lives on Linux
"""Folder that Fast DDS keeps its segments in."""

DEFAULT_SEGMENT_BYTES: Final = 512 * 1024
"""Size of a segment without a profile."""

_SEGMENT_SIZE: Final = re.compile(r'<segment_size>\s*(\d+)\s*</segment_size>')
_LOCK: Final = re.compile(r'/dev/shm/(fastrtps_[0-9a-f]{16})_el')  # noqa: S108  # only looked at
_OVERHEAD: Final = 1.05  # seen: 70 255 136 bytes for a segment of 67 108 864
_MIB: Final = 2**20


def shortage(middleware: str, environment: Mapping[str, str], folder: Path = SHARED_MEMORY) -> str:
    """Say what is wrong when the segment of a new DDS participant has no room, and what to do.

    To be asked before the process joins DDS: afterwards its own segment counts as used.

    Args:
        middleware: Name of the RMW implementation.
        environment: Environment variables.
        folder: Where segments are kept.

    Returns:
        The warning; '' where there is room, and for other middlewares than Fast DDS.
    """
    if 'fastrtps' not in middleware:
        return ''
    needed, free = segment_bytes(environment) * _OVERHEAD, free_bytes(folder)
    if free >= needed:
        return ''
    return (
        f'{folder} has {free / _MIB:.1f} MiB left, but a shared-memory segment of Fast DDS takes '
        f'{needed / _MIB:.1f} MiB: images will travel through UDP, slower and with losses. In a '
        'container: docker run --ipc=host, or --shm-size=1g, for the camera driver too. '
        'Otherwise remove what killed nodes left: fastdds shm clean, which spares running ones '
        f'(where there is no such command, stop all nodes, then rm {folder}/fastrtps_* '
        f'{folder}/sem.fastrtps_*)'
    )


def segment_bytes(environment: Mapping[str, str]) -> int:
    """Return the size of the largest segment that the profile of Fast DDS asks for.

    A profile that cannot be read counts as none: Fast DDS itself complains about it.
    """
    for variable in PROFILE_VARIABLES:
        try:
            profile = Path(environment[variable]).read_text('utf-8', 'replace')
        except (KeyError, OSError):
            continue
        sizes = [int(size) for size in _SEGMENT_SIZE.findall(profile)]
        return max(sizes, default=DEFAULT_SEGMENT_BYTES)
    return DEFAULT_SEGMENT_BYTES


def free_bytes(folder: Path) -> int:
    """Return how many bytes a process can still write into a folder; 0 if there is none."""
    try:
        status = os.statvfs(folder)
    except OSError:
        return 0
    return status.f_bavail * status.f_frsize


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
