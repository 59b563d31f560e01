# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Scores of `vidseg evaluate` against written masks are those of the training package."""

from collections.abc import Callable, Iterable
import json
from pathlib import Path
import shlex
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
import pytest
from ruamel.yaml import YAML

from vidseg_ros.core.errors import OutputError, ParameterError, SourceError
from vidseg_ros.core.label_map import resize_labels
from vidseg_ros.core.labels import LabelSet
from vidseg_ros.core.metrics import Confusion
from vidseg_ros.evaluation.class_mapping import class_table
from vidseg_ros.evaluation.evaluate import EvaluationSettings
from vidseg_ros.evaluation.job_list import list_jobs
from vidseg_ros.evaluation.source_survey import survey_sources
from vidseg_ros.evaluation.sources import open_source
from vidseg_ros.evaluation.true_labels import LabelDirectory, SourceTruth
from vidseg_training import masks
from vidseg_training.cli import main
from vidseg_training.data import Split
from vidseg_training.data.camvid import _RELEASED_COLORS
from vidseg_training.masks import mask_names, open_masks, write_masks
from vidseg_training.scoring import score_predictions

RNG: Final = np.random.default_rng(0)


def _write(image: Path, labels: Path, ids: Iterable[int], *, palette: bool = False) -> None:
    """Write random ids among some, and an image of noise."""
    _write_picture(image)
    labels.parent.mkdir(parents=True, exist_ok=True)
    written = Image.fromarray(RNG.choice(np.array([*ids], np.uint8), (24, 32)))
    if palette:
        written.putpalette(RNG.integers(0, 256, 768, np.uint8).tobytes())
    written.save(labels)


def _write_picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), RNG.integers(0, 256, (24, 32, 3), np.uint8))


def _camvid_full(folder: Path) -> None:
    colors = [color for of_class in _RELEASED_COLORS.values() for color in of_class]
    for name in ('0006R0_f00930', '0016E5_07959', 'Seq05VD_f00000', 'Seq05VD_f00030'):
        _write_picture(folder / '701_StillsRaw_full' / f'{name}.png')
        pixels = RNG.choice(np.array([(0, 0, 0), *colors], np.uint8), (24, 32))
        path = folder / 'LabeledApproved_full' / f'{name}_L.png'
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(path)


def _cityscapes(folder: Path) -> None:
    for part, name in (
        ('train', 'aachen_000000_000019'),
        ('val', 'frankfurt_000000_000294'),
        ('val', 'frankfurt_000001_000538'),
        ('val', 'lindau_000000_000019'),
    ):
        place = Path(part, name.partition('_')[0])
        image = folder / 'leftImg8bit' / place / f'{name}_leftImg8bit.png'
        _write(image, folder / 'gtFine' / place / f'{name}_gtFine_labelIds.png', range(34))


def _kitti(folder: Path) -> None:
    for number in range(20):
        image, labels = (folder / 'training' / kind for kind in ('image_2', 'semantic'))
        name = f'{number:06}_10.png'
        _write(image / name, labels / name, range(34))


def _mapillary(folder: Path) -> None:
    label = {'color': [1, 2, 3], 'evaluate': True}
    labels = [label | {'name': f'a--{name}', 'readable': name} for name in 'abcdef']
    labels[2]['evaluate'] = labels[5]['evaluate'] = False
    folder.mkdir(exist_ok=True)
    (folder / 'config_v2.0.json').write_text(json.dumps({'labels': labels}), encoding='utf-8')
    for part, name in (('training', 'a'), ('validation', 'a'), ('validation', 'b')):
        path = folder / part
        image, mask = path / 'images' / f'{name}.jpg', path / 'v2.0' / 'labels' / f'{name}.png'
        _write(image, mask, range(6), palette=True)


def _vspw(folder: Path) -> None:
    for clip in ('1_a', '2_b', '3_c'):
        for frame in ('00000001', '00000002'):
            place = folder / 'data' / clip
            _write(place / 'origin' / f'{frame}.jpg', place / 'mask' / f'{frame}.png', range(4))
    (folder / 'train.txt').write_text('1_a\n', encoding='utf-8')
    (folder / 'val.txt').write_text('2_b\n3_c\n', encoding='utf-8')
    classes = {'others': 0, 'wall': 1, 'sky': 2, 'road': 3}
    (folder / 'label_num_dic_final.json').write_text(json.dumps(classes), encoding='utf-8')


