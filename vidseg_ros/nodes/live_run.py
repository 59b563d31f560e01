# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Footage played through the real thing: a segmentation node in its own process, fed over DDS.

While it plays, this process only publishes frames and stores label maps. What is made of them is
made afterwards, from a second pass over the footage, so that it takes no time from the node and
memory does not grow with the length of a drive.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
import json
import logging
import os
from pathlib import Path
import sys
from tempfile import TemporaryDirectory
import threading
import time
from typing import Final, NamedTuple
from uuid import uuid4

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
import numpy as np
from numpy.typing import NDArray
import rclpy
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.task import Future

from vidseg_ros.bag_io import BagImage, BagReader, BagWriter
from vidseg_ros.core.errors import ImageError, SourceError
from vidseg_ros.core.resources import find_config
from vidseg_ros.evaluation.sources import Source, SourceFrame
from vidseg_ros.evaluation.summary import NO_MASK
from vidseg_ros.evaluation.writers import LABEL_MAP_TOPIC
from vidseg_ros.nodes.bag_player import BagPlayer, CLOCK_HZ
from vidseg_ros.nodes.child_process import ChildNode
from vidseg_ros.nodes.dds_profile import PROFILE_VARIABLES
from vidseg_ros.nodes.mask_pairing import pair_masks, Published, Received
from vidseg_ros.nodes.mask_recorder import MaskRecorder

NODE_LOG: Final = 'segmentation_node.log'
"""Output of the node, in the log folder."""

REPEATED_STAMP: Final = 'repeated stamp'
"""Reason for frames whose stamp fits two frames, so that nobody knows whose label map it is."""

BOUNDARY: Final = 'publish call -> label map received in this process'

_START_S: Final = 60.0
_CONFIGURE_S: Final = 120.0
_TRANSITION_S: Final = 30.0
_SILENCE_NS: Final = 5_000_000_000
_NAP_S: Final = 0.02
_ASK_AGAIN_NS: Final = 1_000_000_000
_DOMAINS: Final = 101

_logger = logging.getLogger(__name__)


class AnsweredFrame(NamedTuple):
    """A frame whose label map came back."""

    frame: SourceFrame
    """The frame."""
    image: NDArray[np.uint8]
    """(H, W, 3) uint8 RGB."""
    labels: NDArray[np.uint8]
    """(h, w) uint8 ids."""
    latency_ns: int
    """See `BOUNDARY`."""


class UnansweredFrame(NamedTuple):
    """A frame without a label map, or with one that cannot be used."""

    frame: SourceFrame
    """The frame."""
    reason: str
    """One of `ImageError`, `NO_MASK` or `REPEATED_STAMP`."""


@dataclass(frozen=True, kw_only=True)
class LiveRun:
    """What came of playing footage, until the end of `play_live`'s ``with`` statement."""

    frames: Iterator[AnsweredFrame | UnansweredFrame]
    """Every frame that was played, in order; reads the footage again."""
    wall_ns: int
    """From the first frame to the last label map, ns; 0 if there was none."""
    ended_by: str | None
    """What ended the footage early, or None."""


@contextmanager
def play_live(  # noqa: PLR0913 - all but one by name
    source: Source,
    *,
    model: Path,
    engine: str = 'onnxruntime',
    rate: float = 1.0,
    mask_size: str = 'camera',
    log_dir: Path,
    on_frame: Callable[[SourceFrame], None] | None = None,
) -> Iterator[LiveRun]:
    """Play footage at recorded rate through a running node and pair its label maps with it.

    The node's clock is the recorded time (``use_sim_time``), or every stamp would look old. DDS
    stays on this machine, in a domain that follows from the process id. A ROS_DOMAIN_ID that is
    set is not used: recorded camera images have no business among a vehicle's nodes.

    Args:
        source: Opened footage; read twice.
        model: The model file.
        engine: A key of `vidseg_ros.inference.engine.ENGINES`: the node may build nothing here.
        rate: Speed, 1 = as recorded.
        mask_size: ``camera`` or ``network``.
        log_dir: Folder for the node's output, `NODE_LOG`.
        on_frame: Called after each played frame.

    Raises:
        ParameterError: If the rate is not above 0.
        EngineError: If the node does not start or ends too early.
        SourceError: If not a single frame can be read.
    """
    with TemporaryDirectory(prefix='vidseg_') as folder:
        spool = Path(folder, 'masks')
        arguments = _ros_arguments()
        with BagWriter(spool, compress=True) as bag, _local_ros(arguments) as (context, variables):
            play = _Play(context, source, bag, rate)
            command = [
                *(sys.executable, '-m', 'vidseg_ros.nodes.segmentation_node', *arguments),
                *_parameters(model, engine, mask_size, compressed=play.compressed),
            ]
            node = ChildNode(command, environment=variables, log=log_dir / NODE_LOG)
            with closing(play), node:
                play.play(node, on_frame)
        frames = _answers(source, play, spool)
        with closing(frames):
            yield LiveRun(frames=frames, wall_ns=play.wall_ns, ended_by=play.ended_by)


