# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C in a training: it waits for the end of the step, where a run can be kept exactly."""

from collections.abc import Iterator
from contextlib import contextmanager
import os
import signal
import threading
from types import FrameType


class Interruption:
    """Whether somebody pressed Ctrl-C.

    Attributes:
        asked: That it was pressed and is yet to be obeyed.
    """

    def __init__(self) -> None:
        """Begin without one."""
        self.asked = False

    def handle(self, _number: int, _frame: FrameType | None) -> None:
        """Note the first one, obey the second at once."""
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        # Past Python's streams: a signal may come in the middle of their own work.
        os.write(2, b'\nends with this step; Ctrl-C once more: at once, without keeping it\n')


@contextmanager
def held_interruption(*, hold: bool = True) -> Iterator[Interruption]:
    """Let Ctrl-C set a flag and interrupt nothing.

    Signals are the main thread's business; one that is ignored (nohup) or handled by others stays
    so.

    Args:
        hold: Whether to do so at all.

    Yields:
        The flag.
    """
    interruption = Interruption()
    main = threading.current_thread() is threading.main_thread()
    if not (hold and main and signal.getsignal(signal.SIGINT) is signal.default_int_handler):
        yield interruption
        return
    signal.signal(signal.SIGINT, interruption.handle)
    try:
        yield interruption
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def leave_to_parent(_worker: int = 0) -> None:
    """Ignore Ctrl-C in a loading process: the terminal sends it to all, the training ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
