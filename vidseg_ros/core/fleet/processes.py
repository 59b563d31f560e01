# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Workers on this machine: one process for each job.

A process per job costs its start (about a second) and gives in return what a pool of processes
does not: the death of one is known to be that job's and disturbs no other, and the memory of a
long job goes back to the system.
"""

from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
import signal
from types import FrameType
from typing import Any, Final, final

from vidseg_ros.core.fleet.worker import (
    Died,
    do_job,
    Event,
    limit_threads,
    Progress,
    Progressed,
    seldom,
)

_CONTEXT: Final = get_context('spawn')

_END_S: Final = 5.0
"""Time that a process has to end before it is killed, s."""


@final
class ProcessWorkers:
    """See `vidseg_ros.core.fleet.worker.Workers`."""

    def __init__(
        self, function: Callable[[Any, Progress], Any], slots: int, threads: int | None
    ) -> None:
        """Start nothing yet.

        Args:
            function: A function of a module.
            slots: Most processes at a time.
            threads: Threads of OpenCV in each; None leaves it alone.
        """
        self.slots = slots
        self._function, self._threads = function, threads
        self._running: dict[Connection, tuple[int, BaseProcess]] = {}

    def start(self, number: int, job: Any) -> None:  # noqa: ANN401 - any picklable job
        """Begin a job in a process of its own."""
        receiver, sender = _CONTEXT.Pipe(duplex=False)
        process = _CONTEXT.Process(
            target=_work,
            args=(self._function, number, job, sender, self._threads),
            name=f'vidseg job {number}',
            daemon=True,
        )
        process.start()
        sender.close()  # now only the worker has it: its death ends the connection
        self._running[receiver] = number, process

    def wait(self) -> list[Event]:
        """Wait until at least one worker says something or is gone."""
        receivers = list(self._running)
        ready = wait(receivers)
        return [self._event(receiver) for receiver in receivers if receiver in ready]

    def close(self) -> None:
        """End all workers."""
        for _, process in self._running.values():
            process.terminate()
        for receiver in list(self._running):
            self._end(receiver)

    def _event(self, receiver: Connection) -> Event:
        number = self._running[receiver][0]
        try:
            event: Event = receiver.recv()
        except (EOFError, OSError):  # nothing, or half a message
            exit_code = self._end(receiver)
            return Died(number, _reason(exit_code))
        if not isinstance(event, Progressed):
            self._end(receiver)
        return event

    def _end(self, receiver: Connection) -> int | None:
        """Wait for a worker that has nothing left to do; return its exit code."""
        _, process = self._running.pop(receiver)
        receiver.close()
        process.join(_END_S)
        if process.is_alive():
            process.kill()
            process.join()
        exit_code = process.exitcode
        process.close()
        return exit_code


def _work(
    function: Callable[[Any, Progress], Any],
    number: int,
    job: Any,  # noqa: ANN401 - any picklable job
    sender: Connection,
    threads: int | None,
) -> None:
    """Do a job in this process, which is nothing but its worker.

    Ctrl-C reaches all processes of a terminal: the parent decides what it means, and sends SIGTERM
    to end a worker. A parent that is gone is noticed by the next report of progress.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _unwind)
    limit_threads(threads)

    def tell(event: Event) -> None:
        try:
            sender.send(event)
        except BrokenPipeError:
            raise SystemExit(1) from None  # nobody wants the result any more

    progress = seldom(lambda done, total: tell(Progressed(number, done, total)))
    tell(do_job(function, number, job, progress))


def _unwind(number: int, _frame: FrameType | None) -> None:
    """End the ``with`` statements of a job, which remove its temporary files, then this process.

    One that takes too long for it is killed, see `_END_S`.
    """
    signal.signal(number, signal.SIG_IGN)  # a second one may not cut the end short
    raise SystemExit(128 + number)


def _reason(exit_code: int | None) -> str:
    if exit_code == 128 + signal.SIGTERM:
        exit_code = -signal.SIGTERM
    if exit_code is not None and exit_code < 0:
        return f'ended by {signal.Signals(-exit_code).name}'
    return f'exit status {exit_code}'
