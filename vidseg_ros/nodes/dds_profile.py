# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The Fast DDS profile of the processes that we start."""

from collections.abc import Mapping
from typing import Final

from vidseg_ros.core.resources import find_config

PROFILE_VARIABLES: Final = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')
"""Where Fast DDS looks for profiles: up to version 2 (Humble, Jazzy), and later."""


def profile_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what switches on large shared memory, ``config/fastdds_shared_memory.xml``.

    Args:
        environment: Environment variables of the process that starts others.

    Returns:
        Environment variables to add; none where one of them is set, a choice that stays.

    Raises:
        ParameterError: If the profile is not installed.
    """
    if any(environment.get(name) for name in PROFILE_VARIABLES):
        return {}
    return dict.fromkeys(PROFILE_VARIABLES, str(find_config('fastdds_shared_memory.xml')))
