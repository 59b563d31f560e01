# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
import sys
from types import ModuleType
from typing import Any

import pynvml
import pytest

from vidseg_ros.evaluation.gpu_power import energy_counter


class Nvml(ModuleType):
    """NVML with GPUs of the given names; each reading is 2500 mJ higher."""

    NVMLError = pynvml.NVMLError

    def __init__(self, *names: str, fails: str = '') -> None:
        super().__init__('pynvml')
        self._names, self._fails, self._energy_mj = names, fails, 0

    def __getattribute__(self, name: str) -> Any:
        if name.startswith('nvml'):
            assert hasattr(pynvml, name), 'the real module has no such function'
            if name == super().__getattribute__('_fails'):
                raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return super().__getattribute__(name)

    def nvmlInit(self) -> None:  # noqa: N802  # NVIDIA's names
        """Nothing to open."""

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self._names)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetName(self, handle: int) -> str:  # noqa: N802
        return self._names[handle]

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: int) -> int:  # noqa: N802
        assert self._names[handle] == 'Orin'
        self._energy_mj += 2500
        return self._energy_mj


def test_joules_of_the_gpu_of_that_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'pynvml', Nvml('Other', 'Orin'))
    joules = energy_counter('Orin')
    assert joules is not None
    assert (joules(), joules()) == (5.0, 7.5)  # the first reading was the trial


@pytest.mark.parametrize(
    'nvml',
    [
        None,
        Nvml('Other'),
        Nvml('Orin', 'Orin'),
        Nvml('Orin', fails='nvmlInit'),
        Nvml('Orin', fails='nvmlDeviceGetTotalEnergyConsumption'),
    ],
    ids=['not installed', 'no such GPU', 'two of them', 'no driver', 'not counted'],
)
def test_where_nobody_knows(monkeypatch: pytest.MonkeyPatch, nvml: ModuleType | None) -> None:
    monkeypatch.setitem(sys.modules, 'pynvml', nvml)
    assert energy_counter('Orin') is None
