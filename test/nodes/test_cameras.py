# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Several cameras on one network: each gets its own masks, and none waits for another."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
import threading
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy')

OK, ERROR = b'\x00', b'\x02'
SIX = [f'camera_{number}' for number in range(6)]


class GatedEngine:
    """Holds inferences up while its gate is shut, and remembers their batches."""

    def __init__(self, node: Any) -> None:
        self.batches: list[tuple[int, tuple[int, int]]] = []
        self.gate, self.busy = threading.Event(), threading.Event()
        self.gate.set()
        self._infer = node._engine.infer
        node._engine.infer = self.infer

    def infer(self, frames: Any, *, confidence: bool = False) -> Any:
        self.batches.append((len(frames), frames[0].shape[:2]))
        self.busy.set()
        assert self.gate.wait(60)
        return self._infer(frames, confidence=confidence)


class Cameras:
    """Sends frames of several cameras into a node, one after the other."""

    def __init__(self, peer: Any, node: Any, scene: Any) -> None:
        self.peer, self.node, self.engine = peer, node, GatedEngine(node)
        self.plug = scene(12, 16, seed=9)
        self.masks = {
            name: peer.listen(f'/segmentation/{name}/label_map') for name in node._cameras
        }
        for name in self.masks:  # until the two sides know each other, frames get lost
            self.peer.segment(self.plug.message(peer.header()), self.masks[name], f'/{name}/image')

    def send(self, name: str, message: Any) -> None:
        """Send a frame; back when the node has it."""
        health = self.node._cameras[name].health
        received = health._received
        self.peer.send(message, f'/{name}/image')
        self.peer.wait_for(lambda: health._received > received, f'frame of {name}')

    @contextmanager
    def busy_engine(self) -> Iterator[None]:
        """Keep the engine busy meanwhile with a frame that is of no further interest."""
        self.engine.gate.clear()
        self.engine.busy.clear()
        try:
            self.send(next(iter(self.masks)), self.plug.message(self.peer.header()))
            assert self.engine.busy.wait(15)
            yield
        finally:
            self.engine.batches.clear()
            self.engine.gate.set()

    def mask(self, name: str, header: Any) -> Any:
        """Wait for the mask of a frame; it has the frame's header."""

        def found() -> Any:
            return next((m for m in list(self.masks[name]) if m.header == header), None)

        return self.peer.wait_for(found, f'mask of {name}')


def test_a_dead_camera_holds_nobody_up_and_is_named(
    peer: Any, tiny_model: Path, scene: Any
) -> None:
    peer.start_active(
        model=str(tiny_model), cameras=['front', 'left', 'rear'], camera_timeout=3600.0
    )
    masks = {name: peer.listen(f'/segmentation/{name}/label_map') for name in ('front', 'rear')}
    for seed in range(3):
        for name, received in masks.items():
            picture = scene(seed=seed)
            message = picture.message(peer.header(f'{name}_optical_frame'))
            mask = peer.segment(message, received, f'/{name}/image')
            assert mask.header == message.header
            np.testing.assert_array_equal(peer.pixels(mask), picture.labels)
    for name in masks:
        status = f'segmentation: {name}'
        peer.wait_for(lambda s=status: int(peer.values(s).get('segmented', '0')) >= 3, status)
    assert peer.statuses['segmentation: front'].level == OK
    assert peer.statuses['segmentation: rear'].level == OK
    assert peer.values('segmentation: left')['received'] == '0'

    assert peer.set_parameters(camera_timeout=0.1).successful

    def left() -> Any:
        status = peer.statuses['segmentation: left']
        return status if status.level == ERROR else None

    status = peer.wait_for(left, 'error of the dead camera')
    assert peer.values('segmentation: left')['rules'] == 'no_publisher'
    assert status.message.startswith('no frame on /left/image or /left/image/compressed for ')


def test_a_camera_that_changes_its_size_while_others_do_not(
    peer: Any, tiny_model: Path, scene: Any
) -> None:
    names = ['front', 'left', 'rear']
    node = peer.start_active(model=str(tiny_model), cameras=names, input_type='image')
    cameras = Cameras(peer, node, scene)
    for sizes, batches in (
        ([(48, 64), (48, 64), (24, 32)], [(2, (48, 64)), (1, (24, 32))]),
        ([(48, 64), (24, 32), (24, 32)], [(1, (48, 64)), (2, (24, 32))]),
        ([(48, 64), (12, 16), (24, 32)], [(1, (48, 64)), (1, (12, 16)), (1, (24, 32))]),
        ([(24, 32), (24, 32), (24, 32)], [(3, (24, 32))]),
    ):
        pictures = [scene(*size, seed=number) for number, size in enumerate(sizes)]
        headers = [peer.header(f'{name}_optical_frame') for name in names]
        with cameras.busy_engine():
            for name, picture, header in zip(names, pictures, headers, strict=True):
                cameras.send(name, picture.message(header))
        for name, picture, header in zip(names, pictures, headers, strict=True):
            mask = cameras.mask(name, header)
            np.testing.assert_array_equal(peer.pixels(mask), picture.labels)
        assert cameras.engine.batches == batches


def test_six_cameras_that_outrun_the_engine_get_equal_shares(
    peer: Any, tiny_model: Path, scene: Any
) -> None:
    node = peer.start_active(model=str(tiny_model), cameras=SIX, input_type='image')
    cameras = Cameras(peer, node, scene)
    rng = np.random.default_rng(3)
    picture = scene(12, 16)

    def settled() -> bool:
        """Whether every frame is accounted for."""
        replaced = node._mailbox.replaced()
        healths = {name: node._cameras[name].health for name in SIX}
        return all(
            health._received == health._published + replaced.get(name, 0)
            for name, health in healths.items()
        )

    peer.wait_for(settled, 'account of the first frames')
    before = {name: node._cameras[name].health._published for name in SIX}
    for _ in range(20):  # inferences; each camera sends one to four frames during each
        frames = [name for name in SIX for _ in range(rng.integers(1, 5))]
        with cameras.busy_engine():
            for name in rng.permutation(frames):
                newest = peer.header()
                cameras.send(str(name), picture.message(newest))
        cameras.mask(str(name), newest)
    peer.wait_for(settled, 'account of all frames')
    counts = {name: node._cameras[name].health._published - before[name] for name in SIX}
    counts[SIX[0]] -= 20  # those that kept the engine busy
    assert counts == dict.fromkeys(SIX, 20)
