# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn, Tensor

from vidseg_ros.core.errors import ParameterError, SourceError
from vidseg_ros.core.labels import CAMVID, CITYSCAPES, STREET
from vidseg_training.checkpoints import write_weights
from vidseg_training.config import TrainConfig
from vidseg_training.consistency import teachers
from vidseg_training.consistency.class_mapping import ClassMapping
from vidseg_training.consistency.teachers import MappedTeacher, NetworkTeacher, open_teacher
from vidseg_training.networks import NETWORKS, normalise
from vidseg_training.networks.fddwnet import FDDWNet


class _Constant(nn.Module):
    """Logits of fixed probabilities, at a quarter of the input; remembers the input's size."""

    def __init__(self, *probabilities: float) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(probabilities).log())
        self.size = torch.Size()

    def forward(self, images: Tensor) -> Tensor:
        self.size = images.shape[-2:]
        height, width = self.size
        return self.logits.view(1, -1, 1, 1).expand(len(images), -1, height // 4, width // 4)


def _images(height: int = 64, width: int = 96) -> Tensor:
    return torch.randint(
        0, 256, (2, 3, height, width), generator=torch.Generator().manual_seed(0)
    ).to(torch.uint8)


@pytest.fixture
def weights_of(small_config: TrainConfig, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes the weights of an untrained run."""

    def write(name: str, seed: int, **changes: object) -> Path:
        torch.manual_seed(seed)
        config = replace(small_config, **changes)
        path = tmp_path / f'{name}.safetensors'
        labels = CAMVID if config.dataset == 'camvid' else STREET
        network = NETWORKS['compact'](len(labels))
        write_weights(path, network, config, 1, classes=labels.names)
        return path

    return write


def test_a_run_with_class_weights_speaks_as_it_ships(
    small_config: TrainConfig, tmp_path: Path
) -> None:
    """What it learned is p(class) * weight."""
    weights = [1.0] * 10 + [9.0]
    config = replace(small_config, class_weight_offset=1.1)
    network = NETWORKS['compact'](len(CAMVID))
    teachers_of = {}
    for name, kept in (('weighted', weights), ('plain', None)):
        path = tmp_path / f'{name}.safetensors'
        write_weights(path, network, config, 1, classes=CAMVID.names, class_weights=kept)
        teachers_of[name] = open_teacher([str(path)])
    said, raw = (teachers_of[name].probabilities(_images()) for name in ('weighted', 'plain'))
    expected = raw / torch.tensor(weights).view(1, -1, 1, 1)
    torch.testing.assert_close(said, expected / expected.sum(1, keepdim=True))


def test_several_networks_are_the_mean_of_their_probabilities() -> None:
    teacher = NetworkTeacher([_Constant(0.9, 0.1), _Constant(0.3, 0.7)], ('a', 'b'), 'x')
    said = teacher.probabilities(_images())
    assert said.shape == (2, 2, 16, 24)
    assert not said.requires_grad
    assert said[1, :, 3, 5].tolist() == pytest.approx([0.6, 0.4])


@pytest.mark.parametrize(
    ('size', 'scale', 'seen'),
    [((64, 96), 1, (64, 96)), ((50, 70), 2, (96, 128)), ((9, 9), 1, (32, 32))],
)
def test_images_are_brought_to_a_size_that_fits_every_network(
    size: tuple[int, int], scale: float, seen: tuple[int, int]
) -> None:
    network = _Constant(0.5, 0.5)
    NetworkTeacher([network], ('a', 'b'), 'x', scale).probabilities(_images(*size))
    assert tuple(network.size) == seen


def test_a_run_teaches_what_its_weights_say(weights_of: Callable[..., Path]) -> None:
    path = weights_of('run', 0)
    torch.manual_seed(0)
    network = NETWORKS['compact'](11).eval()
    teacher = open_teacher([str(path)])
    assert tuple(teacher.names) == CAMVID.names
    with torch.no_grad():
        expected = network(normalise(_images())).softmax(1)
    torch.testing.assert_close(teacher.probabilities(_images()), expected)


def test_an_ensemble_is_another_teacher_than_each_of_it(weights_of: Callable[..., Path]) -> None:
    paths = [str(weights_of(f'run{seed}', seed)) for seed in range(3)]
    alone = [open_teacher([path]) for path in paths]
    together = open_teacher(paths)
    mean = sum(teacher.probabilities(_images()) for teacher in alone) / 3
    torch.testing.assert_close(together.probabilities(_images()), mean)
    checksums = [teacher.checksum for teacher in (*alone, together, open_teacher(paths, 2.0))]
    assert len(set(checksums)) == 5


def test_published_weights_speak_of_cityscapes(tmp_path: Path) -> None:
    path = tmp_path / 'fddwnet.pth'
    torch.save({'state_dict': FDDWNet(len(CITYSCAPES)).state_dict()}, path)
    teacher = open_teacher([str(path)])
    mapped = MappedTeacher(teacher, ClassMapping.between(teacher.names, CAMVID.names))
    said = mapped.probabilities(_images())
    assert said.shape[:2] == (2, 11)
    torch.testing.assert_close(said.sum(1), torch.ones_like(said[:, 0]))


def test_a_hugging_face_model_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str) -> nn.Module:
        assert name == 'somebody/segformer'
        model = _Constant(0.7, 0.3)
        model.names, model.checksum = ('road', 'sky'), 'abc'  # type: ignore[assignment]
        return model

    monkeypatch.setattr(teachers, 'load_hugging_face', load)
    teacher = open_teacher(['hf:somebody/segformer'])
    assert tuple(teacher.names) == ('road', 'sky')
    assert teacher.checksum.startswith('abc')
    assert teacher.probabilities(_images())[0, :, 0, 0].tolist() == pytest.approx([0.7, 0.3])


def test_teachers_of_different_classes_have_no_mean(weights_of: Callable[..., Path]) -> None:
    paths = [str(weights_of('camvid', 0)), str(weights_of('street', 0, dataset='street'))]
    with pytest.raises(ParameterError, match=r'camvid.* and .*street.* have different classes'):
        open_teacher(paths)


def test_a_teacher_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / 'broken.pth').write_bytes(b'nothing')
    with pytest.raises(SourceError, match=r'cannot read the weights .*broken\.pth'):
        open_teacher([str(tmp_path / 'broken.pth')])
    torch.save({'state_dict': FDDWNet(11).state_dict()}, tmp_path / 'eleven.pth')
    with pytest.raises(SourceError, match=r'of other shape: layer31.* is \(.*11.*\), not \(.*19'):
        open_teacher([str(tmp_path / 'eleven.pth')])
    torch.save(NETWORKS['compact'](19).state_dict(), tmp_path / 'compact.pth')
    with pytest.raises(SourceError, match=r'without layer1.*besides ') as caught:
        open_teacher([str(tmp_path / 'compact.pth')])
    assert len(str(caught.value)) < 1000
    with pytest.raises(SourceError, match=r'no checkpoint .*nowhere'):
        open_teacher([str(tmp_path / 'nowhere')])
