# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from vidseg_ros.core.errors import ParameterError
from vidseg_ros.core.labels import CAMVID, CITYSCAPES
from vidseg_training.consistency.class_mapping import CITYSCAPES_AS_CAMVID, ClassMapping


def test_every_cityscapes_class_has_a_camvid_class() -> None:
    assert tuple(CITYSCAPES_AS_CAMVID) == CITYSCAPES.names
    assert set(CITYSCAPES_AS_CAMVID.values()) == set(CAMVID.names)
    mapping = ClassMapping.between(CITYSCAPES.names, CAMVID.names)
    assert mapping.known() == list(range(11))


def test_probabilities_by_hand() -> None:
    """Car and truck become one class; the student has no sky, and the teacher no pole."""
    mapping = ClassMapping.between(
        ('sky', 'car', 'truck', 'road'), ('road', 'pole', 'car'), {'truck': 'car'}
    )
    assert mapping.rows == (None, 2, 2, 0)
    assert mapping.known() == [0, 2]
    said = torch.tensor([0.1, 0.2, 0.3, 0.4]).view(1, 4, 1, 1)
    assert mapping.apply(said).flatten().tolist() == pytest.approx([0.4, 0, 0.5])


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ParameterError, match='the teacher has no bus, only car'):
        ClassMapping.between(('car',), ('car',), {'bus': 'car'})
    with pytest.raises(ParameterError, match='the student has no van, only car'):
        ClassMapping.between(('car',), ('car',), {'car': 'van'})


def test_a_teacher_of_other_things_is_refused() -> None:
    with pytest.raises(ParameterError, match='knows cat, dog, and none of car, road; say which'):
        ClassMapping.between(('cat', 'dog'), ('car', 'road'))
