# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A trained motion network as a source of motion."""

from collections.abc import Sequence
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray
import torch

from vidseg_ros.core.errors import ParameterError
from vidseg_ros.core.fleet.record import file_digest
from vidseg_ros.core.motion import FlowMethod
from vidseg_training.data.clips import Window
from vidseg_training.data.motion_windows import first_guess, to_batch, to_flow
from vidseg_training.motion_weights import read_motion, WEIGHTS
from vidseg_training.networks.motion import MotionNet
from vidseg_training.propagation.motion import ClipFrame, FLOW_METHODS, function_name


@final
class LearnedMotion:
    """A motion network and the optical flow that it starts from, see `MotionSource`.

    Attributes:
        name: Mode of the network and the start of the SHA-256 of its file; behind it the name of
            a flow of the user's own, or DIS's, with which steadiness is measured.
        past_frames: It makes use of one frame beyond the source, and does without.
        network: In evaluation mode.
        flow: Its first guess; None: no motion.
    """

    past_frames = 1

    def __init__(self, name: str, network: MotionNet, flow: 'FlowMethod | None') -> None:
        """Wrap a network.

        Args:
            name: What tables and manifests call it.
            network: Trained; put into evaluation mode.
            flow: The first guess it was trained with; None: no motion.
        """
        self.name, self.network, self.flow = name, network.eval(), flow

    @classmethod
    def load(cls, path: Path, flow: 'FlowMethod | None' = None) -> 'LearnedMotion':
        """Read the weights that ``vidseg-train motion`` wrote.

        Args:
            path: ``motion.safetensors``, or the folder of the run.
            flow: The flow method that it was trained with, if that was one of the user's own.

        Raises:
            ParameterError: If it needs such a method and there is none.
            SourceError: If there is no such file, or it is damaged or not ours.
        """
        path = path / WEIGHTS if path.is_dir() else path
        network, stored_flow, _ = read_motion(path)
        if stored_flow == 'own' and flow is None:
            msg = f'{path} starts from a flow of its trainer: LearnedMotion.load(path, flow)'
            raise ParameterError(msg)
        network.to('cuda' if torch.cuda.is_available() else 'cpu')
        name = f'{network.mode}-{file_digest(path).hex()[:8]}'
        recorded = FLOW_METHODS.get(stored_flow)
        start = stored_flow
        if flow is not None and flow is not recorded:  # of which the file does not tell
            start = function_name(flow)
        return cls(f'{name}-{start}', network, flow or recorded)

    def backward_flow(
        self, target: ClipFrame, source: ClipFrame, past: Sequence[ClipFrame]
    ) -> NDArray[np.float32]:
        """See `MotionSource`."""
        previous = past[0] if past else source
        window = Window(previous.image, source.image, target.image)
        guess = first_guess(window, self.network.mode, self.flow)
        batch = to_batch(window, guess, next(self.network.parameters()).device)
        with torch.inference_mode():
            return to_flow(self.network(*batch))
