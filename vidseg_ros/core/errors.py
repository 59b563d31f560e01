# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Errors a user can meet. Each message says what happened, where, and how to fix it."""

from typing import Final


class VidsegError(Exception):
    """Base of every error raised on purpose by this package."""


class ModelError(VidsegError):
    """A model file is missing, unreadable, not ours, or breaks the model contract."""


class EngineError(VidsegError):
    """An inference engine cannot be created or cannot run."""


class SourceError(VidsegError):
    """A bag, video, folder or label directory cannot be read."""


class OutputError(VidsegError):
    """A result cannot be written."""


class ParameterError(VidsegError):
    """A setting has a value that is not allowed."""


class ImageError(VidsegError):
    """One camera image cannot be decoded; the stream goes on without it.

    Attributes:
        reason: One of ``REASONS``, a short key under which such frames are counted.
    """

    REASONS: Final = ('size', 'step', 'truncated', 'encoding', 'corrupt')

    def __init__(self, reason: str, message: str) -> None:
        """Remember the counting key beside the message for people."""
        assert reason in self.REASONS
        super().__init__(message)
        self.reason = reason
