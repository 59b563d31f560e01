# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Finding the models and configurations that ship with the package, installed or not."""

import os
from pathlib import Path
import sys
from typing import Final

from vidseg_ros.core.errors import ModelError, ParameterError, VidsegError

DEFAULT_MODEL: Final = 'camvid_fddwnet_fast'
"""Shipped model for footage of one's own."""

_SHARE = Path('share', 'vidseg_ros')
_CHECKOUT = Path(__file__).resolve().parents[2]


def find_model(name_or_path: str | Path) -> Path:
    """Find a model file.

    Args:
        name_or_path: Path of an existing file, or the bare name of a shipped model, with or
            without ``.onnx``. Names are looked up in ``share/vidseg_ros/models`` of each prefix
            in AMENT_PREFIX_PATH, then of the Python environment, then in the source checkout.

    Returns:
        The path as given, or the path of the shipped model.

    Raises:
        ModelError: If there is no such file.
    """
    return _find(name_or_path, 'model', 'models', '.onnx', ModelError)


def find_config(name_or_path: str | Path) -> Path:
    """Find a configuration file, as ``find_model`` does, in ``config`` and with ``.yaml``.

    Args:
        name_or_path: Path of an existing file, or the bare name of a shipped configuration.

    Returns:
        The path as given, or the path of the shipped configuration.

    Raises:
        ParameterError: If there is no such file.
    """
    return _find(name_or_path, 'configuration', 'config', '.yaml', ParameterError)


def _find(
    name_or_path: str | Path, kind: str, folder: str, suffix: str, error: type[VidsegError]
) -> Path:
    """Return the first file that fits, or raise ``error`` saying where it was looked for."""
    path = Path(name_or_path)
    try:
        if path.is_file():
            return path
        if len(path.parts) > 1:
            msg = f'{kind} file {path} does not exist; check the path'
            raise error(msg)
        folders = _folders(folder)
        for candidate in (
            base / name for base in folders for name in (path.name, path.name + suffix)
        ):
            if candidate.is_file():
                return candidate
        shipped = sorted({file.stem for base in folders for file in base.glob(f'*{suffix}')})
    except OSError as cause:
        msg = f'cannot look for {kind} {str(path)!r}: {cause.strerror}; give a readable path'
        raise error(msg) from cause
    msg = (
        f'no {kind} {str(name_or_path)!r}: there is no such file here, and none in '
        f'{", ".join(map(str, folders))}; give a path or one of: {", ".join(shipped) or "(none)"}'
    )
    raise error(msg)


def _folders(folder: str) -> list[Path]:
    """List the places where the package's share may be, first choice first."""
    ament = [Path(p) for p in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep) if p]
    return [
        *(prefix / _SHARE / folder for prefix in ament),
        Path(sys.prefix) / _SHARE / folder,
        _CHECKOUT / folder,
    ]
