# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The classifier of a network: other classes for weights that were trained on a data set."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import nn, Tensor


def head_axes(build: Callable[[int], nn.Module]) -> dict[str, int]:
    """Find what of a network depends on its classes: two sizes of it are compared.

    Args:
        build: Makes the network for a number of classes.

    Returns:
        Parameters and buffers of all classifiers, with the axis that has one slice a class.
    """
    with torch.device('meta'):
        one, other = (build(classes).state_dict() for classes in (3, 4))
    axes = {}
    for name, value in one.items():
        differing = [a for a in range(value.dim()) if value.shape[a] != other[name].shape[a]]
        if differing:
            (axes[name],) = differing
    return axes


def replace_head(
    build: Callable[[int], nn.Module],
    weights: Mapping[str, Tensor],
    rows: Sequence[int | None],
) -> dict[str, Tensor]:
    """Give weights a classifier of other classes.

    Args:
        build: Makes the network for a number of classes.
        weights: State dict of such a network.
        rows: For each new class the class of ``weights`` that starts it, or None for random
            weights.

    Returns:
        State dict of the network with the new classes; a tensor that ``weights`` lacks is
        missing there as well.
    """
    state, fresh = dict(weights), build(len(rows)).state_dict()
    known = [index for index, row in enumerate(rows) if row is not None]
    taken = [row for row in rows if row is not None]
    for name, axis in head_axes(build).items():
        if name in weights:
            start = fresh[name].clone()
            start.movedim(axis, 0)[known] = weights[name].movedim(axis, 0)[taken]
            state[name] = start
    return state
