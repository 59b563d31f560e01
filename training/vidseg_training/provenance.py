# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What the model card says of where the weights come from, told by the run's own settings."""

from dataclasses import replace
from pathlib import Path
import shlex
from typing import Final

from vidseg_ros.core.errors import SourceError, VidsegError
from vidseg_ros.core.model_card import DataSource
from vidseg_training.checkpoints import read_weights
from vidseg_training.config import TrainConfig
from vidseg_training.consistency.teachers import HUGGING_FACE
from vidseg_training.data import open_dataset, TrainingData
from vidseg_training.data.propagated import motions_of
from vidseg_training.recipes import RECIPES
from vidseg_training.run_settings import flat_settings, MOVABLE
from vidseg_training.starting_weights import is_run

FREE: Final = 'Apache-2.0'

NON_COMMERCIAL: Final = ('non-commercial', 'BY-NC')
"""What a licence says that keeps weights from commercial use."""

_UNKNOWN: Final = 'unknown, so non-commercial use until somebody knows better'

INITIAL_WEIGHTS: Final = DataSource(
    name='FDDWNet weights trained on Cityscapes, '
    'github.com/zh320/realtime-semantic-segmentation-pytorch',
    licence='Apache-2.0 (weights); Cityscapes allows non-commercial use',
    use='starting weights',
)
"""The published weights that `load_fddwnet` reads; they start a network or teach it."""


def describe_sources(config: TrainConfig, test: TrainingData) -> tuple[DataSource, ...]:
    """Name the data, the starting weights and the teacher that went into a run."""
    data = test.source
    if config.train_split == 'trainval':
        data = replace(data, name=f'{data.name}+val')
    sources = [data]
    if config.unlabelled:
        names = ', '.join(path.name for path in config.unlabelled)
        licence = config.unlabelled_licence
        sources.append(
            DataSource(name=f'unlabelled video: {names}', licence=licence, use='distillation')
        )
    if config.propagation != 'off' and config.propagated is not None:
        sources.append(
            DataSource(
                name=f'samples propagated over video: {config.propagated.name}, '
                f'{_carried_along(config.propagated)}',
                licence=config.propagated_licence,
                use='training',
            )
        )
    if config.consistency.clips:
        names = ', '.join(path.name for path in config.consistency.clips)
        licence = config.consistency.licence
        sources.append(DataSource(name=f'video: {names}', licence=licence, use='consistency'))
    published = config.init is not None and config.network == 'fddwnet' and not is_run(config.init)
    teachers = config.distillation.teacher
    taught = config.teacher is not None or any(place.endswith('.pth') for place in teachers)
    uses = {'starting weights': published, 'teacher': taught}
    if used := [use for use, is_used in uses.items() if is_used]:
        sources.append(replace(INITIAL_WEIGHTS, use=' and '.join(used)))
    if config.init is not None and not published:
        sources += _starting_sources(config.init)
    for place in teachers:
        if is_run(Path(place)):
            sources += _sources_of_run(Path(place), 'teacher')
        elif not place.endswith('.pth'):
            sources.append(DataSource(name=_last_part(place), licence=_UNKNOWN, use='teacher'))
    return tuple(sources)


def _carried_along(samples: Path) -> str:
    """Say what motion carried the labels of samples; it is unknown once they have gone."""
    try:
        motions = motions_of(samples)
    except VidsegError:
        motions = []
    return f'motion {", ".join(motions) or "unknown"}'


def _starting_sources(init: Path) -> list[DataSource]:
    """Name what other starting weights were trained on; of a run, what its settings say."""
    if not is_run(init):
        name = f'{init.name}, backbone trained on ImageNet'
        licence = 'ImageNet, non-commercial research (Deng et al. 2009)'
        return [DataSource(name=name, licence=licence, use='starting weights')]
    return _sources_of_run(init, 'starting weights')


def _sources_of_run(path: Path, use: str) -> list[DataSource]:
    """Name what a run was trained on, as its settings say."""
    try:
        before = read_weights(path).config
        known = describe_sources(before, open_dataset(before, 'test'))
    except VidsegError:  # weights or data have gone: what they allow is not known
        return [DataSource(name=f'the run {path.name}', licence=_UNKNOWN, use=use)]
    return [replace(source, use=f'{use}, {source.use}') for source in known]


def licence_of(sources: tuple[DataSource, ...]) -> str:
    """Say what the sources together allow users of the weights."""
    if all(source.licence.startswith(f'{FREE} (generated') for source in sources):
        return FREE
    if any(word in source.licence for source in sources for word in NON_COMMERCIAL):
        return 'research and other non-commercial use, as the data sets below demand'
    return f'as its data: {"; ".join(dict.fromkeys(source.licence for source in sources))}'


def _last_part(place: str) -> str:
    """Return the last part of a path, and the name of a model on the hub as it is."""
    model = place.removeprefix(HUGGING_FACE)
    if model != place and not Path(model).is_absolute():
        return place
    return place[: len(place) - len(model)] + Path(model).name


def describe_recipe(config: TrainConfig) -> str:
    """Write the command that repeats a run; paths are given by their last part.

    Raises:
        SourceError: If this version has no such recipe.
    """
    if config.name not in RECIPES:
        msg = (
            f'the run is of a recipe {config.name}, which this version of vidseg-train does not '
            'have: use the version that trained it'
        )
        raise SourceError(msg)
    words = ['vidseg-train', 'fit', config.name]
    recipe = flat_settings(RECIPES[config.name]())
    for field, value in flat_settings(config).items():
        if value != recipe[field]:
            block, dot, name = field.replace('_', '-').rpartition('.')
            if isinstance(value, bool):
                words.append(f'--{block}{dot}{"" if value else "no-"}{name}')
                continue
            values = value if isinstance(value, tuple) else (value,)
            words.append(f'--{block}{dot}{name}')
            places = field in MOVABLE or any(isinstance(item, Path) for item in values)
            words += [_last_part(str(item)) if places else str(item) for item in values]
    return shlex.join(words)


def describe_score(config: TrainConfig, test: TrainingData) -> str:
    """Say how the score in the card was measured."""
    height, width = config.input_size
    labels = test[0][1].shape
    return (
        f'{test.title} ({len(test)} images), last epoch, network input {width}x{height}, '
        f'{len(test.label_set)} classes scored at {labels[1]}x{labels[0]}, void ignored, '
        'one scale, no flip'
    )
