# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
import pytest
import torch
from torch import Tensor

from vidseg_training.config import TrainConfig
from vidseg_training.consistency.affinity import affinity_loss
from vidseg_training.consistency.class_mapping import ClassMapping
from vidseg_training.consistency.objective import ConsistencyObjective
from vidseg_training.consistency.settings import ConsistencyConfig, DistillationConfig
from vidseg_training.consistency.teachers import MappedTeacher
from vidseg_training.consistency.temporal_loss import temporal_loss
from vidseg_training.data.camvid import CamVid
from vidseg_training.data.clip_triplets import Triplets
from vidseg_training.data.sampling import AugmentedImages, Draw, TrainingSet

CLASSES = ('road', 'sky', 'car')
CLIPS = ConsistencyConfig(temporal=0.5, clips=(Path('drive'),), licence='CC0')
ALONE = ConsistencyConfig()


class _Teacher:
    """Knows road and sky; road is the red, sky the rest."""

    names, checksum = ('road', 'sky'), 'x'

    def probabilities(self, images: Tensor) -> Tensor:
        red = images[:, :1, ::2, ::2].float() / 255
        return torch.cat((red, 1 - red), 1)


def _distillation(**weights: float) -> DistillationConfig:
    return DistillationConfig(teacher=('run',), grid=(2, 3), **weights)


def _teacher() -> MappedTeacher:
    return MappedTeacher(_Teacher(), ClassMapping.between(_Teacher.names, CLASSES))


def _labelled(count: int = 2) -> list[Tensor]:
    """Return images of 8x12, labels, and that the picture is everywhere."""
    torch.manual_seed(0)
    return [
        torch.randint(0, 256, (count, 3, 8, 12)).to(torch.uint8),
        torch.randint(0, 3, (count, 8, 12)),
        torch.full((count, 1, 8, 12), 255, dtype=torch.uint8),
    ]


def _clips(labels: int = 255) -> Triplets:
    torch.manual_seed(1)
    return Triplets(
        torch.randint(0, 256, (2, 3, 3, 8, 12)).to(torch.uint8),
        torch.full((2, 3, 8, 12), labels),
        torch.zeros(2, 3, 0, 8, 12, dtype=torch.uint8),
        torch.rand(2, 2, 2, 8, 12),
        torch.rand(2, 2, 8, 12) > 0.3,
    )


def _logits(count: int) -> Tensor:
    return torch.randn(count, 3, 4, 6, generator=torch.Generator().manual_seed(2))


def test_without_weights_the_labelled_images_stay_alone() -> None:
    objective = ConsistencyObjective(ALONE, DistillationConfig())
    labelled = _labelled()
    step = objective.arrange(labelled, None)
    assert torch.equal(step.images, labelled[0])
    assert objective.weighted_terms(step, _logits(2)) == {}
    assert list(objective.parameters()) == []


@pytest.mark.parametrize('error', [57.63, 8.0])
def test_the_temporal_term_compares_the_middle_frame_with_both_neighbours(error: float) -> None:
    settings = replace(CLIPS, picture_error=error)
    objective, clips = ConsistencyObjective(settings, DistillationConfig()), _clips()
    step = objective.arrange(_labelled(), clips)
    assert step.images.shape[0] == 8
    assert len(step.labels) == 2  # no frame of the clips has a label
    logits = _logits(8)
    of_clips = logits[2:].view(2, 3, 3, 4, 6)
    expected = (
        temporal_loss(of_clips[:, 1], of_clips[:, 0], clips.pair(0), picture_error=error)
        + temporal_loss(of_clips[:, 1], of_clips[:, 2], clips.pair(1), picture_error=error)
    ) / 2
    terms = objective.weighted_terms(step, logits)
    assert list(terms) == ['temporal']
    torch.testing.assert_close(terms['temporal'], 0.5 * expected)


