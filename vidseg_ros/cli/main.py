# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The `vidseg` command: one table of sub-commands, each imported only when it is called."""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module, metadata
import signal
import sys
import threading
from types import FrameType
from typing import Final, NamedTuple

from vidseg_ros.cli.parser import Parser
from vidseg_ros.core.errors import VidsegError

EXIT_ERROR: Final = 2
EXIT_INTERRUPTED: Final = 130
END_SIGNALS: Final = (signal.SIGTERM, signal.SIGHUP)
"""Ask a program to end, and would end Python on the spot."""


class Command(NamedTuple):
    """Where a sub-command lives and what it does."""

    module: str
    """Module with ``main(argv) -> int``."""
    help: str
    """One line for ``vidseg --help``."""


COMMANDS: Final = {
    'demo': Command('vidseg_ros.cli.demo', 'see a live ROS 2 node segment a drive'),
    'replay': Command('vidseg_ros.cli.replay', 'segment a bag, a video or a folder of images'),
    'evaluate': Command('vidseg_ros.cli.evaluate', 'score models over any amount of footage'),
    'compare': Command('vidseg_ros.cli.compare', 'film two models side by side, and their flips'),
    'report': Command('vidseg_ros.cli.report', 'write the page of an evaluation again'),
    'inspect': Command('vidseg_ros.cli.inspect', 'print what a model file says about itself'),
    'convert': Command('vidseg_ros.cli.convert', 'make a model file of lower precision'),
    'benchmark': Command('vidseg_ros.cli.benchmark', 'time a model on an engine of this machine'),
    'build-engine': Command('vidseg_ros.cli.build_engine', 'build the TensorRT engine of a model'),
}
"""Sub-commands by name."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `vidseg`.

    Args:
        argv: Arguments without the program's name; None takes those of the process.

    Returns:
        0 on success, 2 after an error (printed to stderr) or without a command (help),
        130 after Ctrl-C.

    Raises:
        SystemExit: With 0 after ``--help``, 2 after wrong arguments, 128 + n after signal n of
            `END_SIGNALS`; by then nothing is left that the command started.
    """
    parser = _parser()
    if not (sys.argv[1:] if argv is None else argv):
        parser.print_help(sys.stderr)
        return EXIT_ERROR
    args = parser.parse_args(argv)
    try:
        with _unwound_by_signals():
            status: int = import_module(COMMANDS[args.command].module).main(args.arguments)
    except VidsegError as error:
        sys.stderr.write(f'vidseg: {error}\n')
        return EXIT_ERROR
    except KeyboardInterrupt:
        sys.stderr.write('vidseg: interrupted\n')
        return EXIT_INTERRUPTED
    return status


@contextmanager
def _unwound_by_signals() -> Iterator[None]:
    """Let the signals that end a program end its ``with`` statements first, as Ctrl-C does.

    Signals are the main thread's business; one that is ignored (nohup) stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in END_SIGNALS}
    ours = [number for number, handler in before.items() if handler is signal.SIG_DFL]

    def end(number: int, _frame: FrameType | None) -> None:
        for other in ours:
            signal.signal(other, signal.SIG_IGN)  # a second one may not cut the end short
        raise SystemExit(128 + number)

    for number in ours:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, before[number])


def _parser() -> argparse.ArgumentParser:
    lines = [f'  {name:<12} {command.help}' for name, command in COMMANDS.items()]
    parser = Parser(
        prog='vidseg',
        description='Semantic segmentation of driving video.',
        epilog='commands:\n' + '\n'.join(lines) + '\n\n`vidseg COMMAND --help` says more.',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--version', action='version', version=f'vidseg {_version()}')
    parser.add_argument('command', choices=COMMANDS, metavar='COMMAND', help='see below')
    parser.add_argument('arguments', nargs=argparse.REMAINDER, help='of the command')
    return parser


def _version() -> str:
    try:
        return metadata.version('vidseg_ros')
    except metadata.PackageNotFoundError:
        return '(not installed: run from its sources)'


if __name__ == '__main__':
    raise SystemExit(main())