class _Play:
    """This process' side: plays the footage, stores the label maps, drives the node."""

    def __init__(self, context: Context, source: Source, bag: BagWriter, rate: float) -> None:
        self.published: list[Published] = []
        self.received: list[Received] = []
        self.ended_by: str | None = None
        self._bag = bag
        self._failure: Exception | None = None
        self._player = BagPlayer(source, rate=rate, clock_hz=CLOCK_HZ, context=context)
        # Without the leading slash the topic is in the namespace of this run.
        topic = LABEL_MAP_TOPIC.removeprefix('/')
        self._recorder = MaskRecorder(self._store, topic=topic, context=context)
        self._lifecycle = self._recorder.create_client(ChangeState, 'segmentation/change_state')
        # The younger of the two: when the node answers this one, it also knows the other.
        self._state = self._recorder.create_client(GetState, 'segmentation/get_state')
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self._recorder)
        self._thread = threading.Thread(target=self._spin, name='masks', daemon=True)
        self._thread.start()

    @property
    def compressed(self) -> bool:
        return self._player.compressed

    @property
    def wall_ns(self) -> int:
        """From the first frame to the last label map; 0 if there was none."""
        if not self.received:
            return 0
        return self.received[-1].at_ns - self.published[0].at_ns

    def play(self, node: ChildNode, on_frame: Callable[[SourceFrame], None] | None) -> None:
        """Bring the node up, play everything, wait for the last label map."""
        self._wait_for_answer(node)
        self._change(node, Transition.TRANSITION_CONFIGURE, 'configure', _CONFIGURE_S)
        self._change(node, Transition.TRANSITION_ACTIVATE, 'activate', _TRANSITION_S)
        self._wait(node, self._connected, _TRANSITION_S, 'connect to the camera topic')
        try:
            for frame, at_ns in self._player.play():
                self.published.append(Published(frame.index, frame.stamp_ns, at_ns))
                self._check(node)
                if on_frame is not None:
                    on_frame(frame)
        except SourceError as error:
            if not self.published:
                raise
            self.ended_by = str(error)
        self._wait_for_last_mask(node)
        self._change(node, Transition.TRANSITION_DEACTIVATE, 'deactivate', _TRANSITION_S)

    def close(self) -> None:
        """Stop receiving."""
        self._executor.shutdown()
        self._thread.join()
        self._recorder.destroy_node()
        self._player.destroy_node()

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            pass
        except Exception as error:  # noqa: BLE001 - handed on to the thread that plays
            self._failure = error

    def _store(self, mask: BagImage, received_ns: int) -> None:
        self._bag.write_raw(LABEL_MAP_TOPIC, mask.msgtype, mask.cdr, received_ns)
        self.received.append(Received(mask.stamp_ns, received_ns))

    def _connected(self) -> bool:
        return self._player.has_subscriber() and self._recorder.has_publisher()

    def _check(self, node: ChildNode) -> None:
        node.check()
        if self._failure is not None:
            raise self._failure

    def _wait(
        self, node: ChildNode, condition: Callable[[], bool], timeout_s: float, what: str
    ) -> None:
        deadline_ns = time.monotonic_ns() + round(timeout_s * 1e9)
        while not condition():
            self._check(node)
            if time.monotonic_ns() > deadline_ns:
                msg = f'the node did not {what} within {timeout_s:g} s'
                raise node.failure(msg)
            time.sleep(_NAP_S)

    def _wait_for_answer(self, node: ChildNode) -> None:
        """Ask for the node's state until it answers.

        Either side may know the other later than itself is known: a request or an answer that
        is sent in between is lost, and a transition cannot be asked for twice.
        """
        answers: list[Future] = []
        asked_ns = 0

        def answered() -> bool:
            nonlocal asked_ns
            now_ns = time.monotonic_ns()
            if now_ns - asked_ns > _ASK_AGAIN_NS and self._state.service_is_ready():
                answers.append(self._state.call_async(GetState.Request()))
                asked_ns = now_ns
            return any(answer.done() for answer in answers)

        self._wait(node, self._lifecycle.service_is_ready, _START_S, 'offer its services')
        self._wait(node, answered, _START_S, 'answer')

    def _change(self, node: ChildNode, transition: int, what: str, timeout_s: float) -> None:
        request = ChangeState.Request(transition=Transition(id=transition))
        answer = self._lifecycle.call_async(request)
        self._wait(node, answer.done, timeout_s, what)
        if not answer.result().success:
            msg = f'the node could not {what}'
            raise node.failure(msg)

    def _wait_for_last_mask(self, node: ChildNode) -> None:
        """Wait for the last frame's label map, as long as the node is not silent for too long."""
        last_ns = self.published[-1].stamp_ns if self.published else None
        heard_ns, heard = time.monotonic_ns(), len(self.received)
        while not (self.received and self.received[-1].stamp_ns == last_ns):
            self._check(node)
            if len(self.received) > heard:
                heard_ns, heard = time.monotonic_ns(), len(self.received)
            if time.monotonic_ns() - heard_ns > _SILENCE_NS:
                return
            time.sleep(_NAP_S)


