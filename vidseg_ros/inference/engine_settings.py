# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What an engine may want to know besides the model file."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """Settings of an engine; none of them changes its label maps."""

    threads: int = 0
    """Threads of an inference on the CPU; 0: as many as there are cores."""
    spinning: bool = True
    """Whether threads that wait for each other in an inference on the CPU keep their core busy:
    quicker when nothing else runs, much slower when something does."""
