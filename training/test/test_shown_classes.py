# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch

from vidseg_ros.core.metrics import Confusion
from vidseg_training import shown_classes
from vidseg_training.shown_classes import absence, ShownClasses

_NAMES = ('road', 'car', 'tram', 'pole')


def test_absence_is_that_of_the_labels_and_not_of_predictions() -> None:
    confusion = Confusion(4)
    assert absence(confusion, _NAMES).startswith('no image shows road, car, tram, pole: ')
    confusion.add(np.array([0, 0, 1, 255], np.uint8), np.array([0, 2, 1, 3], np.uint8))
    said = 'no image shows tram, pole: not in the mean, or with 0 where predicted'
    assert absence(confusion, _NAMES) == said
    confusion.add(np.array([2, 3], np.uint8), np.array([0, 0], np.uint8))
    assert absence(confusion, _NAMES) == ''


def test_what_an_epoch_does_not_show_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    shown = ShownClasses(_NAMES, 2, torch.device('cpu'))
    shown.watch(torch.tensor([[[0, 255]]]))
    assert caplog.text == ''
    shown.watch(torch.tensor([[[2, 2]]]))
    assert 'no crop of as many steps as an epoch has shows car, pole: hardly to be' in caplog.text
    caplog.clear()
    shown.watch(torch.tensor([[[0, 0]]]))
    assert caplog.text == ''


def test_an_epoch_that_shows_all_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    shown = ShownClasses(_NAMES, 1, torch.device('cpu'))
    shown.watch(torch.tensor([[[0, 1], [2, 3]]]))
    shown = ShownClasses(_NAMES, 1, torch.device('cpu'))
    shown.watch(torch.zeros(0, 4, 4, dtype=torch.int64))
    assert caplog.text.count('no crop') == 1


def test_what_another_process_sees_is_shown(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    others = torch.tensor([0, 3, 0, 0, 1])
    monkeypatch.setattr(shown_classes, 'sum_over_processes', lambda own: own + others)
    for process in (0, 1):
        monkeypatch.setattr(shown_classes, 'process_index', lambda at=process: at)
        ShownClasses(_NAMES, 1, torch.device('cpu')).watch(torch.tensor([[[0]]]))
    assert caplog.text.count('shows tram, pole: ') == 1
