# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The file of a motion network: its weights, with the settings they come from."""

from dataclasses import asdict
import json
from pathlib import Path
from typing import Any, Final, get_args, get_type_hints, NamedTuple

from safetensors.torch import save_file

from vidseg_ros.core.errors import SourceError
from vidseg_training.checkpoints import load_weights, write_atomically
from vidseg_training.motion_config import MotionConfig
from vidseg_training.networks.motion import MotionMode, MotionNet
from vidseg_training.tensor_files import read_safetensors

WEIGHTS: Final = 'motion.safetensors'
"""Name of the file in the folder of a run."""

_KEY: Final = 'motion'


class StoredMotion(NamedTuple):
    """What the file of a motion network says."""

    network: MotionNet
    """In evaluation mode."""
    flow: str
    """Name of the optical flow that it starts from, 'none' or 'own'."""
    clips: tuple[str, ...]
    """Where it was learned from, paths as of that time."""


def settings_text(config: MotionConfig) -> str:
    """Write settings as JSON."""
    return json.dumps(asdict(config), sort_keys=True)


def write_motion(path: Path, network: MotionNet, config: MotionConfig, step: int) -> None:
    """Write a network.

    Args:
        path: File to write.
        network: Its weights are written.
        config: Settings of the run.
        step: Steps behind it.

    Raises:
        OutputError: If the file cannot be written; one before it stays.
    """
    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    about = {_KEY: settings_text(config), 'step': str(step)}
    write_atomically(path, lambda partial: save_file(state, partial, about))


def read_motion(path: Path) -> StoredMotion:
    """Read what `write_motion` wrote.

    Raises:
        SourceError: If there is no such file, or it is damaged, of another version or not ours.
    """
    state, about = read_safetensors(path)
    if _KEY not in about:
        msg = f'{path} is no motion network; give what vidseg-train motion wrote'
        raise SourceError(msg)
    try:
        settings: dict[str, Any] = json.loads(about[_KEY])
        mode, width, flow = settings['mode'], int(settings['width']), str(settings['flow'])
        clips = tuple(settings.get('clips', ()))
    except (ValueError, LookupError, TypeError) as error:
        msg = f'the settings in {path} are not those of a motion network: the file is damaged'
        raise SourceError(msg) from error
    flows = get_args(get_type_hints(MotionConfig)['flow'])
    if mode not in get_args(MotionMode) or flow not in flows or width < 1:
        msg = (
            f'cannot use {path}: mode {mode}, flow {flow}, width {width} are of another version '
            'of vidseg-train: use that one, or train again'
        )
        raise SourceError(msg)
    network = MotionNet(mode, width)
    load_weights(network, state, path)
    return StoredMotion(network.eval(), flow, clips)