@pytest.mark.parametrize(('progress', 'factor'), [(0.0, 0.0), (0.1, 0.25), (0.4, 1.0), (0.9, 1.0)])
def test_steadiness_is_asked_for_little_by_little(progress: float, factor: float) -> None:
    rising = ConsistencyObjective(replace(CLIPS, ramp=0.4, equivariance=1.0), DistillationConfig())
    step, logits = rising.arrange(_labelled(), _clips()), _logits(10)
    whole = rising.weighted_terms(step, logits)
    for name, value in rising.weighted_terms(step, logits, progress).items():
        torch.testing.assert_close(value, factor * whole[name])


def test_labels_of_clips_join_those_of_images() -> None:
    step = ConsistencyObjective(CLIPS, DistillationConfig()).arrange(_labelled(), _clips(labels=1))
    assert step.labels.shape == (8, 8, 12)
    assert step.labels[2:].unique().tolist() == [1]


def test_equivariance_needs_no_clips_and_is_0_for_a_constant_prediction() -> None:
    objective = ConsistencyObjective(ConsistencyConfig(equivariance=2.0), DistillationConfig())
    step = objective.arrange(_labelled(), None)
    assert step.images.shape == (4, 3, 8, 12)
    assert not torch.equal(step.images[2:], step.images[:2])
    constant = torch.tensor([1.0, 0.0, -1.0]).view(1, 3, 1, 1).expand(4, 3, 4, 6)
    assert objective.weighted_terms(step, constant)['equivariance'].item() == pytest.approx(0)
    assert objective.weighted_terms(step, _logits(4))['equivariance'].item() > 0.1


def test_a_teacher_with_fewer_classes_says_nothing_of_the_others() -> None:
    """Pixel-wise: the student's share of road and sky among road and sky, whatever car has."""
    objective = ConsistencyObjective(ALONE, _distillation(pixel=1.0), _teacher())
    step = objective.arrange(_labelled(), None)
    logits = _logits(2).requires_grad_()
    term = objective.weighted_terms(step, logits)['pixel']
    said = _Teacher().probabilities(step.images)
    expected = -(said * logits[:, :2].log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(term, expected)
    structure = ConsistencyObjective(ALONE, _distillation(pair=1.0), _teacher())
    (term + structure.weighted_terms(step, logits)['pair']).backward()
    assert logits.grad is not None
    assert logits.grad[:, 2].abs().max() == 0


def test_the_cached_word_of_a_teacher_counts_like_the_spoken_one() -> None:
    objective = ConsistencyObjective(ALONE, _distillation(pixel=1.0, pair=3.0), _teacher())
    spoken = objective.arrange(_labelled(), None)
    images, labels, _ = _labelled()
    said = _teacher().probabilities(images).repeat_interleave(2, 2).repeat_interleave(2, 3)
    soft = (said * 255).round().to(torch.uint8)
    cached = objective.arrange([images, labels, soft], None)
    ours = objective.weighted_terms(spoken, _logits(2))
    theirs = objective.weighted_terms(cached, _logits(2))
    assert list(ours) == ['pixel', 'pair']
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name])