def _answers(
    source: Source, play: _Play, spool: Path
) -> Generator[AnsweredFrame | UnansweredFrame, None, None]:
    """Go through the footage again and yield every frame with its label map."""
    pairs, doubtful = pair_masks(play.published, play.received)
    published_ns = {item.frame: item.at_ns for item in play.published}
    with BagReader(spool) as bag:
        masks = enumerate(bag.images(LABEL_MAP_TOPIC))
        try:
            for frame in source:
                if frame.index not in pairs:
                    yield UnansweredFrame(frame, _why_not(frame, doubtful))
                    continue
                wanted = pairs[frame.index]
                mask = next(mask for position, mask in masks if position == wanted)
                latency_ns = mask.log_ns - published_ns[frame.index]
                try:  # the node may read more than this process: it has cv_bridge
                    image, labels = frame.decode('rgb8'), mask.label_map()
                except ImageError as error:
                    yield UnansweredFrame(frame, error.reason)
                else:
                    yield AnsweredFrame(frame, image, labels, latency_ns)
        except SourceError:
            if play.ended_by is None:
                raise


def _why_not(frame: SourceFrame, doubtful: set[int]) -> str:
    try:
        frame.decode('rgb8')
    except ImageError as error:
        return error.reason
    return REPEATED_STAMP if frame.index in doubtful else NO_MASK


def _ros_arguments() -> list[str]:
    """Return what all nodes of one run share: namespace and clock of their own, no log files.

    Two runs may share a domain, there are only so many.
    """
    name = f'/vidseg_{uuid4().hex}'
    remappings = ('-r', f'__ns:={name}', '-r', f'/clock:={name}/clock')
    return ['--ros-args', '--disable-external-lib-logs', *remappings]


def _parameters(model: Path, engine: str, mask_size: str, *, compressed: bool) -> list[str]:
    values = {
        'model': str(model.resolve()),
        'engine': engine,
        'mask_size': mask_size,
        'input_type': 'compressed' if compressed else 'image',
        'use_sim_time': True,
    }
    # Quoted, because ROS reads values as YAML: a model called 1.onnx is no number.
    return [
        part for name, value in values.items() for part in ('-p', f'{name}:={json.dumps(value)}')
    ]


@contextmanager
def _local_ros(arguments: list[str]) -> Iterator[tuple[Context, dict[str, str]]]:
    """Start ROS for this process, on this machine and in a domain of its own.

    Args:
        arguments: The run's ROS arguments.

    Yields:
        The context, and the environment for child processes that shall take part.
    """
    domain_id = 1 + os.getpid() % _DOMAINS
    profile = str(find_config('fastdds_local.xml'))
    ours = {
        'ROS_DOMAIN_ID': str(domain_id),
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
        **dict.fromkeys(PROFILE_VARIABLES, profile),
    }
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    context = Context()
    try:
        rclpy.init(args=arguments, context=context)
        _logger.info('live run in ROS_DOMAIN_ID %d of this machine', domain_id)
        yield context, {**os.environ, 'PYTHONUNBUFFERED': '1'}
    finally:
        context.try_shutdown()
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