def _own(folder: Path) -> None:
    for part in ('train', 'val'):
        for name in ('a.png', 'b.jpg'):
            mask = folder / part / 'masks' / f'{Path(name).stem}.png'
            _write(
                folder / part / 'images' / name, mask, [0, 1, 2, 7, 255], palette=name == 'a.png'
            )
    plain: dict[str, Any] = {
        'name': 'drive',
        'licence': 'CC0',
        'classes': ['road', 'tram', 'tree'],
    }
    plain |= {
        part: {'images': f'{part}/images', 'masks': f'{part}/masks'} for part in ('train', 'val')
    }
    YAML(typ='safe').dump(plain | {'void': [7, 1]}, folder / 'dataset.yaml')


LAYOUTS: Final[dict[str, Callable[[Path], None]]] = {
    'camvid_full': _camvid_full,
    'cityscapes': _cityscapes,
    'kitti': _kitti,
    'mapillary_2.0': _mapillary,
    'vspw': _vspw,
    'folder': _own,
}


def _guess(image: NDArray[np.uint8], classes: int) -> NDArray[np.uint8]:
    """Predict something at half the size of an image."""
    return (image[::2, ::2, 0] % classes).astype(np.uint8)


def _evaluated(sources: list[Path], labels: Path, classes: LabelSet) -> Confusion:
    """Count the pixels of sources as `vidseg evaluate` does."""
    settings = EvaluationSettings(models=(), classes=classes)
    jobs = list_jobs(survey_sources(sources), settings, Path('out'), labels=str(labels))
    confusion = Confusion(len(classes))
    table = class_table(classes.names, classes, {}, what='labels', void=True)
    for job in jobs:
        if job.labels is None:
            continue
        truth = SourceTruth(LabelDirectory(job.labels, classes), table, taken_for=len(classes))
        with open_source(job.path) as source:
            for frame in source:
                image = frame.decode('rgb8')
                ids = truth.get(frame, image.shape[:2])
                if ids is not None:
                    guess = _guess(image, len(classes))
                    confusion.add(ids, resize_labels(guess, ids.shape))
        assert not truth.foreign
        assert job.labels_shared or truth.unused() == 0
    return confusion


