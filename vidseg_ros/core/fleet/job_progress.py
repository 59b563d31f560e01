# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The progress view of many jobs: one bar for each that is under way, and one for all."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vidseg_ros.core.fleet import Outcome

OnProgress: TypeAlias = Callable[[int, int, int | None], None]
OnResult: TypeAlias = 'Callable[[int, Outcome[Any, Any]], None]'


@contextmanager
def job_progress(names: Sequence[str]) -> Iterator[tuple[OnProgress, OnResult]]:
    """Show bars on a terminal's stderr, and nothing elsewhere.

    Args:
        names: Of the jobs.

    Yields:
        What `run_jobs` calls with progress and with results.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn('{task.description}', markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as view:
        whole = view.add_task('sources', total=len(names))
        bars = [view.add_task(name, total=None, visible=False) for name in names]

        def on_progress(number: int, done: int, total: int | None) -> None:
            view.update(bars[number], completed=done, total=total, visible=True)

        def on_result(number: int, _outcome: Outcome[Any, Any]) -> None:
            view.update(bars[number], visible=False)
            view.advance(whole)

        yield on_progress, on_result
