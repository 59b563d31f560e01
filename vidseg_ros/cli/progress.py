# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Progress on the terminal: of commands that go through footage, and of those with phases."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from vidseg_ros.inference.tensorrt_options import OnProgress
from vidseg_ros.inference.tensorrt_options import Progress as PhaseProgress


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Show how many frames a second take."""
        return Text(f'{task.speed or 0:.1f} frames/s')


@contextmanager
def progress_bar(label: str, total: int | None) -> Iterator[Callable[[object], None]]:
    """Show a bar on a terminal's stderr while frames are counted, and nothing elsewhere.

    Args:
        label: Stands before the bar.
        total: Number of frames, if known.

    Yields:
        The function to call with each frame.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn('{task.description}', markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(label, total=total)
        yield lambda _: progress.advance(task)


@contextmanager
def phase_progress(console: Console, first: str) -> Iterator[OnProgress]:
    """Show how far something is: one line that changes on a terminal, else one for each phase.

    Args:
        console: Where.
        first: What it does until it tells.

    Yields:
        The function to call with its progress.
    """
    phases: list[str] = []
    with console.status(first) as status:

        def show(progress: PhaseProgress) -> bool:
            if console.is_terminal:
                status.update(str(progress))
            elif progress.phase not in phases:
                phases.append(progress.phase)
                console.print(progress.phase)
            return True

        yield show