@pytest.mark.parametrize('split', ['test', 'trainval'])
@pytest.mark.parametrize('dataset', LAYOUTS)
def test_both_packages_score_alike(
    dataset: str, split: Split, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = tmp_path / 'my data', tmp_path / 'new' / 'masks'
    LAYOUTS[dataset](data)
    options = ['--dataset', dataset, '--data', str(data), '--split', split, '--out', str(out)]
    assert main(['masks', *options]) == 0
    images = open_masks(dataset, data, split)
    said, command = capsys.readouterr().out.splitlines()
    assert said.startswith(f'{len(images)} masks of {images.title}; to score')
    folders = dict.fromkeys(str(path.parent) for path in images.image_files)
    words = ['vidseg', 'evaluate', *folders, '--labels', str(out), '--model', 'MODEL']
    assert shlex.split(command) == [*words, '--out', 'SCORES']
    assert sum(path.is_file() for path in out.rglob('*')) == len(images)
    classes = len(images.label_set)
    expected = score_predictions(lambda image: _guess(image, classes), images)
    assert expected.pixels > 100 * len(images)
    sources = [*dict.fromkeys(path.parent for path in images.image_files)]
    found = _evaluated(sources, out, images.label_set)
    np.testing.assert_array_equal(found.matrix, expected.matrix)
    assert found.miou() == pytest.approx(expected.miou(), abs=1e-9)


def test_folders_without_masks_are_not_scored(tmp_path: Path) -> None:
    _vspw(tmp_path)
    images = open_masks('vspw', tmp_path)
    write_masks(images, tmp_path / 'masks')
    clips = sorted((tmp_path / 'data').glob('*/origin'))
    assert len(clips) == 3
    found = _evaluated(clips, tmp_path / 'masks', images.label_set)
    assert found.pixels == sum((images.labels(index) != 255).sum() for index in range(4))
    alone = _evaluated(clips[2:], tmp_path / 'masks', images.label_set)
    assert alone.pixels == sum((images.labels(index) != 255).sum() for index in (2, 3))


def test_the_masks_of_vspw_themselves_are_refused(tmp_path: Path) -> None:
    _vspw(tmp_path)
    clip = tmp_path / 'data' / '2_b'
    classes = open_masks('vspw', tmp_path).label_set
    with pytest.raises(SourceError, match=r'the id 3, where the last class is 2.*train masks'):
        _evaluated([clip / 'origin'], clip / 'mask', classes)


def test_where_masks_go() -> None:
    def names(*files: str) -> list[str]:
        return [str(name) for name in mask_names([Path('/nowhere', file) for file in files])]

    assert names('a/x.jpg', 'a/y.jpg') == ['x.png', 'y.png']
    assert names('a/x.jpg', 'b/x.jpg') == ['a/x.png', 'b/x.png']
    assert names('1/a/x.jpg', '2/a/x.jpg', 'b/x.jpg') == ['1_a/x.png', '2_a/x.png', 'b/x.png']
    message = '/nowhere/a/x.jpg and /nowhere/a/x.png would share the mask x.png; rename one'
    with pytest.raises(SourceError, match=message):
        names('a/x.jpg', 'a/x.png')
    with pytest.raises(SourceError, match=r'would share the mask 1_a/x\.png'):
        names('u/1/a/x.jpg', 'v/1/a/x.jpg')


def test_a_folder_is_there_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = tmp_path / 'data', tmp_path / 'masks'
    _own(data)
    images = open_masks('folder', data)
    (data / 'val' / 'masks' / 'b.png').write_bytes(b'damaged')
    out.mkdir()
    with pytest.raises(SourceError, match=r'cannot read the mask .*b\.png'):
        write_masks(images, out)
    assert [path.name for path in tmp_path.iterdir()] == ['data']

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(masks, 'write_atomically', interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_masks(images, out)
    assert [path.name for path in tmp_path.iterdir()] == ['data']


def test_what_is_there_is_never_replaced(tmp_path: Path) -> None:
    _own(tmp_path)
    images = open_masks('folder', tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob('*') if path.is_file()}
    for out, why in (('val/masks', 'Directory not empty'), ('dataset.yaml', 'Not a directory')):
        with pytest.raises(OutputError, match=f'cannot write to .*{out}: {why}; choose another'):
            write_masks(images, tmp_path / out)
    with pytest.raises(OutputError, match=r'cannot write to .*dataset\.yaml: '):
        write_masks(images, tmp_path / 'dataset.yaml' / 'masks')
    assert before == {path: path.read_bytes() for path in tmp_path.rglob('*') if path.is_file()}


def test_training_masks_are_not_shrunk_to_the_network(tmp_path: Path) -> None:
    _own(tmp_path)
    images = open_masks('folder', tmp_path, 'train')
    write_masks(images, tmp_path / 'out')
    written = cv2.imread(str(tmp_path / 'out' / 'a.png'), cv2.IMREAD_UNCHANGED)
    assert written is not None
    assert written.shape == images[0][0].shape[:2] == (24, 32)


def test_a_misspelt_data_set_gets_the_nearest_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ['--data', str(tmp_path), '--out', str(tmp_path / 'out')]
    assert main(['masks', '--dataset', 'cityscape', *options]) == 2
    said = capsys.readouterr().err
    assert said.startswith('vidseg-train: no data set cityscape with masks; did you mean citysc')
    assert 'kitti' not in said
    with pytest.raises(ParameterError, match=r'no data set street with masks; did you mean .*vsp'):
        open_masks('street', tmp_path)
    with pytest.raises(ParameterError, match='fold must be from 0 to 9, not 10'):
        open_masks('kitti', tmp_path, fold=10)
    with pytest.raises(SourceError, match='expected the folder of Cityscapes'):
        open_masks('cityscapes', tmp_path)
    assert not (tmp_path / 'out').exists()
