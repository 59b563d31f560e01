# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Many independent jobs, such as one bag or clip each: processes on one machine, or Ray."""

from vidseg_ros.core.fleet.record import job_digest, read_record, write_record
from vidseg_ros.core.fleet.runner import Outcome, run_jobs, threads_per_worker
from vidseg_ros.core.fleet.worker import Progress

__all__ = [
    'Outcome',
    'Progress',
    'job_digest',
    'read_record',
    'run_jobs',
    'threads_per_worker',
    'write_record',
]
