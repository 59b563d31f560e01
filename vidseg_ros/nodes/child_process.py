# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A ROS node in a child process: its output in a log file, and an end without leftovers."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
import signal
import subprocess
from types import TracebackType
from typing import Final, final

from vidseg_ros.core.errors import EngineError, OutputError
from vidseg_ros.nodes.shared_memory import segments_of

_TAIL_LINES: Final = 15


@final
class ChildNode(AbstractContextManager['ChildNode']):
    """Runs a command in a ``with`` statement, at whose end it is stopped.

    It gets a session of its own, so that a Ctrl-C on the terminal reaches it once, through the
    end of the ``with`` statement.
    """

    def __init__(
        self, command: Sequence[str], *, environment: Mapping[str, str], log: Path
    ) -> None:
        """Remember what to run.

        Args:
            command: Program and arguments.
            environment: All environment variables of the child.
            log: File for its output; replaced if it exists.
        """
        self._command, self._environment, self.log = command, environment, log
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> 'ChildNode':
        """Start it.

        Raises:
            OutputError: If the log file cannot be written.
            EngineError: If the program cannot be run.
        """
        try:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            log = self.log.open('wb')
        except OSError as error:
            msg = f'cannot write the log {self.log}: {error.strerror}; choose another folder'
            raise OutputError(msg) from error
        with log:
            try:
                self._process = subprocess.Popen(  # noqa: S603 - the caller's own program
                    self._command,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                program = self._command[0]
                msg = f'cannot run {program}: {error.strerror}; check that it is installed'
                raise EngineError(msg) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it."""
        self.stop()

    def check(self) -> None:
        """Make sure that it still runs.

        Raises:
            EngineError: If it has ended.
        """
        status = self._process.poll() if self._process else None
        if status is not None:
            msg = f'the node ended by itself with status {status}'
            raise self.failure(msg)

    def failure(self, what: str) -> EngineError:
        """Return an error that shows the end of the log."""
        lines = self.log.read_text(encoding='utf-8', errors='replace').splitlines()
        tail = '\n'.join(f'    {line}' for line in lines[-_TAIL_LINES:]) or '    (empty)'
        return EngineError(f'{what}; its whole output is in {self.log}, which ends with\n{tail}')

    def stop(self, patience_s: float = 10.0) -> int:
        """Ask it to end with SIGINT, and end it with SIGKILL if it does not.

        Shared memory that it then leaves behind is removed.

        Args:
            patience_s: Longest wait after SIGINT, s.

        Returns:
            The exit status; -9 after SIGKILL.
        """
        assert self._process is not None, 'started by the with statement'
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(patience_s)
        finally:
            # Does nothing to one that has ended; a second Ctrl-C while waiting comes here, too.
            left = [] if self._process.poll() is not None else segments_of(self._process.pid)
            self._process.kill()
            status = self._process.wait()
            for file in left:
                file.unlink(missing_ok=True)
        return status
