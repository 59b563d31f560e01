# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from pathlib import Path
import re

import pytest

from vidseg_ros.core.errors import ParameterError, SourceError
from vidseg_ros.core.labels import CAMVID, CITYSCAPES
from vidseg_ros.core.model_card import DataSource
from vidseg_training.consistency.settings import DistillationConfig
from vidseg_training.data import DATASETS
from vidseg_training.data.camvid import CamVid
from vidseg_training.data.street import Street
from vidseg_training.networks import NETWORKS, POOLING, STRIDES
from vidseg_training.provenance import (
    describe_recipe,
    describe_score,
    describe_sources,
    INITIAL_WEIGHTS,
    licence_of,
)
from vidseg_training.recipes import RECIPES
from vidseg_training.schedule import poly_learning_rate


def test_every_recipe_is_complete() -> None:
    assert len(RECIPES) == 23
    for name, recipe in RECIPES.items():
        config = recipe()
        assert config.name == name
        stride = STRIDES[config.network]
        assert not any(side % stride for side in config.crop_size + config.input_size)
        assert config.batch_size > 1 or config.network not in POOLING
        assert recipe.__doc__ is not None
        assert f'vidseg-train fit {name}' in recipe.__doc__
        result = recipe.__doc__.partition('\n    Result: ')[2].split('\n\n')[0]
        said = ' '.join(result.split())
        measured = re.match(r'\d\d\.\d mIoU .*docs/models\.md', said)
        cited = re.match(r'not run here', said) and re.search(
            r'\d\d\.\d|nobody|no figure|did not publish', said
        )
        assert measured or cited or name == 'own_compact', f'{name} says nothing: {said}'


def test_recipes_name_classes_that_there_are() -> None:
    label_sets = {'camvid': CAMVID, 'camvid_full': CAMVID, 'cityscapes': CITYSCAPES}
    strict = {name for name in RECIPES if RECIPES[name]().strict_classes}
    assert strict == {
        'camvid_fddwnet_fast',
        'camvid_fddwnet_large',
        'camvid_full_transfer',
        'cityscapes_dual_resolution',
    }
    for name in strict:
        config = RECIPES[name]()
        assert set(config.strict_classes) < set(label_sets[config.dataset].names)


@pytest.mark.parametrize(
    ('name', 'rate', 'epochs', 'batch', 'crop', 'scales'),
    [
        # Zhu et al.: scripts of github.com/NVIDIA/semantic-segmentation, branch sdcnet
        ('mapillary_dual_resolution', 2e-2, 175, 16, 896, (0.5, 2.0)),
        ('cityscapes_dual_resolution', 1e-3, 175, 16, 896, (0.5, 2.0)),
        ('kitti_dual_resolution', 1e-3, 90, 16, 360, (1.0, 2.0)),
        # the same paper's text; the crop is ours
        ('camvid_full_transfer', 2e-3, 120, 16, 640, (0.5, 2.0)),
        # scripts/run_psp.sh of github.com/sssdddwww2/CVPR2021_VSPW_Implement; crop 479 there
        ('vspw_pspnet_resnet101', 2e-3, 2, 8, 480, (0.5, 2.0)),
    ],
)
def test_published_settings(  # noqa: PLR0913, PLR0917
    name: str, rate: float, epochs: int, batch: int, crop: int, scales: tuple[float, float]
) -> None:
    config = RECIPES[name]()
    assert (config.optimizer, config.momentum, config.weight_decay) == ('sgd', 0.9, 1e-4)
    assert (config.learning_rate, config.epochs, config.batch_size) == (rate, epochs, batch)
    assert (config.crop_size, config.scale_range) == ((crop, crop), scales)


@pytest.mark.parametrize('name', ['cityscapes_etc', 'camvid_etc', 'vspw_etc'])
def test_temporal_settings_of_etc_are_the_released_ones(name: str) -> None:
    """Weight 0.1, gaps up to 3, and of each step 8 label maps (VSPW: all there are)."""
    config = RECIPES[name]()
    ours = config.consistency
    assert (ours.temporal, ours.equivariance, ours.ramp) == (0.1, 0.0, 0.0)
    assert (ours.max_gap, ours.labelled_middle, ours.gradient) == (3, True, 'both')
    taught = config.distillation
    weight = 0.0 if name == 'vspw_etc' else 0.1
    weights = (taught.pixel, taught.pair, taught.pair_frames, taught.multi_frame)
    assert weights == (weight,) * 4
    if name == 'vspw_etc':  # all frames are labelled
        base = RECIPES['vspw_pspnet_resnet101']()
        assert config.batch_size + 3 * ours.batch == 20
        assert (config.batch_size, config.epochs) == (base.batch_size, base.epochs)
        return
    bases = {'camvid_etc': 'camvid_full_pspnet_mobilenet_v2'}
    base = RECIPES[bases.get(name, 'cityscapes_pspnet_resnet18')]()
    assert (base.batch_size, base.epochs) == (8, 200)
    assert config.batch_size + ours.batch == base.batch_size  # label maps a step
    assert config.batch_size + 3 * ours.batch == 2 * base.batch_size  # images: theirs and one more
    assert config.epochs * base.batch_size == base.epochs * config.batch_size  # as many steps
    assert (config.learning_rate, config.optimizer) == (1e-2, 'sgd')


def test_etc_without_its_teacher_is_what_was_released() -> None:
    doc = ' '.join((RECIPES['cityscapes_etc'].__doc__ or '').split())
    options = re.findall(r'--distillation\.(\S+) 0', doc)
    recipe = RECIPES['cityscapes_etc']()
    with pytest.raises(ParameterError, match='pixel, pair, pair_frames, multi_frame need a teach'):
        recipe.distillation.check_sources(clips=True)
    weights = {name.replace('-', '_'): 0.0 for name in options}
    DistillationConfig(**weights).check_sources(clips=True)
    assert len(weights) == 4


