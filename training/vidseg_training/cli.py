# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The vidseg-train command line; options come from the configuration's fields."""

from collections.abc import Sequence
import logging
from pathlib import Path
import sys

import tyro

from vidseg_ros.core.errors import VidsegError
from vidseg_training.fitting import run
from vidseg_training.recipes import RECIPES


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``vidseg-train fit RECIPE --out DIR [--field value]``."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    logging.basicConfig(level=logging.INFO, format='%(message)s')
    if len(arguments) < 2 or arguments[0] != 'fit' or arguments[1] not in RECIPES:
        print(f'usage: vidseg-train fit {{{",".join(RECIPES)}}} --out DIR', file=sys.stderr)
        return 2
    recipe = RECIPES[arguments[1]]()
    out = Path('runs') / recipe.name
    rest = arguments[2:]
    if '--out' in rest:
        at = rest.index('--out')
        out = Path(rest[at + 1])
        del rest[at : at + 2]
    config = tyro.cli(type(recipe), default=recipe, args=rest)
    try:
        weights = run(config, out)
    except VidsegError as error:
        print(f'vidseg-train: {error}', file=sys.stderr)
        return 2
    print(weights)
    return 0
