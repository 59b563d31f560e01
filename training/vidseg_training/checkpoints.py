# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Files of a run: the checkpoint it resumes from, and weights that anybody can read.

None of them can run code: checkpoints are read with torch's ``weights_only``, weights are
safetensors. A file is written beside its place and moved there, so a full disk or a kill leaves
the one before it.
"""

from collections.abc import Callable, Mapping, Sequence
import hashlib
import json
import os
from pathlib import Path
from typing import Any, Final, NamedTuple

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn, Tensor

from vidseg_ros.core.errors import OutputError, ParameterError, SourceError
from vidseg_training.config import TrainConfig
from vidseg_training.run_settings import changed_settings, parse_settings, settings_text
from vidseg_training.tensor_files import load_tensors, read_safetensors

CHECKPOINT: Final = 'last.ckpt'
"""What a run resumes from: weights, their average, optimizer, position, settings."""

WEIGHTS: Final = 'last.safetensors'
"""The weights that ship, as they stood at the last validation or at the end."""

BEST: Final = 'best.safetensors'
"""The weights that ship, as they stood at the validation with the highest score."""

SETTINGS: Final = 'settings'
"""What a file of a run has its settings under; no other file has them."""


class TrainedWeights(NamedTuple):
    """What a file of a run says."""

    config: TrainConfig
    """Settings of the run."""
    epoch: int
    """Epochs behind it."""
    state: dict[str, Tensor]
    """State dict of the network as it ships."""
    classes: tuple[str, ...]
    """Names of its classes; none in checkpoints of runs from before they were kept."""
    class_weights: tuple[float, ...] | None
    """Weight of each class in the loss; None without them, and in files of runs from before they
    were kept."""


def started_run(folder: Path, config: TrainConfig) -> dict[str, Any] | None:
    """Read the checkpoint of a folder's run; None if there is none.

    Args:
        folder: Of the run.
        config: Settings with which it shall go on.

    Raises:
        ParameterError: If it has other settings.
        SourceError: If it cannot be read.
    """
    path = folder / CHECKPOINT
    if not path.is_file():
        return None
    checkpoint = load_checkpoint(path)
    changed = changed_settings(parse_settings(checkpoint[SETTINGS], path), config)
    if changed:
        msg = (
            f'{path} belongs to a run with other settings ({", ".join(changed)}); '
            'choose another --out'
        )
        raise ParameterError(msg)
    return checkpoint


def check_classes(path: Path, trained: Sequence[str], names: Sequence[str]) -> None:
    """Refuse data with other classes than a run's, or in another order.

    Args:
        path: Of the run, for the message.
        trained: Names of its classes; none where they were not kept.
        names: Names of the classes of the data.

    Raises:
        SourceError: If they differ.
    """
    if trained and tuple(trained) != tuple(names):
        msg = (
            f'{path} was trained on the classes {", ".join(trained)}; the data have '
            f'{", ".join(names)}'
        )
        raise SourceError(msg)


def origin(
    names: Sequence[str],
    teacher: str | None,
    clips: str | None = None,
    motion: str | None = None,
) -> dict[str, str | None]:
    """Return what a run may not change on its way, besides its settings.

    Args:
        names: Of the training images.
        teacher: Checksum of the teacher; None without one.
        clips: Their fingerprint; None without them.
        motion: Name of the motion between their frames, with the checksum of a network; None
            where no loss follows it.
    """
    images = hashlib.sha256('\n'.join(names).encode()).hexdigest()
    return {'images': images, 'teacher': teacher, 'clips': clips, 'motion': motion}


def check_origin(path: Path, checkpoint: Mapping[str, Any], now: Mapping[str, str | None]) -> None:
    """Refuse to go on with other images or clips, another teacher or motion than a run began with.

    Args:
        path: The checkpoint's, for the message.
        checkpoint: What it says; of runs from before this was kept, nothing.
        now: Their `origin`.

    Raises:
        ParameterError: If they differ.
    """
    what = {
        'teacher': 'another distillation.teacher',
        'images': 'other training images',
        'clips': 'other frames in consistency.clips',
        'motion': 'another network for consistency.motion',
    }
    for name, digest in now.items():
        if checkpoint.get(name, digest) != digest:
            msg = f'{path} began with {what[name]}; choose another --out'
            raise ParameterError(msg)


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` make a file under another name, then give it its own.

    Raises:
        OutputError: If it cannot be written; what stood at ``path`` is left as it was.
    """
    partial = path.with_name(f'{path.name}.partial')
    try:
        write(partial)
        with partial.open('rb') as stream:  # some disks are found full only now
            os.fsync(stream.fileno())
        os.replace(partial, path)  # noqa: PTH105  # atomic on POSIX
    except (OSError, RuntimeError, SafetensorError) as error:  # torch and safetensors have own
        partial.unlink(missing_ok=True)
        msg = (
            f'cannot write {path}: {error}; the one before it is untouched: make room, then '
            'give the same command again'
        )
        raise OutputError(msg) from error


