# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Workers of a Ray cluster: one task for each job."""

from collections.abc import Callable
from contextlib import suppress
import os
from pathlib import Path
import socket
import sys
from typing import Any, Final, final, NamedTuple

from vidseg_ros.core.errors import ParameterError
from vidseg_ros.core.fleet.worker import (
    Died,
    do_job,
    Event,
    Failed,
    limit_threads,
    Progress,
    Progressed,
    seldom,
)

_POLL_S: Final = 0.2
"""How often progress is asked for while no task ends, s."""

_CONNECT_S: Final = 5.0
"""Longest wait for the port of a cluster, s."""

_OBJECT_STORE_BYTES: Final = 100 * 2**20
"""Of a cluster started here; jobs and results are small, footage stays in its files."""

_CLUSTERS: Final = 'RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER'
"""Read when Ray is imported; unless 0, Ray takes an address that others can reach."""

_NO_LIMIT: Final = 1_000_000


class _Surroundings(NamedTuple):
    """What a worker sets up before its job."""

    threads: int | None
    """Of OpenCV; None leaves them alone."""
    folder: Path
    """The driver's working directory, which relative paths start from."""


@final
class RayWorkers:
    """See `vidseg_ros.core.fleet.worker.Workers`.

    Ray decides where and when a task runs. Its own retries are switched off: a task whose worker
    died is reported as `Died`, so that attempts are counted in one place for all kinds of workers.
    """

    slots: int = _NO_LIMIT

    def __init__(
        self,
        function: Callable[[Any, Progress], Any],
        address: str | None,
        workers: int,
        threads: int | None,
    ) -> None:
        """Connect to a cluster.

        Args:
            function: A function of a module that is installed on every machine of the cluster.
            address: Of a running cluster; None starts one on this machine that only it can reach.
            workers: Workers of a cluster that is started here.
            threads: Threads of each worker; None: one CPU is reserved, OpenCV left alone.

        Raises:
            ParameterError: If Ray is not installed, the cluster cannot be reached, or one that is
                started here could be reached by others.
        """
        os.environ.setdefault('RAY_USAGE_STATS_ENABLED', '0')
        if address is None:
            _stay_on_loopback()
        else:
            _check_port(address)
        try:
            import ray  # noqa: PLC0415 - an extra, and takes a second
            from ray.util.queue import Queue  # noqa: PLC0415
            from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: PLC0415
        except ImportError as error:
            msg = f"no Ray here ({error}); install it: pip install 'vidseg_ros[ray]'"
            raise ParameterError(msg) from error
        cpus = threads or 1
        self._ray = ray
        new_cluster = {
            'num_cpus': workers * cpus,
            'num_gpus': 0,
            'include_dashboard': False,
            'object_store_memory': _OBJECT_STORE_BYTES,
            '_node_ip_address': '127.0.0.1',
        }
        try:
            ray.init(log_to_driver=False, **({'address': address} if address else new_cluster))
        except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
            msg = f'cannot reach a Ray cluster at {address or "this machine"}: {error}'
            raise ParameterError(msg) from error
        # Progress is kept where it is read: no other machine's end may take it away.
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self._news = Queue(actor_options={'num_cpus': 0, 'scheduling_strategy': here})
        self._task = ray.remote(num_cpus=cpus, max_retries=0)(_work)
        self._arguments = function, self._news, _Surroundings(threads, Path.cwd())
        self._running: dict[Any, int] = {}

    def start(self, number: int, job: Any) -> None:  # noqa: ANN401 - any picklable job
        """Hand a job to Ray."""
        self._running[self._task.remote(number, job, *self._arguments)] = number

    def wait(self) -> list[Event]:
        """Return what has happened within a moment; may be nothing."""
        ended, _ = self._ray.wait(list(self._running), timeout=_POLL_S)
        return [*self._progress(), *(self._end(reference) for reference in ended)]

    def _progress(self) -> list[Event]:
        """Return what workers said; nothing once the machine that keeps it is lost."""
        with suppress(self._ray.exceptions.RayError):
            if count := self._news.qsize():
                events: list[Event] = self._news.get_nowait_batch(count)
                return events
        return []

    def close(self) -> None:
        """Cancel what is under way and disconnect; a cluster that was started here ends."""
        for reference in self._running:
            self._ray.cancel(reference, force=True)
        self._news.shutdown(force=True)
        self._ray.shutdown()

    def _end(self, reference: Any) -> Event:  # noqa: ANN401 - Ray is untyped here
        number = self._running.pop(reference)
        try:
            event: Event = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:  # not even `_work` could be called
            return Failed(number, str(error))
        except self._ray.exceptions.RayError as error:
            return Died(number, str(error).partition('\n')[0])
        return event


def _stay_on_loopback() -> None:
    if sys.modules.get('ray') is not None and os.environ.get(_CLUSTERS) != '0':
        msg = f'Ray was imported already and would listen to others; set {_CLUSTERS}=0 before'
        raise ParameterError(msg)
    os.environ[_CLUSTERS] = '0'


def _check_port(address: str) -> None:
    """Ask whether anybody listens at ``host:port``; Ray itself goes on asking for minutes."""
    host, _, port = address.removeprefix('ray://').rpartition(':')
    if not port.isdigit():
        return  # 'auto' and the like: for Ray to resolve
    try:
        socket.create_connection((host, int(port)), _CONNECT_S).close()
    except OSError as error:
        msg = f'cannot reach a Ray cluster at {address}: {error}; start it by `ray start --head`'
        raise ParameterError(msg) from error


def _work(
    number: int,
    job: Any,  # noqa: ANN401 - any picklable job
    function: Callable[[Any, Progress], Any],
    news: Any,  # noqa: ANN401 - Ray is untyped here
    surroundings: _Surroundings,
) -> Event:
    """Do a job in a worker of Ray, with the driver's working directory if this machine has it."""
    from ray.exceptions import RayError  # noqa: PLC0415 - an extra

    def tell(done: int, total: int | None) -> None:
        with suppress(RayError):  # a job does not fail because nobody hears of its progress
            news.put(Progressed(number, done, total))

    try:
        os.chdir(surroundings.folder)
    except OSError as error:
        paths = [value for value in vars(job).values() if isinstance(value, Path)]
        if relative := [str(path) for path in paths if not path.is_absolute()]:
            msg = (
                f'{socket.gethostname()} cannot enter {surroundings.folder}, where the command '
                f'was given ({error.strerror}), and {", ".join(relative)} starts there: give '
                'absolute paths that all machines have'
            )
            return Failed(number, msg)
    limit_threads(surroundings.threads)
    return do_job(function, number, job, seldom(tell))
