# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Evaluations that tests give to workers, which import them from here."""

import os
import signal

from vidseg_ros.core.fleet import Progress
from vidseg_ros.evaluation.evaluate import evaluate_source, SourceJob
from vidseg_ros.evaluation.source_evaluation import SourceResult


def killed_once(job: SourceJob, progress: Progress) -> SourceResult:
    """Evaluate; the first attempt is killed after its third frame."""
    mark = job.out / f'{job.key}.killed'

    def report(done: int, total: int | None) -> None:
        progress(done, total)
        if done == 3 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    return evaluate_source(job, report)
