# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Files of tensors from anywhere, read without running code in them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import safe_open, SafetensorError
import torch
from torch import Tensor

from vidseg_ros.core.errors import SourceError


def load_tensors(path: Path, what: str) -> dict[str, Any]:
    """Read a file of `torch.save`, which may hold tensors and plain types only.

    Args:
        path: The file.
        what: It should be, for the message.

    Raises:
        SourceError: If it is missing, damaged, something else, or would run code. What PyTorch
            says of it is left out: it advises to let it run code.
    """
    state: Any = None
    try:
        state = torch.load(path, map_location='cpu', weights_only=True)
    except OSError as error:
        msg = f'cannot read the {what} {path}: {error.strerror}'
        raise SourceError(msg) from error
    except Exception as error:
        msg = f'cannot read the {what} {path}: it is no {what} file of PyTorch, or it is damaged'
        raise SourceError(msg) from error
    if not isinstance(state, dict):
        msg = (
            f'cannot read the {what} {path}: it holds a {type(state).__name__}, not named tensors'
        )
        raise SourceError(msg)
    return state


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the state dict of a file, and what the file says of itself.

    Raises:
        SourceError: If it is missing or damaged.
    """
    with _opened(path) as file:
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
        return state, file.metadata() or {}


def safetensors_metadata(path: Path) -> dict[str, str]:
    """Read what a file says of itself, without its tensors.

    Raises:
        SourceError: If it is missing or damaged.
    """
    with _opened(path) as file:
        about: dict[str, str] = file.metadata() or {}
        return about


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, 'pt') as file:
            yield file
    except SafetensorError as error:
        msg = f'cannot read the weights {path}: it is no safetensors file, or damaged ({error})'
        raise SourceError(msg) from error
    except OSError as error:
        msg = f'cannot read the weights {path}: {error}'
        raise SourceError(msg) from error
