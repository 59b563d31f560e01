# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`vidseg report`: write the page of an evaluation again."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from vidseg_ros.cli.parser import Parser
from vidseg_ros.evaluation.report import write_report


def main(argv: Sequence[str]) -> int:
    """Write the report; print where it is.

    Args:
        argv: Arguments after ``vidseg report``.

    Raises:
        ParameterError: If the charts' library is not installed.
        SourceError: If the folder holds no evaluation, or a damaged one.
        OutputError: If the report cannot be written.
    """
    parser = Parser(
        prog='vidseg report',
        description='Write report.html of an evaluation, out of what lies in its folder.',
    )
    parser.add_argument('out', type=Path, metavar='DIR', help='folder of vidseg evaluate')
    path = write_report(parser.parse_args(argv).out)
    size = path.stat().st_size / 1e6
    Console(markup=False, emoji=False).print(f'report: {path} ({size:.1f} MB)', highlight=False)
    return 0
