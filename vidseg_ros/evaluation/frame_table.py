# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""One row per frame and model as CSV, written while the footage is read."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
import csv
from pathlib import Path
from types import TracebackType
from typing import Final, final

from vidseg_ros.core.errors import OutputError
from vidseg_ros.evaluation.sources import SourceFrame
from vidseg_ros.evaluation.tally import FrameScores, Metrics, STEADINESS

_FLUSH_EVERY: Final = 100


def columns(classes: Sequence[str], metrics: Metrics) -> tuple[str, ...]:
    """Return the names of all columns.

    Args:
        classes: Names.
        metrics: What TC and flips are measured with.
    """
    return (
        *('index', 'stamp_ns', 'inference_ms', *STEADINESS[metrics]),
        *('confidence', 'miou', 'labelled', *map(share_column, classes)),
    )


def share_column(name: str) -> str:
    """Return the name of the column of a class."""
    return f'share_{name}'


@final
class FrameTable(AbstractContextManager['FrameTable']):
    """Writes the file ``frames-<model>.csv``; use it in a ``with`` statement."""

    def __init__(self, path: Path, classes: Sequence[str], metrics: Metrics = 'standard') -> None:
        """Remember what to write; the file is made by ``with``.

        Args:
            path: The file.
            classes: Names.
            metrics: What TC and flips are measured with.
        """
        self._columns = columns(classes, metrics)
        self._path = path
        self._rows = 0

    def __enter__(self) -> 'FrameTable':
        """Make the file.

        Raises:
            OutputError: If it cannot be written.
        """
        try:
            self._file = self._path.open('w', newline='', encoding='utf-8')
        except OSError as error:
            raise self._error(error) from error
        self._writer = csv.writer(self._file, lineterminator='\n')
        self._write(self._columns)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish the file."""
        self._file.close()

    def add(self, frame: SourceFrame, scores: FrameScores) -> None:
        """Append a frame.

        Raises:
            OutputError: If it cannot be written.
        """
        numbers = (scores.tc, scores.flips, scores.confidence, scores.miou)
        self._write(
            [
                frame.index,
                frame.stamp_ns,
                f'{scores.time_ns / 1e6:.3f}',
                *('' if number is None else f'{number:.6f}' for number in numbers),
                int(scores.miou is not None),
                *(f'{share:.6f}' for share in scores.shares),
            ]
        )

    def _write(self, row: Sequence[object]) -> None:
        try:
            self._writer.writerow(row)
            self._rows += 1
            if self._rows % _FLUSH_EVERY == 0:
                self._file.flush()
        except OSError as error:
            raise self._error(error) from error

    def _error(self, error: OSError) -> OutputError:
        return OutputError(f'cannot write {self._path}: {error.strerror}; check the free space')
