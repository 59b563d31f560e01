# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A long drive takes no more memory than a short one."""

from pathlib import Path
import subprocess
import sys

import numpy as np
import pytest

from vidseg_ros.bag_io import BagWriter

FPS = 1
START_NS = 1_700_000_000_000_000_000

# VmHWM is the peak of this program alone; what getrusage says may be that of its parent.
PROGRAM = """
from pathlib import Path
import re, sys
from vidseg_ros.cli.main import main
status = main(['evaluate', *sys.argv[1:]])
print(re.search(r'VmHWM:\\s+(\\d+) kB', Path('/proc/self/status').read_text()).group(1))
raise SystemExit(status)
"""


def record(path: Path, minutes: int) -> Path:
    """Write a labelled bag of 128x96 frames, 49 KB each with its labels."""
    images = np.random.default_rng(0).integers(0, 256, (7, 96, 128, 3), np.uint8)
    truth = np.argmax(images[..., :3], axis=-1).astype(np.uint8)
    with BagWriter(path) as bag:
        for index in range(minutes * 60 * FPS):
            stamp = START_NS + index * 1_000_000_000 // FPS
            picture, ids = images[index % 7], truth[index % 7]
            bag.write_image('/cam', picture, encoding='rgb8', stamp_ns=stamp, frame_id='')
            bag.write_image('/truth', ids, encoding='mono8', stamp_ns=stamp, frame_id='')
    return path


def peak_kb(bag: Path, model: Path, out: Path) -> int:
    """Evaluate a bag in a process of its own; return the most memory that it held, kB."""
    command = [sys.executable, '-c', PROGRAM, str(bag), '--labels', '/truth', '--topic', '/cam']
    command += ['--model', str(model), '--metrics', 'fast', '--out', str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    assert len((out / 'sources' / bag.name / 'frames-a.csv').read_text().splitlines()) > 100
    return int(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_twenty_minutes_take_the_memory_of_two(tiny_model: Path, tmp_path: Path) -> None:
    short = peak_kb(record(tmp_path / 'short', 2), tiny_model, tmp_path / 'a')
    long = peak_kb(record(tmp_path / 'long', 20), tiny_model, tmp_path / 'b')

    # Were all frames kept, it would be 53 MB more.
    assert long < 1.1 * short
