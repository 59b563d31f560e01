# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""An evaluated drive as a bag: pictures, label maps and scores over time.

Only standard message types, so that Foxglove, Rerun, RViz and ``ros2 bag play`` open it as it is.
`config/foxglove_evaluation.json` and `config/evaluation.rviz` show its topics:

====================================  ===============================================
``/camera/image/compressed``          the frame, as recorded or as JPEG
``/<model>/label_map``                ids, mono8, as large as the frame
``/<model>/label_info``               names of the ids, latched
``/<model>/overlay/compressed``       the frame in the colours of its classes, JPEG
``/<model>/metrics/<name>``           std_msgs/Float64, recorded at the frame's stamp
====================================  ===============================================
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Final, final

import cv2
import numpy as np
from numpy.typing import NDArray

from vidseg_ros.bag_io import BagWriter, COMPRESSED_TYPE
from vidseg_ros.core.label_map import resize_labels
from vidseg_ros.core.labels import LabelSet
from vidseg_ros.core.overlay import blend
from vidseg_ros.evaluation.sources import SourceFrame

BAG: Final = 'bag'
"""Folder of the bag, in that of its source."""

IMAGE_TOPIC: Final = '/camera/image/compressed'

JPEG_QUALITY: Final = 90
"""Of pictures that are not recorded as JPEG or PNG, 0 to 100."""


@final
class EvaluationBag(AbstractContextManager['EvaluationBag']):
    """Writes the bag of one source, MCAP with zstd; use it in a ``with`` statement."""

    def __init__(self, path: Path, classes: LabelSet, models: Sequence[str]) -> None:
        """Remember what to write; the folder is made by ``with``.

        Args:
            path: Folder to create.
            classes: Names and colours of the ids.
            models: Keys of the models, start of their topics.
        """
        self._bag = BagWriter(path, compress=True)
        self._classes, self._models = classes, tuple(models)
        self._begun = False

    def __enter__(self) -> 'EvaluationBag':
        """Create the bag.

        Raises:
            OutputError: If the folder exists or cannot be written.
        """
        self._bag.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish the bag.

        Raises:
            OutputError: If its end cannot be written.
        """
        self._bag.__exit__(kind, error, trace)

    def write(
        self,
        frame: SourceFrame,
        image: NDArray[np.uint8],
        label_maps: Mapping[str, NDArray[np.uint8]],
        numbers: Mapping[str, Mapping[str, float | None]],
    ) -> None:
        """Append a frame.

        Args:
            frame: Where it comes from.
            image: (H, W, 3) uint8 RGB.
            label_maps: By model, (h, w) uint8 ids.
            numbers: By model, scores by name; None is left out.

        Raises:
            OutputError: If the bag cannot be written.
        """
        stamp_ns = frame.stamp_ns
        if not self._begun:
            self._begun = True
            for model in self._models:
                topic = f'/{model}/label_info'
                self._bag.write_label_info(topic, self._classes, stamp_ns=stamp_ns)
        recorded = frame.message
        if recorded is not None and recorded.msgtype == COMPRESSED_TYPE:
            self._bag.write_raw(IMAGE_TOPIC, COMPRESSED_TYPE, recorded.cdr, stamp_ns)
        else:
            self._write_jpeg(IMAGE_TOPIC, image, frame)
        for model in self._models:
            labels = resize_labels(label_maps[model], image.shape[:2])
            self._bag.write_image(
                f'/{model}/label_map',
                labels,
                encoding='mono8',
                stamp_ns=stamp_ns,
                frame_id=frame.frame_id,
            )
            overlay = blend(image, labels, self._classes)
            self._write_jpeg(f'/{model}/overlay/compressed', overlay, frame)
            for name, value in numbers[model].items():
                if value is not None:
                    topic = f'/{model}/metrics/{name}'
                    self._bag.write_number(topic, value, stamp_ns=stamp_ns)

    def _write_jpeg(self, topic: str, image: NDArray[np.uint8], frame: SourceFrame) -> None:
        bgr = np.ascontiguousarray(image[..., ::-1])
        done, data = cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        assert done  # any uint8 picture of a camera's size can be encoded
        self._bag.write_compressed(
            topic,
            data.tobytes(),
            encoding='jpeg',
            stamp_ns=frame.stamp_ns,
            frame_id=frame.frame_id,
        )
