# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What a GPU draws, from NVIDIA's management library (NVML) where nvidia-ml-py is installed."""

from collections.abc import Callable
from importlib import import_module

_MJ_PER_J = 1000


def energy_counter(gpu_name: str) -> Callable[[], float] | None:
    """Return what reads the energy that a GPU has used so far.

    NVML counts GPUs otherwise than CUDA does, so the name decides.

    Args:
        gpu_name: As CUDA says it.

    Returns:
        Gives joules since the driver was loaded; None without nvidia-ml-py or NVML, where not
        exactly one GPU has that name, or where it does not count energy (before Volta).
    """
    try:
        nvml = import_module('pynvml')
    except ImportError:
        return None
    try:
        nvml.nvmlInit()
        handles = map(nvml.nvmlDeviceGetHandleByIndex, range(nvml.nvmlDeviceGetCount()))
        named = [handle for handle in handles if nvml.nvmlDeviceGetName(handle) == gpu_name]
        if len(named) != 1:
            return None
        nvml.nvmlDeviceGetTotalEnergyConsumption(named[0])
    except nvml.NVMLError:
        return None
    return lambda: float(nvml.nvmlDeviceGetTotalEnergyConsumption(named[0])) / _MJ_PER_J
