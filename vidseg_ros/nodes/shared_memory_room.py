# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Whether Fast DDS has room for the shared memory that camera frames travel in."""

from collections.abc import Mapping
import os
from pathlib import Path
import re
from typing import Final

SHARED_MEMORY: Final = Path('/dev/shm')  # noqa: S108  # where POSIX shared memory lives on Linux
"""Folder that Fast DDS keeps its segments in."""

PROFILE_VARIABLES: Final = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')
"""Environment variables that name a profile of Fast DDS, newer name first."""

DEFAULT_SEGMENT_BYTES: Final = 512 * 1024
"""Size of a segment without a profile."""

_SEGMENT_SIZE: Final = re.compile(r'<segment_size>\s*(\d+)\s*</segment_size>')
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
        'Otherwise stop all nodes, then remove what killed ones left: '
        f'rm {folder}/fastrtps_* {folder}/sem.fastrtps_*'
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
