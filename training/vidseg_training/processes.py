# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Several processes, one run: what all of them have to agree on.

Each process works on its part of every batch. Means are taken over the joint batch, and batch norm
sees all of it, so a run on several devices or hosts does what one process would do.
"""

import os

from lightning.fabric import Fabric
import torch
from torch import distributed, nn, Tensor

from vidseg_ros.core.errors import ParameterError
from vidseg_ros.core.malloc import keep_freed_memory
from vidseg_training.config import TrainConfig


def open_fabric(config: TrainConfig) -> Fabric:
    """Set up memory and devices: one, or those of every process that ``torchrun`` has started.

    Args:
        config: Gives the precision.

    Raises:
        ParameterError: If there is no GPU for half precision with scaled losses.
    """
    if config.precision == '16-mixed' and not torch.cuda.is_available():
        msg = 'precision 16-mixed needs a GPU; bf16-mixed works everywhere'
        raise ParameterError(msg)
    keep_freed_memory(of_any_size=True)  # every step takes the same blocks
    total = int(os.environ.get('WORLD_SIZE', '1'))
    here = int(os.environ.get('LOCAL_WORLD_SIZE', '1'))
    fabric = Fabric(
        accelerator='auto',
        devices=here,
        num_nodes=total // here,
        strategy='ddp' if total > 1 else 'auto',
        precision=config.precision,
    )
    fabric.launch()
    return fabric


def _together() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def process_count() -> int:
    """Return the number of processes of the run."""
    return distributed.get_world_size() if _together() else 1


def process_index() -> int:
    """Return the number of this process, from 0."""
    return distributed.get_rank() if _together() else 0


def sum_over_processes(values: Tensor) -> Tensor:
    """Return the sum of a tensor over all processes, without a gradient.

    Args:
        values: Any shape, the same in every process, on the process's device.
    """
    total = values.detach().clone()
    if process_count() > 1:
        distributed.all_reduce(total)
    return total


def leave_processes() -> None:
    """End the joint run; a process that just exits may abort in the threads of gloo."""
    if _together():
        distributed.barrier()
        distributed.destroy_process_group()


def average_gradients(module: nn.Module) -> None:
    """Take the mean of gradients over all processes, for a module outside of Fabric's network."""
    for parameter in module.parameters():
        if parameter.grad is not None:
            parameter.grad = sum_over_processes(parameter.grad) / process_count()


def joint_mean(total: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted mean over the joint batch, as far as this process adds to it.

    The mean of what all processes return is the mean over the joint batch: so is the gradient,
    which data-parallel training averages, however void pixels are spread over the processes.

    Args:
        total: Scalar, sum of weighted losses of this process's images.
        weight: Scalar, sum of their weights, zero or above.

    Returns:
        Scalar; 0 with a gradient of 0 where all weights are 0.
    """
    joint = sum_over_processes(weight) / process_count()
    return total / joint.clamp(min=torch.finfo(joint.dtype).tiny)


class _JointSum(torch.autograd.Function):
    """The sum over all processes, with its gradient: what all of them say of it, summed."""

    @staticmethod
    def forward(_context: object, values: Tensor) -> Tensor:
        return sum_over_processes(values)

    @staticmethod
    def backward(_context: object, gradient: Tensor) -> Tensor:
        return sum_over_processes(gradient)


def joint_sum(values: Tensor) -> Tensor:
    """Add up what all processes have, with a gradient; see `sum_over_processes`."""
    total: Tensor = _JointSum.apply(values)  # type: ignore[no-untyped-call]  # torch left it untyped
    return total


def join_batches(values: Tensor) -> Tensor:
    """Return what all processes have, one after the other, with a gradient; see `joint_sum`.

    Args:
        values: (B, ...) float, of the same shape in all processes.

    Returns:
        (processes * B, ...) float, the same in all processes.
    """
    processes = process_count()
    if processes == 1:
        return values
    before = process_index() * len(values)
    after = (processes - 1 - process_index()) * len(values)
    nothing = [values.new_zeros(count, *values.shape[1:]) for count in (before, after)]
    return joint_sum(torch.cat((nothing[0], values, nothing[1])))


class JointBatchNorm(nn.BatchNorm2d):
    """Batch norm over the joint batch on any device; torch's own works on GPUs only.

    Parameters and buffers have the names of `torch.nn.BatchNorm2d`. Under autocast it computes in
    float32 and returns the type of its input, as torch's own does.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, H, W) float by mean and variance of all processes' images."""
        if not self.training:
            return super().forward(x)
        given, x = x.dtype, x.float()
        count = x.numel() // x.shape[1] * process_count()
        mean = joint_sum(x.sum((0, 2, 3))) / count  # C
        centred = x - mean[:, None, None]
        variance = joint_sum(centred.square().sum((0, 2, 3))) / count  # C
        with torch.no_grad():
            assert self.momentum is not None
            assert self.running_mean is not None
            assert self.running_var is not None
            assert self.num_batches_tracked is not None
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
            self.num_batches_tracked.add_(1)
        scale = self.weight * (variance + self.eps).rsqrt()
        normalised: Tensor = centred * scale[:, None, None] + self.bias[:, None, None]
        return normalised.to(given)


def join_batch_norms(network: nn.Module, device: torch.device) -> nn.Module:
    """Make every batch norm of a network see the joint batch.

    Args:
        network: Changed in place; names of parameters stay.
        device: Where it will run.

    Returns:
        The network.
    """
    if process_count() == 1:
        return network
    if device.type == 'cuda':
        joint: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]  # torch left it untyped
        return joint
    for name, child in network.named_children():
        if isinstance(child, nn.BatchNorm2d):
            norm = JointBatchNorm(child.num_features, child.eps, child.momentum)
            norm.load_state_dict(child.state_dict())
            setattr(network, name, norm)
        else:
            join_batch_norms(child, device)
    return network
