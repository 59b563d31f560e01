# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Files of a run: the checkpoint it resumes from, and weights that anybody can read.

None of them can run code: checkpoints are read with torch's ``weights_only``, weights are
safetensors. A file is written beside its place and moved there, so a full disk or a kill leaves
the one before it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
import hashlib
import json
import os
from pathlib import Path
from typing import Any, Final, get_args, get_type_hints, NamedTuple, TypeVar

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn, Tensor

from vidseg_ros.core.errors import OutputError, ParameterError, SourceError
from vidseg_training.config import TrainConfig
from vidseg_training.tensor_files import load_tensors, read_safetensors

_Settings = TypeVar('_Settings')

CHECKPOINT: Final = 'last.ckpt'
"""What a run resumes from: weights, their average, optimizer, position, settings."""

WEIGHTS: Final = 'last.safetensors'
"""The weights that ship, as they stood at the last validation or at the end."""

BEST: Final = 'best.safetensors'
"""The weights that ship, as they stood at the validation with the highest score."""

FREELY: Final = (
    'data',
    'checkpoint_steps',
    'validate_epochs',
    'sample_pictures',
    'tensorboard',
    'workers',
)
"""Settings that may change between two calls of one run: they do not touch its outcome."""

MOVABLE: Final = (
    'init',
    'teacher',
    'unlabelled',
    'propagated',
    'consistency.clips',
    'consistency.motion',
    'distillation.teacher',
)
"""Settings that name files: those may lie elsewhere in the next call, but not be others."""


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


def settings_text(config: TrainConfig) -> str:
    """Write settings as JSON."""
    return json.dumps(asdict(config), default=str, sort_keys=True)


def parse_settings(text: str) -> TrainConfig:
    """Read `settings_text`; a setting that is not there has its default.

    Raises:
        SourceError: If a setting is unknown or out of range.
    """
    return _parse(TrainConfig, json.loads(text))


def _parse(kind: type[_Settings], plain: dict[str, Any]) -> _Settings:
    """Build settings from JSON."""

    def typed(hint: Any, value: Any) -> Any:  # noqa: ANN401  # JSON of any field
        if isinstance(value, dict):
            return _parse(hint, value)
        if isinstance(value, list):
            return tuple(typed(hint, item) for item in value)
        names_file = Path in (hint, *get_args(hint))
        return Path(value) if names_file and value is not None else value

    hints = get_type_hints(kind)
    if unknown := sorted(set(plain) - set(hints)):
        msg = f'the settings {", ".join(unknown)} are unknown: the run is of another version'
        raise SourceError(msg)
    return kind(**{name: typed(hints[name], value) for name, value in plain.items()})


def flat_settings(settings: Any, prefix: str = '') -> dict[str, Any]:  # noqa: ANN401  # a dataclass
    """Return settings by name; those of a block have its name before theirs, with a dot."""
    flat: dict[str, Any] = {}
    for name, value in vars(settings).items():
        if is_dataclass(value):
            flat |= flat_settings(value, f'{prefix}{name}.')
        else:
            flat[prefix + name] = value
    return flat


def changed_settings(before: TrainConfig, now: TrainConfig) -> list[str]:
    """Name the settings that decide a run's outcome and differ between two calls of it."""

    def outcome(name: str, value: Any) -> object:  # noqa: ANN401  # of any setting
        if name in MOVABLE and value is not None:
            paths = [value] if isinstance(value, str | Path) else value
            return [Path(path).name for path in paths]
        return value

    old, new = flat_settings(before), flat_settings(now)
    names = [name for name in sorted(new) if name not in FREELY]
    return [name for name in names if outcome(name, old[name]) != outcome(name, new[name])]


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
    changed = changed_settings(parse_settings(checkpoint['settings']), config)
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
        'settings': settings_text(config),
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
    if not {'settings', 'epoch', 'network'} <= set(state):
        msg = f'{path} is no checkpoint of vidseg-train'
        raise SourceError(msg)
    return state


def read_weights(path: Path) -> TrainedWeights:
    """Read the weights that ship from a run.

    Args:
        path: Folder of a run (its checkpoint is read), a checkpoint, or a safetensors file.

    Raises:
        SourceError: If there is no such file or it is damaged.
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
    return _trained(
        checkpoint, checkpoint.get('classes', ()), checkpoint.get('class_weights'), state
    )


def _read_shipped(path: Path) -> TrainedWeights:
    state, about = read_safetensors(path)
    if not {'settings', 'epoch', 'classes'} <= set(about):
        msg = f'{path} does not say which run it comes from; give a file that vidseg-train wrote'
        raise SourceError(msg)
    classes, weights = (json.loads(about.get(key, 'null')) for key in ('classes', 'class_weights'))
    return _trained(about, classes, weights, state)


def _trained(
    about: Mapping[str, Any],
    classes: Sequence[str],
    weights: Sequence[float] | None,
    state: dict[str, Tensor],
) -> TrainedWeights:
    return TrainedWeights(
        parse_settings(about['settings']),
        int(about['epoch']),
        state,
        tuple(classes),
        None if weights is None else tuple(weights),
    )


def load_weights(network: nn.Module, state: Mapping[str, Tensor], origin: object) -> None:
    """Give a network its weights.

    Args:
        network: Receives them.
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
    network.load_state_dict(dict(state))


def _some(keys: list[str], most: int = 3) -> str:
    more = f' and {len(keys) - most} more' if len(keys) > most else ''
    return f'{", ".join(keys[:most])}{more}'
