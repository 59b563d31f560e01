# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The argument parser of every command: what is misspelt gets the nearest name."""

import argparse
from difflib import get_close_matches
import re
from typing import NoReturn

_CHOICE = re.compile(r"invalid choice: '(?P<word>.*?)' \(choose from (?P<choices>.*)\)")
_UNKNOWN = re.compile(r'unrecognized arguments:.* ?(?P<word>--[\w-]+)')


class Parser(argparse.ArgumentParser):
    """As its base; `suggest_on_error` of Python 3.14 knows choices only, and no flags."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and what may have been meant, and exit with 2."""
        known: list[str] = []
        if found := _CHOICE.search(message):
            known = [choice.strip(" '") for choice in found['choices'].split(',')]
        elif found := _UNKNOWN.search(message):
            known = re.findall(r'--[\w-]+', self.format_help())
        near = get_close_matches(found['word'], known, n=1) if found else []
        super().error(message + ''.join(f'; did you mean {name}?' for name in near))
