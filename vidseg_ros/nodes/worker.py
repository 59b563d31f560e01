# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The thread that segments, so that the node's executor never waits for the network."""

from collections.abc import Callable, Sequence
import threading

from vidseg_ros.pipeline import Mailbox, Segmentation, Segmenter


class Worker:
    """Takes the newest frames out of a mailbox, segments them and hands on the results."""

    def __init__(
        self,
        segmenter: Segmenter,
        mailbox: Mailbox,
        *,
        wants_confidence: Callable[[], bool],
        publish: Sequence[Callable[[Segmentation], None]],
        failed: Callable[[Exception], None],
    ) -> None:
        """Start the thread.

        Args:
            segmenter: Used by this thread only, until `stop`.
            mailbox: Where frames come from; closed by `stop`.
            wants_confidence: Asked before each inference.
            publish: Called in the thread, each with all results of a batch before the next one
                gets any: what must not wait comes first. None is called any more after `stop`.
            failed: Called once in the thread when anything above raises; the thread then ends.
        """
        self._segmenter, self._mailbox = segmenter, mailbox
        self._wants_confidence, self._publish, self._failed = wants_confidence, publish, failed
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name='vidseg worker', daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """End the thread after the inference in work, whose results are dropped.

        Args:
            timeout_s: Longest wait in seconds.

        Returns:
            Whether it has ended.
        """
        self._stopping = True
        self._mailbox.close()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while frames := self._mailbox.take():
                results = self._segmenter.segment(frames, confidence=self._wants_confidence())
                for publish in self._publish:
                    for result in results:
                        if self._stopping:
                            return
                        publish(result)
        except Exception as error:  # noqa: BLE001  # a thread has nobody above it to catch it
            if not self._stopping:
                self._failed(error)