class _Certain:
    """Says 0.8 road and 0.2 sky of everything, of black pixels too."""

    names, checksum = ('road', 'sky'), 'x'

    def probabilities(self, images: Tensor) -> Tensor:
        said = torch.tensor([204 / 255, 51 / 255]).view(1, 2, 1, 1)
        return said.expand(len(images), 2, images.shape[2] // 2, images.shape[3] // 2)


class _Kept:
    """What `_Certain` said of whole images."""

    def __getitem__(self, _index: int) -> NDArray[np.uint8]:
        return np.tile(np.array([204, 51, 0], np.uint8), (48, 64, 1))


@pytest.mark.parametrize('rotation', [0.0, 20.0])
def test_nothing_is_learned_beyond_the_border_of_a_picture(
    small_config: TrainConfig, rotation: float
) -> None:
    """Images of 48x64, half as large in crops of 32x48: the cached word ends there, too."""
    weights = _distillation(pixel=1.0, pair=3.0, pair_frames=1.0)
    plain = replace(small_config, scale_range=(0.5, 0.5), rotation=rotation, color_jitter=0.0)
    teacher = MappedTeacher(_Certain(), ClassMapping.between(_Certain.names, CLASSES))
    clips = _clips()._replace(frames=torch.full((2, 3, 3, 32, 48), 9, dtype=torch.uint8))
    of_clips = torch.tensor(_Kept()[0][0, 0]).view(3, 1, 1).expand(2, 3, 3, 32, 48)
    terms, gradients = [], []
    for soft, said in ((None, of_clips[:, :, :0]), (_Kept(), of_clips)):
        config = replace(plain, distillation=replace(weights, cache=soft is not None))
        crops = AugmentedImages(TrainingSet(CamVid(config.data, 'train'), soft), config)
        batch = [torch.stack(both) for both in zip(*(crops[Draw(1, i, i)] for i in (1, 2)))]  # noqa: B905  # of one crop each
        objective = ConsistencyObjective(ALONE, config.distillation, teacher)
        step = objective.arrange(batch, clips._replace(soft=said))
        logits = torch.randn(8, 3, 8, 12, generator=torch.Generator().manual_seed(3))
        terms.append(objective.weighted_terms(step, logits.requires_grad_()))
        torch.stack(list(terms[-1].values())).sum().backward()
        assert logits.grad is not None
        gradients.append(logits.grad[:2].abs().amax(1))
    assert list(terms[0]) == ['pixel', 'pair', 'pair_frames']
    torch.testing.assert_close(terms[0], terms[1], rtol=1e-3, atol=1e-4)
    beyond = batch[0].reshape(2, 3, 8, 4, 12, 4).amax((1, 3, 5)) == 0  # cells that are all black
    assert 0.4 < beyond.float().mean() < 0.9
    for gradient in gradients:
        assert gradient[beyond].max() == 0
        assert gradient[~beyond].min() > 0


def test_every_term_has_its_weight() -> None:
    weights = {'pixel': 0.1, 'pair': 0.2, 'pair_frames': 0.3, 'multi_frame': 0.4}
    together = ConsistencyObjective(CLIPS, _distillation(**weights), _teacher())
    step, logits = together.arrange(_labelled(), _clips()), _logits(8)
    terms = together.weighted_terms(step, logits)
    assert list(terms) == ['temporal', 'pixel', 'pair', 'pair_frames', 'multi_frame']
    doubled = ConsistencyObjective(
        CLIPS, _distillation(**{name: 2 * weight for name, weight in weights.items()}), _teacher()
    )
    doubled.load_state_dict(together.state_dict())
    for name, value in doubled.weighted_terms(step, logits).items():
        factor = 2 if name in weights else 1
        torch.testing.assert_close(value, factor * terms[name])


def test_pair_wise_frames_compares_the_middle_frame_with_both_neighbours() -> None:
    objective = ConsistencyObjective(CLIPS, _distillation(pair_frames=1.0), _teacher())
    step, logits = objective.arrange(_labelled(), _clips()), _logits(8)
    ours = logits[:, :2].softmax(1)[2:].view(2, 3, 2, 4, 6)
    said = _Teacher().probabilities(step.images)[2:].view(2, 3, 2, 4, 6)
    losses = [
        affinity_loss((ours[:, 1], ours[:, i]), (said[:, 1], said[:, i]), (2, 3)) for i in (0, 2)
    ]
    term = objective.weighted_terms(step, logits)['pair_frames']
    torch.testing.assert_close(term, sum(losses) / 2)


def test_the_multi_frame_terms_parameters_learn() -> None:
    objective = ConsistencyObjective(CLIPS, _distillation(multi_frame=1.0), _teacher())
    step = objective.arrange(_labelled(), _clips())
    objective.weighted_terms(step, _logits(8).requires_grad_())['multi_frame'].backward()
    assert all(parameter.grad is not None for parameter in objective.parameters())
    assert objective.state_dict()
