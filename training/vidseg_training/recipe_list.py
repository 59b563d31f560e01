# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The recipes as a table, and one of them by its name."""

from difflib import get_close_matches
import inspect
import re

from rich.table import Table

from vidseg_ros.core.errors import ParameterError
from vidseg_training.config import TrainConfig
from vidseg_training.recipes import RECIPES


def find_recipe(name: str) -> TrainConfig:
    """Return the configuration of a recipe.

    Raises:
        ParameterError: If there is none of that name; the nearest names are offered.
    """
    if name in RECIPES:
        return RECIPES[name]()
    near = get_close_matches(name, RECIPES, n=3) or sorted(RECIPES)
    msg = f'no recipe {name}; did you mean {" or ".join(near)}? vidseg-train list shows all'
    raise ParameterError(msg)


def expected_result(name: str) -> str:
    """Return the paragraph of a recipe's docstring that says what comes out, and its source."""
    found = re.search(r'^Result: (.+?)(?:\n\n|\Z)', _docstring(name), re.DOTALL | re.MULTILINE)
    assert found is not None, f'the docstring of {name} lacks its result'
    return ' '.join(found[1].split())


def recipe_table() -> Table:
    """Return a table of all recipes for people."""
    table = Table(title='vidseg-train fit RECIPE --data FOLDER', show_lines=True)
    table.add_column('recipe', no_wrap=True)  # names are there to be copied
    table.add_column('what, and the expected result')
    for name in RECIPES:
        config = find_recipe(name)
        what = _docstring(name).partition('\n')[0]
        setting = f'data {config.dataset}, network {config.network}, {config.epochs} epochs'
        table.add_row(name, f'{what}\n{setting}\n{expected_result(name)}')
    return table


def _docstring(name: str) -> str:
    return inspect.getdoc(RECIPES[name]) or ''
