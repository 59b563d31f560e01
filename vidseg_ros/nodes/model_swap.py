# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Another model at run time: ``ros2 param set /segmentation model …``.

Whoever sets the parameter gets the answer of the new model: it is opened and warmed up before
the old one goes. A file that cannot be used is refused with the reason, and the old model goes
on, unless the GPU that it runs on is lost to the process. A good one takes over through the
lifecycle: an active node deactivates, exchanges the model and activates. While a file is opened
(about 0.7 s for the shipped model) the node takes no frames.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
import traceback

from rcl_interfaces.msg import SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from vidseg_ros.core.errors import VidsegError
from vidseg_ros.core.resources import find_model
from vidseg_ros.inference.cuda_runtime import is_sticky
from vidseg_ros.inference.engine import create_engine
from vidseg_ros.inference.engine_settings import EngineSettings
from vidseg_ros.inference.prediction import SegmentationEngine
from vidseg_ros.inference.tensorrt_options import MOST_CAMERAS, OnProgress
from vidseg_ros.nodes.parameters import NodeParameters
from vidseg_ros.pipeline import Segmenter


@dataclass(frozen=True, kw_only=True)
class OpenModel:
    """A model that is ready to segment."""

    path: Path
    """Its file."""
    engine: SegmentationEngine
    """Runs it."""
    segmenter: Segmenter
    """Uses the engine; warm."""

    def __str__(self) -> str:
        """Return file, engine, device, precision and its note for people."""
        info = self.engine.info
        text = f'{self.path} with {info.name} {info.version} on {info.device}, {info.precision}'
        return f'{text} ({info.note})' if info.note else text


def open_model(
    parameters: NodeParameters, *, build: bool = True, on_progress: OnProgress = lambda _: True
) -> OpenModel:
    """Open the model that parameters name, and run it once.

    Args:
        parameters: Of the node.
        build: Whether a TensorRT engine may be built, which takes minutes.
        on_progress: Hears of that, and may cancel it.

    Raises:
        ModelError: If there is no such file, it breaks the model contract, or a new engine
            disagrees with it.
        ParameterError: If the engine cannot be built with these parameters.
        EngineError: If the engine cannot load or run it.
    """
    path = find_model(parameters.model)
    size = parameters.image_size
    settings = EngineSettings(
        cameras=min(max(1, len(parameters.cameras)), MOST_CAMERAS),
        size=(size[0], size[1]) if size else None,
        device=parameters.gpu,
        build=build,
        on_progress=on_progress,
    )
    engine = create_engine(parameters.engine, path, settings)
    try:
        segmenter = Segmenter(engine, parameters.mask_size)
        segmenter.warm_up()
    except BaseException:
        engine.close()
        raise
    return OpenModel(path=path, engine=engine, segmenter=segmenter)


class ModelSwap:
    """Opens what the parameter ``model`` is set to, and hands it over once it is set.

    Two steps, because ROS asks before it sets: `check` may still be overruled by somebody else's
    check of the same request. Belongs to the node's executor.
    """

    def __init__(
        self,
        node: Node,
        settings: Callable[[], NodeParameters | None],
        take: Callable[[OpenModel], None],
        fail: Callable[[Exception], None],
    ) -> None:
        """Watch the parameter, which must have been declared.

        Args:
            node: Owner.
            settings: Returns with what the node is configured; None: it is not, and the next
                *configure* will check the model.
            take: Gets the new model, open and warm, and owns it from then on.
            fail: Gets the error after which the old model cannot go on either.
        """
        self._node, self._settings, self._take, self._fail = node, settings, take, fail
        self._next: tuple[str, OpenModel] | None = None
        self._due = node.create_guard_condition(self._hand_over)
        node.add_on_set_parameters_callback(self._check)

    def forget(self) -> None:
        """Close a model that waits to be handed over."""
        if self._next is not None:
            self._next[1].engine.close()
            self._next = None

    def _check(self, changes: list[Parameter]) -> SetParametersResult:
        settings = self._settings()
        name = next((change.value for change in changes if change.name == 'model'), None)
        if name is None or settings is None:
            return SetParametersResult(successful=True)
        try:
            model = open_model(replace(settings, model=name), build=False)
        except VidsegError as error:
            if is_sticky(error):
                self._fail(error)
                return SetParametersResult(successful=False, reason=str(error))
            return self._refuse(name, str(error))
        except Exception:  # noqa: BLE001  # rclpy would end the node
            return self._refuse(name, traceback.format_exc())
        self.forget()
        self._next = name, model
        self._due.trigger()
        return SetParametersResult(successful=True)

    def _refuse(self, name: str, why: str) -> SetParametersResult:
        reason = f'model {name!r} is refused, the old one goes on: {why}'
        self._node.get_logger().warning(reason)
        return SetParametersResult(successful=False, reason=reason)

    def _hand_over(self) -> None:
        if self._next is None:
            return
        name, model = self._next
        if self._settings() is None or self._node.get_parameter('model').value != name:
            self.forget()
            return
        self._next = None
        self._take(model)