def write_weights(  # noqa: PLR0913  # the last two by name
    path: Path,
    network: nn.Module,
    config: TrainConfig,
    epoch: int,
    *,
    classes: Sequence[str],
    class_weights: Sequence[float] | None = None,
) -> None:
    """Write the weights of a network that ships, with the settings they come from.

    Args:
        path: The file.
        network: The network.
        config: Settings of the run.
        epoch: Epochs behind it.
        classes: Names of its classes.
        class_weights: Weight of each of them in the loss, or None.

    Raises:
        OutputError: If the file cannot be written; one before it stays.
    """
    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    about = {
        SETTINGS: settings_text(config),
        'epoch': str(epoch),
        'classes': json.dumps(list(classes)),
        'class_weights': json.dumps(class_weights),
    }
    write_atomically(path, lambda partial: save_file(state, partial, about))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint into memory.

    Raises:
        SourceError: If it is missing, damaged, or would run code.
    """
    state = load_tensors(path, 'checkpoint')
    kinds = {SETTINGS: str, 'epoch': int, 'network': dict}
    if not all(isinstance(state.get(name), kind) for name, kind in kinds.items()):
        msg = f'{path} is no checkpoint of vidseg-train'
        raise SourceError(msg)
    return state


def read_weights(path: Path) -> TrainedWeights:
    """Read the weights that ship from a run.

    Args:
        path: Folder of a run (its checkpoint is read), a checkpoint, or a safetensors file.

    Raises:
        SourceError: If there is no such file, it is damaged, or of another version.
    """
    path = path / CHECKPOINT if path.is_dir() else path
    if not path.is_file():
        msg = f'no checkpoint {path}; train first: vidseg-train fit RECIPE --out {path.parent}'
        raise SourceError(msg)
    if path.suffix == '.safetensors':
        return _read_shipped(path)
    checkpoint = load_checkpoint(path)
    state = checkpoint['network']
    if 'average' in checkpoint:
        prefix = 'module.'
        state = {
            name[len(prefix) :]: value
            for name, value in checkpoint['average'].items()
            if name.startswith(prefix)
        }
    classes = checkpoint.get('classes', ())
    return _trained(path, checkpoint, classes, checkpoint.get('class_weights'), state)


def _read_shipped(path: Path) -> TrainedWeights:
    state, about = read_safetensors(path)
    if not {SETTINGS, 'epoch', 'classes'} <= set(about):
        msg = f'{path} does not say which run it comes from; give a file that vidseg-train wrote'
        raise SourceError(msg)
    try:
        classes = json.loads(about['classes'])
        weights = json.loads(about.get('class_weights', 'null'))
    except ValueError as error:
        raise _damaged(path) from error
    return _trained(path, about, classes, weights, state)


def _trained(
    path: Path,
    about: Mapping[str, Any],
    classes: object,
    weights: object,
    state: dict[str, Tensor],
) -> TrainedWeights:
    config = parse_settings(about[SETTINGS], path)
    if not isinstance(classes, list | tuple) or not isinstance(weights, list | tuple | None):
        raise _damaged(path)
    try:
        epoch, kept = int(about['epoch']), None if weights is None else tuple(map(float, weights))
    except (TypeError, ValueError) as error:
        raise _damaged(path) from error
    if kept is not None and classes and len(kept) != len(classes):
        raise _damaged(path)
    return TrainedWeights(config, epoch, state, tuple(map(str, classes)), kept)


def _damaged(path: Path) -> SourceError:
    return SourceError(
        f'{path} is damaged: what it says of epoch, classes or their weights is not what '
        'vidseg-train writes; take a copy of it'
    )


def load_weights(network: nn.Module, state: Mapping[str, Tensor], origin: object) -> None:
    """Give a network its weights; arguments and errors as in `check_weights`."""
    check_weights(network, state, origin)
    network.load_state_dict(dict(state))


def check_weights(network: nn.Module, state: Mapping[str, Tensor], origin: object) -> None:
    """Refuse the weights of another network.

    Args:
        network: They should be its own; it may be on the meta device.
        state: State dict.
        origin: Where they come from, for the message.

    Raises:
        SourceError: If they are another network's; the message says which keys differ.
    """
    own = network.state_dict()
    shapes = [
        f'{name} is {tuple(state[name].shape)}, not {tuple(own[name].shape)}'
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    differences = [
        f'{what} {_some(keys)}'
        for what, keys in (
            ('without', sorted(set(own) - set(state))),
            ('besides', sorted(set(state) - set(own))),
            ('of other shape:', shapes),
        )
        if keys
    ]
    if differences:
        msg = (
            f'the weights of {origin} are not those of a {type(network).__name__}: '
            f'{"; ".join(differences)}'
        )
        raise SourceError(msg)


def _some(keys: list[str], most: int = 3) -> str:
    more = f' and {len(keys) - most} more' if len(keys) > most else ''
    return f'{", ".join(keys[:most])}{more}'
