# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Write rosbag2 bags that `ros2 bag` can read and play."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
import sqlite3
from types import TracebackType
from typing import Final, final, Literal

import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import (
    CompressionFormat,
    CompressionMode,
    StoragePlugin,
    Writer,
    WriterError,
)
from rosbags.typesys.stores import ros2_jazzy as ros

from vidseg_ros.bag_io.messages import (
    COMPRESSED_TYPE,
    FLOAT64_TYPE,
    IMAGE_TYPE,
    LABEL_INFO_TYPE,
    make_header,
    message_types,
    serialize_image,
    VISION_CLASS_TYPE,
)
from vidseg_ros.core.errors import OutputError
from vidseg_ros.core.labels import LabelSet

_FOREVER: Final = QosTime(9_223_372_036, 854_775_807)


@final
class BagWriter:
    """Writes a new bag folder. Use it in a ``with`` statement.

    The bag is finished properly even if an error or Ctrl-C ends the ``with`` block. It has
    metadata version 8, which `ros2 bag` of Humble and of Jazzy can read.
    """

    def __init__(
        self,
        path: str | Path,
        storage: Literal['mcap', 'sqlite3'] = 'mcap',
        *,
        compress: bool = False,
    ) -> None:
        """Remember what to write; the folder is made by ``with``.

        Args:
            path: Folder to create.
            storage: File format of the bag.
            compress: Compress with zstd inside MCAP (label maps become fifty times smaller).
        """
        self.path = Path(path)
        self._storage = StoragePlugin[storage.upper()]
        self._compress = compress
        self._connections: dict[str, Connection] = {}
        self._writer: Writer | None = None

    def __enter__(self) -> 'BagWriter':
        """Create the bag.

        Raises:
            OutputError: If the path exists or cannot be written.
        """
        if self.path.exists():
            msg = f'{self.path} exists and is not overwritten: remove it or choose another path'
            raise OutputError(msg)
        with self._writing():
            writer = Writer(self.path, version=8, storage_plugin=self._storage)
            if self._compress:
                writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
            writer.open()
        self._writer = writer
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish the bag: index and metadata.yaml.

        Raises:
            OutputError: If the end of the bag cannot be written.
        """
        with self._writing():
            self._opened().close()
        self._writer = None

    def write_image(
        self,
        topic: str,
        image: NDArray[np.uint8],
        *,
        encoding: Literal['rgb8', 'bgr8', 'mono8'],
        stamp_ns: int,
        frame_id: str,
    ) -> None:
        """Write a sensor_msgs/Image.

        Args:
            topic: Topic name.
            image: (H, W, 3) uint8 in the order of ``encoding``, or (H, W) uint8 for mono8.
            encoding: What the image holds.
            stamp_ns: Header stamp and time of recording, ns.
            frame_id: Header frame id.

        Raises:
            ValueError: If image and encoding do not fit together.
            OutputError: If the bag cannot be written.
        """
        cdr = serialize_image(image, encoding=encoding, stamp_ns=stamp_ns, frame_id=frame_id)
        self.write_raw(topic, IMAGE_TYPE, cdr, stamp_ns)

    def write_compressed(
        self,
        topic: str,
        data: bytes,
        *,
        encoding: Literal['jpeg', 'png'],
        stamp_ns: int,
        frame_id: str,
    ) -> None:
        """Write a sensor_msgs/CompressedImage whose ``format`` is the encoding.

        Raises:
            OutputError: If the bag cannot be written.
        """
        message = ros.sensor_msgs__msg__CompressedImage(
            header=make_header(stamp_ns, frame_id),
            format=encoding,
            data=np.frombuffer(data, np.uint8),
        )
        self._write(topic, COMPRESSED_TYPE, message, stamp_ns)

    def write_label_info(self, topic: str, labels: LabelSet, *, stamp_ns: int) -> None:
        """Write the names of the class ids as a latched vision_msgs/LabelInfo.

        Raises:
            OutputError: If the bag cannot be written.
        """
        types = message_types().types
        message = types[LABEL_INFO_TYPE](
            header=make_header(stamp_ns, ''),
            class_map=[
                types[VISION_CLASS_TYPE](class_id=number, class_name=name)
                for number, name in enumerate(labels.names)
            ],
            threshold=0.0,
        )
        self._write(topic, LABEL_INFO_TYPE, message, stamp_ns)

    def write_number(self, topic: str, value: float, *, stamp_ns: int) -> None:
        """Write a std_msgs/Float64, recorded at ``stamp_ns``: it has no stamp of its own.

        Raises:
            OutputError: If the bag cannot be written.
        """
        self._write(topic, FLOAT64_TYPE, ros.std_msgs__msg__Float64(data=value), stamp_ns)

    def write_raw(self, topic: str, msgtype: str, cdr: bytes, log_ns: int) -> None:
        """Write an already serialised message of a standard type, byte for byte.

        Raises:
            OutputError: If the type is unknown or the bag cannot be written.
        """
        if msgtype not in message_types().types:
            msg = f'cannot record {topic}: message type {msgtype} is not known here'
            raise OutputError(msg)
        with self._writing():
            if topic not in self._connections:
                self._connections[topic] = self._opened().add_connection(
                    topic,
                    msgtype,
                    typestore=message_types(),
                    offered_qos_profiles=[_qos(latched=msgtype == LABEL_INFO_TYPE)],
                )
            self._opened().write(self._connections[topic], max(0, log_ns), cdr)

    def _write(self, topic: str, msgtype: str, message: object, log_ns: int) -> None:
        cdr = bytes(message_types().serialize_cdr(message, msgtype))
        self.write_raw(topic, msgtype, cdr, log_ns)

    def _opened(self) -> Writer:
        if self._writer is None:
            msg = 'open the bag first: with BagWriter(path) as bag'
            raise RuntimeError(msg)
        return self._writer

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error, WriterError) as error:
            msg = f'cannot write bag {self.path}: {error}; check the path and the free space'
            raise OutputError(msg) from error


def _qos(*, latched: bool) -> Qos:
    """Return what a player should offer: reliable serves both kinds of subscribers."""
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=1 if latched else 10,
        reliability=QosReliability.RELIABLE,
        durability=QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        deadline=_FOREVER,
        lifespan=_FOREVER,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=_FOREVER,
        avoid_ros_namespace_conventions=False,
    )
