# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What every benchmark writes down: where it ran, what came out, and whether that is enough."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
import hashlib
from importlib import metadata
import json
from math import isnan
import os
from pathlib import Path
import platform
from typing import Any, Final

import cv2

from vidseg_ros.core.errors import ParameterError
from vidseg_ros.evaluation.results_folder import write_json

RESULTS: Final = Path(__file__).parent / 'results'

_BUSY: Final = 0.5
"""Load average from which the machine is called busy."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A number and what it has to reach."""

    what: str
    """The number, in words."""
    value: float
    """What was measured."""
    limit: float
    """The last value that is good enough."""
    higher_is_better: bool
    """Whether the value must be at least the limit, or else at most."""

    @property
    def reached(self) -> bool:
        """Whether the value is good enough; what could not be measured (NaN) never is."""
        return self.value >= self.limit if self.higher_is_better else self.value <= self.limit

    def __str__(self) -> str:
        """Return one line for people."""
        word = 'at least' if self.higher_is_better else 'at most'
        verdict = 'reached' if self.reached else 'MISSED '
        return f'{verdict}  {self.what}: {self.value:.3f}, wanted {word} {self.limit:g}'


def surroundings(*packages: str) -> dict[str, Any]:
    """Return date, machine, its load now, and versions; call it before the measurement.

    Args:
        packages: Distributions beside Python and OpenCV; one that is not installed from a
            package index has the version None.
    """
    load = os.getloadavg()[0]
    if load > _BUSY:
        print(f'load average {load:.1f}: other programs are running, the times mean little')
    return {
        'date': datetime.now(timezone.utc).date().isoformat(),
        'machine': f'{platform.machine()}, {os.cpu_count()} CPUs, {_cpu_name()}',
        'load_average_before': load,
        'versions': {
            'python': platform.python_version(),
            'opencv': cv2.__version__,
            **{name: _version(name) for name in packages},
        },
    }


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def earlier_runs(path: Path, settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the runs that a result file has already, so that a table grows over days.

    Args:
        path: The file, or where it will be.
        settings: Plain types that must stand in the file with these values.

    Returns:
        The file's ``runs``, empty without a file.

    Raises:
        ParameterError: If the file has other settings.
    """
    if not path.is_file():
        return {}
    earlier = json.loads(path.read_text(encoding='utf-8'))
    wanted = json.loads(json.dumps(settings))
    if others := [name for name, value in wanted.items() if earlier.get(name) != value]:
        msg = f'{path} has runs of other settings ({", ".join(others)}); choose another --out'
        raise ParameterError(msg)
    runs: dict[str, dict[str, Any]] = earlier['runs']
    return runs


def finish(
    result: Mapping[str, Any], targets: Sequence[Target], *, name: str, out: Path | None
) -> int:
    """Write the result as JSON and say for each target whether it was reached.

    Args:
        result: Plain types.
        targets: Go into the file, too.
        name: Start of the file's name.
        out: The file; None takes ``results/<name>_<number of CPUs>cpu.json``.

    Returns:
        Exit status: 0, or 1 if a target was missed.

    Raises:
        OutputError: If the file cannot be written.
    """
    path = write_result(result, targets, name=name, out=out)
    for target in targets:
        print(target)
    print(f'result is in {path}')
    return 0 if all(target.reached for target in targets) else 1


def write_result(
    result: Mapping[str, Any], targets: Sequence[Target], *, name: str, out: Path | None
) -> Path:
    """Write the result so far as JSON, quietly; arguments and errors are those of `finish`.

    Returns:
        The file.
    """
    path = out or RESULTS / f'{name}_{os.cpu_count()}cpu.json'
    judged = [
        {
            **asdict(target),
            'value': None if isnan(target.value) else target.value,
            'reached': target.reached,
        }
        for target in targets
    ]
    write_json(path, {**result, 'targets': judged})
    return path


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _cpu_name() -> str:
    try:
        text = Path('/proc/cpuinfo').read_text(encoding='utf-8')
    except OSError:
        return platform.processor()
    names = [line.partition(':')[2].strip() for line in text.splitlines() if 'model name' in line]
    return names[0] if names else platform.processor()