def test_cityscapes_is_fine_tuned_as_published() -> None:
    """The three turns of Zhu et al.: relaxation to epoch 100, tiles to 150, decay twice."""
    config = RECIPES['cityscapes_dual_resolution']()
    assert round(config.epochs * config.relaxed_share) == 100
    assert round(config.epochs * config.class_uniform_share) == 150
    rates = [poly_learning_rate(epoch, config.epochs, config) for epoch in (0, 99, 100, 174)]
    expected = [1e-3, 1e-3 * (1 - 99 / 175), 1e-3, 1e-3 * (1 / 75) ** 1.5]
    assert rates == pytest.approx(expected)


def test_students_of_liu_et_al_keep_the_colours() -> None:
    """Their tool/train_with_flow.py resizes, turns, blurs, mirrors and crops."""
    for name in ('pspnet_resnet18', 'pspnet_mobilenet_v2', 'pspnet_resnet101', 'hrnet_w18_small'):
        assert RECIPES[f'cityscapes_{name}']().color_jitter == 0


def test_crops_are_class_uniform_in_every_epoch_where_the_scripts_say_so() -> None:
    """Their limit is 100000 epochs unless a script sets it; blur is on unless it is turned off."""
    for name, tile in (('kitti_dual_resolution', 300), ('mapillary_dual_resolution', 1024)):
        config = RECIPES[name]()
        assert (config.class_uniform, config.class_uniform_share) == (0.5, 1.0)
        assert (config.class_uniform_tile, config.blur, config.poly_power) == (tile, 1.0, 1.0)
    assert RECIPES['mapillary_dual_resolution']().input_size[0] == 1536


def test_the_card_tells_what_really_ran(camvid_folder: Path) -> None:
    config = replace(
        RECIPES['camvid_fddwnet'](), data=camvid_folder, epochs=3, crop_size=(160, 240)
    )
    test = CamVid(camvid_folder, 'test')
    assert describe_recipe(config) == (
        f'vidseg-train fit camvid_fddwnet --data {camvid_folder.name} --crop-size 160 240 '
        '--epochs 3'
    )
    assert describe_score(config, test) == (
        'CamVid test (6 images), last epoch, network input 640x480, 11 classes scored at 64x48, '
        'void ignored, one scale, no flip'
    )
    assert describe_sources(config, test) == (CamVid.source,)
    both = describe_sources(replace(config, train_split='trainval'), test)
    assert both[0].name == 'CamVid, SegNet split, train+val'
    started = replace(config, init=Path('somewhere/weights.pth'))
    assert describe_sources(started, test) == (CamVid.source, INITIAL_WEIGHTS)
    assert '--init weights.pth' in describe_recipe(started)


def test_the_card_names_teacher_and_video(camvid_folder: Path) -> None:
    test = CamVid(camvid_folder, 'test')
    config = replace(
        RECIPES['camvid_fddwnet'](),
        init=Path('a/weights.pth'),
        teacher=Path('a/weights.pth'),
        unlabelled=(Path('b/one.mp4'), Path('b/two.mp4')),
        unlabelled_licence='MIT',
    )
    video, weights = describe_sources(config, test)[1:]
    assert video.name == 'unlabelled video: one.mp4, two.mp4'
    assert (video.licence, video.use) == ('MIT', 'distillation')
    assert weights.name == INITIAL_WEIGHTS.name
    assert weights.use == 'starting weights and teacher'
    assert '--unlabelled one.mp4 two.mp4 --unlabelled-licence MIT' in describe_recipe(config)


def test_a_recipe_of_another_version_is_named(camvid_folder: Path) -> None:
    config = replace(RECIPES['camvid_fddwnet'](), name='camvid_turbo', data=camvid_folder)
    with pytest.raises(
        SourceError, match='of a recipe camvid_turbo, which this version of vidseg'
    ):
        describe_recipe(config)


def test_video_without_teacher_or_licence_is_refused() -> None:
    recipe = RECIPES['camvid_fddwnet']()
    video = (Path('one.mp4'),)
    with pytest.raises(ParameterError, match='needs a teacher to learn from'):
        replace(recipe, unlabelled=video, unlabelled_licence='MIT')
    with pytest.raises(ParameterError, match='unlabelled_licence'):
        replace(recipe, unlabelled=video, teacher=Path('weights.pth'))
    with pytest.raises(ParameterError, match='night is a share from 0 to 1, not 2'):
        replace(recipe, night=2)


def test_only_generated_data_make_free_weights() -> None:
    assert licence_of((Street.source,)) == 'Apache-2.0'
    assert 'non-commercial' in licence_of((CamVid.source,))
    assert 'non-commercial' in licence_of((Street.source, INITIAL_WEIGHTS))


def test_weights_from_own_data_have_the_licence_of_the_data() -> None:
    own = DataSource(name='my drive', licence='all rights reserved', use='training')
    assert licence_of((own,)) == 'as its data: all rights reserved'
    assert 'non-commercial' in licence_of((own, INITIAL_WEIGHTS))


def test_the_documentation_names_every_data_set_and_network() -> None:
    page = Path(__file__).parents[2] / 'docs' / 'data_sets.md'
    text = page.read_text(encoding='utf-8')
    assert [name for name in [*NETWORKS, *DATASETS] if f'`{name}`' not in text] == ['street']
