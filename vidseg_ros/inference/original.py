# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A foreign network as its authors run it: the yardstick for the model file made of it.

Everything around the network is NumPy and OpenCV here, nothing is shared with the graph that
`vidseg_ros.inference.wrapping` builds.
"""

import cv2
import numpy as np
from numpy.typing import NDArray
import onnxruntime

from vidseg_ros.core.errors import EngineError
from vidseg_ros.core.label_map import resize_labels
from vidseg_ros.inference.foreign_model import ForeignNetwork
from vidseg_ros.inference.onnxruntime_engine import FATAL_ONLY
from vidseg_ros.inference.wrap_settings import WrapSettings
from vidseg_ros.inference.wrapping import OutputForm


class OriginalNetwork:
    """Runs the file of a foreign network, frame by frame."""

    def __init__(self, network: ForeignNetwork, settings: WrapSettings) -> None:
        """Open the file.

        Args:
            network: The network.
            settings: What it expects.

        Raises:
            EngineError: If ONNX Runtime cannot load it.
        """
        self._network, self._settings = network, settings
        options = onnxruntime.SessionOptions()
        options.log_severity_level = FATAL_ONLY
        try:
            self._session = onnxruntime.InferenceSession(
                str(network.path), options, providers=['CPUExecutionProvider']
            )
        except Exception as error:
            msg = f'ONNX Runtime {onnxruntime.__version__} cannot load {network.path}: {error}'
            raise EngineError(msg) from error

    def run(self, frame: NDArray[np.uint8]) -> NDArray[np.generic]:
        """Return what the chosen output gives for a frame, as it is.

        Args:
            frame: (H, W, 3) uint8 in the colour order of the settings.

        Raises:
            EngineError: If ONNX Runtime fails.
        """
        height, width = self._network.size
        settings = self._settings
        image = cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR)
        image = (image.astype(np.float32) * settings.scale - settings.mean) / settings.std
        if self._network.layout == 'nchw':
            image = image.transpose(2, 0, 1)
        batch = image[None].astype(np.float16 if self._network.half else np.float32)
        try:
            (result,) = self._session.run([self._network.output], {self._network.image: batch})
        except Exception as error:
            msg = (
                f'{self._network.path} fails on an image of {height} x {width} '
                f'(height x width): {" ".join(str(error).split())}; if its size is free, '
                'choose one that it accepts (size)'
            )
            raise EngineError(msg) from error
        return np.asarray(result)

    def labels(self, result: NDArray[np.generic], form: OutputForm) -> NDArray[np.uint8]:
        """Make a label map of what `run` returned.

        Args:
            result: The output of one frame.
            form: Of the output.

        Returns:
            (h, w) uint8 ids at the size of the network's input.
        """
        result = result[0]
        height, width = self._network.size
        if form.gives == 'ids':
            return resize_labels(result.reshape(form.size).astype(np.uint8), (height, width))
        if form.class_axis == 1:
            result = result.transpose(1, 2, 0)
        scores = np.stack(
            [
                cv2.resize(channel, (width, height), interpolation=cv2.INTER_LINEAR)
                for channel in result.astype(np.float32).transpose(2, 0, 1)
            ]
        )
        return np.asarray(scores.argmax(axis=0), np.uint8)
