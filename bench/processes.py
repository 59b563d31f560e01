# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Processes of a benchmark: each in a ROS of this machine, with a transport of its own choice."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
import os
from types import TracebackType
from typing import Any, Final, final, Literal
from uuid import uuid4

from vidseg_ros.core.resources import find_config
from vidseg_ros.nodes.dds_profile import PROFILE_VARIABLES
from vidseg_ros.nodes.shared_memory import segments_of

Transport = Literal['profile', 'default']
"""Fast DDS with this package's shared memory profile, or as it comes."""

PROFILE: Final = 'fastdds_local.xml'

_DOMAINS: Final = 101

Work = Callable[..., Any]
"""Called in the child with the pipe to the parent and its own arguments; returns what is left."""


class ChildError(Exception):
    """A child process has ended or does not answer; its own complaint is on stderr."""


@final
class Group:
    """Processes that see each other and nobody else: a domain and a namespace of their own."""

    def __init__(self, number: int = 0) -> None:
        """Choose domain and namespace.

        Args:
            number: Of the group within this process.
        """
        # Two benchmarks may come to the same domain, there are only so many.
        self.domain_id = 1 + (os.getpid() + number) % _DOMAINS
        self._namespace = f'/bench_{uuid4().hex}'

    def arguments(self) -> list[str]:
        """Return the ROS arguments of every process of the group."""
        return [
            *('--ros-args', '--disable-external-lib-logs', '--log-level', 'warn'),
            *('-r', f'__ns:={self._namespace}'),
        ]

    def environment(self, transport: Transport) -> dict[str, str]:
        """Return all environment variables of a process of the group."""
        profile = str(find_config(PROFILE))
        kept = {key: value for key, value in os.environ.items() if key not in PROFILE_VARIABLES}
        ours = dict.fromkeys(PROFILE_VARIABLES, profile) if transport == 'profile' else {}
        return (
            kept
            | ours
            | {
                'ROS_DOMAIN_ID': str(self.domain_id),
                'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
            }
        )


@final
class Child(AbstractContextManager['Child']):
    """A function in a process of its own, in a ``with`` statement, at whose end it is stopped."""

    def __init__(self, name: str, environment: Mapping[str, str], work: Work, *args: Any) -> None:
        """Start it.

        Args:
            name: For messages.
            environment: All environment variables of the child.
            work: Module-level function.
            args: Its arguments after the pipe.
        """
        context = get_context('spawn')
        self.name = name
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_run, args=(theirs, dict(environment), work, args), name=name, daemon=True
        )
        self._process.start()
        theirs.close()  # so that the pipe breaks when the child ends

    @property
    def pid(self) -> int:
        """Process id."""
        assert self._process.pid is not None, 'started'
        return self._process.pid

    def ask(self, *request: Any, timeout_s: float = 60.0, needs: Sequence['Child'] = ()) -> Any:
        """Send a request and wait for the answer, see `send` and `receive`."""
        self.send(*request)
        return self.receive(timeout_s, needs)

    def send(self, *request: Any) -> None:
        """Send a request, whose answer `receive` fetches.

        Raises:
            ChildError: If the child has ended.
        """
        try:
            self._pipe.send(request)
        except OSError as error:
            msg = f'{self.name} has ended'
            raise ChildError(msg) from error

    def has_answered(self, timeout_s: float) -> bool:
        """Wait at most so long (s) for something to `receive`."""
        return self._pipe.poll(timeout_s)

    def receive(self, timeout_s: float = 60.0, needs: Sequence['Child'] = ()) -> Any:
        """Wait for an answer.

        Args:
            timeout_s: Longest wait, s.
            needs: Children without which there will be no answer.

        Raises:
            ChildError: If one of the children has ended or there is no answer in time.
        """
        ends: dict[Any, str] = {child._process.sentinel: child.name for child in needs}  # noqa: SLF001
        ready = wait([self._pipe, *ends], timeout_s)
        names = [ends[end] for end in ready if end in ends]
        if self._pipe in ready:
            try:
                return self._pipe.recv()
            except (EOFError, OSError):
                names = [self.name]
        what = 'has ended' if names else f'does not answer within {timeout_s:g} s'
        msg = f'{(names or [self.name])[0]} {what}'
        raise ChildError(msg)

    def finish(self, timeout_s: float = 60.0) -> Any:
        """Let it end; return what its function returned.

        Raises:
            ChildError: If it does not end in time.
        """
        return self.ask(timeout_s=timeout_s)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it, and leave none of its shared memory behind."""
        self._pipe.close()
        self._process.join(10)
        left = segments_of(self.pid) if self._process.is_alive() else []
        self._process.kill()
        self._process.join()
        for file in left:
            file.unlink(missing_ok=True)


def requests(pipe: Connection) -> Any:
    """Yield requests in the child until the parent lets it end, or has ended itself."""
    try:
        while request := pipe.recv():
            yield request
    except (EOFError, OSError):
        return


def _run(pipe: Connection, environment: dict[str, str], work: Work, args: tuple[Any, ...]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    result = work(pipe, *args)
    with suppress(OSError):  # the parent may no longer listen
        pipe.send(result)
