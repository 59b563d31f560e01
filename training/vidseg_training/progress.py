# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What people see of long work: a bar in a terminal, lines in a file."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
import logging
from math import isfinite, nan
from pathlib import Path
from statistics import fmean
import time
from typing import Protocol, TypeVar

from rich import get_console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from vidseg_training.interruption import held_interruption
from vidseg_training.processes import process_count, process_index

_logger = logging.getLogger(__name__)

_Item = TypeVar('_Item')


class Trainable(Protocol):
    """A run that can be followed and kept between any two steps."""

    @property
    def step(self) -> int:
        """Steps behind it."""
        ...

    @property
    def batches(self) -> int:
        """Steps of an epoch."""
        ...

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        ...

    @property
    def score(self) -> str:
        """The last score in words; empty before the first one."""
        ...

    def steps(self) -> Iterator[float]:
        """Train from the current position to the end; yield the loss of each step."""
        ...

    def save(self) -> None:
        """Write the checkpoint."""
        ...


def progress_bar(*, shown: bool = True) -> Progress:
    """Return a bar with counts and labelled times; nothing appears where there is no terminal."""
    console = get_console()
    return Progress(
        TextColumn('{task.description}', markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn('passed,'),
        TimeRemainingColumn(),
        TextColumn('left'),
        # Steps may take longer than the half minute over which Rich estimates what is left.
        speed_estimate_period=600,
        console=console,
        disable=not (shown and console.is_terminal),
    )


def counted(items: Iterable[_Item], what: str, total: int, done: int = 0) -> Iterator[_Item]:
    """Yield items under a bar; without a terminal each tenth of them is a line.

    Args:
        items: Those that are left.
        what: They are, for people.
        total: Number of all.
        done: Number of those before.
    """
    start = time.monotonic()
    with progress_bar() as bar:
        task = bar.add_task(what, total=total, completed=done)
        for count, item in enumerate(items, done + 1):
            yield item
            bar.advance(task)
            if bar.disable and count * 10 // total > (count - 1) * 10 // total:
                left = _left(start, count - done, total - count)
                _logger.info('%s: %d of %d, %s left', what, count, total, left)


def train_to_end(run: Trainable, name: str, folder: Path) -> None:
    """Train to the end where people can follow; after Ctrl-C the run is kept at its last step.

    Several processes do not see Ctrl-C at the same step, so there it interrupts at once and the
    last checkpoint stays.

    Args:
        run: What to train.
        name: For people.
        folder: Of the run.

    Raises:
        KeyboardInterrupt: After Ctrl-C; it says what is kept.
    """
    if run.step == run.total_steps:
        _logger.info('%s is finished: all %d steps are done', folder, run.total_steps)
        return
    leads, epochs = process_index() == 0, run.total_steps // run.batches
    if run.step:
        epoch, batch = divmod(run.step, run.batches)
        _logger.info(
            'going on in %s: epoch %d of %d, step %d of %d',
            *(folder, epoch + 1, epochs, batch + 1, run.batches),
        )
    start, first, losses = time.monotonic(), run.step, list[float]()
    with (
        progress_bar(shown=leads) as bar,
        held_interruption(hold=process_count() == 1) as interruption,
    ):
        task = bar.add_task(name, total=run.total_steps, completed=run.step)
        for loss in run.steps():
            epoch = (run.step - 1) // run.batches + 1
            losses.append(loss)
            text = f'{name} epoch {epoch}/{epochs} loss {loss:.3f}'
            bar.update(task, advance=1, description=text)
            if run.step % run.batches == 0:
                if leads and bar.disable:
                    left = _left(start, run.step - first, run.total_steps - run.step)
                    _logger.info('%s', _epoch_line(epoch, epochs, losses, run.score, left))
                losses.clear()
            if interruption.asked:
                run.save()
                msg = f'interrupted; kept up to step {run.step} of {run.total_steps} in {folder}'
                raise KeyboardInterrupt(msg)


def _left(start_s: float, passed: int, steps: int) -> timedelta:
    """Return how long so many steps will take, at the pace since ``start_s``."""
    return timedelta(seconds=round((time.monotonic() - start_s) / passed * steps))


def _epoch_line(
    epoch: int, epochs: int, losses: Iterable[float], score: str, left: timedelta
) -> str:
    finite = [loss for loss in losses if isfinite(loss)]
    mean = fmean(finite) if finite else nan
    scored = f', {score}' if score else ''
    return f'epoch {epoch} of {epochs}: loss {mean:.3f}{scored}, {left} left'
