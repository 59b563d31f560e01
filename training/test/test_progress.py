# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable, Iterator
from dataclasses import replace
import io
import json
import logging
from pathlib import Path
import re
import signal

import pytest
from rich.console import Console
from safetensors.torch import load_file
import torch

from vidseg_training import cli
from vidseg_training.config import TrainConfig
from vidseg_training.fitting import run
from vidseg_training.loop import Run
from vidseg_training.motion_config import MotionConfig
from vidseg_training.motion_training import MotionRun, train_motion
from vidseg_training.progress import counted, train_to_end


class FakeRun:
    """Six steps in two epochs; something may happen in a step."""

    batches, total_steps, score = 3, 6, 'mIoU 50.0'

    def __init__(self, step: int = 0, happens: Callable[[int], object] = lambda _: None) -> None:
        self.step, self.happens = step, happens
        self.saved: list[int] = []

    def steps(self) -> Iterator[float]:
        while self.step < self.total_steps:
            self.happens(self.step)
            self.step += 1
            yield float(self.step)

    def save(self) -> None:
        self.saved.append(self.step)


@pytest.fixture(autouse=True)
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C do what it does in a terminal; a shell in the background may ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """Return what returns the text in Rich's terminal, without its escape sequences."""
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120)
    monkeypatch.setattr('vidseg_training.progress.get_console', lambda: console)
    return lambda: re.sub(r'\x1b\[[^a-zA-Z]*[a-zA-Z]', '', screen.getvalue())


def test_without_a_terminal_every_epoch_is_a_line(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    train_to_end(FakeRun(), 'fake', Path('runs'))
    assert [re.sub(r'\d:\d\d:\d\d', 'T', line) for line in caplog.messages] == [
        'epoch 1 of 2: loss 2.000, mIoU 50.0, T left',
        'epoch 2 of 2: loss 5.000, mIoU 50.0, T left',
    ]
    assert capsys.readouterr().out == ''


def test_a_terminal_shows_epochs_from_one_and_says_which_time_is_which(
    terminal: Callable[[], str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    train_to_end(FakeRun(3), 'fake', Path('runs'))
    assert caplog.messages == ['going on in runs: epoch 2 of 2, step 1 of 3']
    shown = r'fake epoch 2/2 loss 6\.000 .* 6/6 0:00:00 passed, 0:00:00 left'
    assert re.search(shown, terminal())


def test_a_finished_run_says_so(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    train_to_end(FakeRun(6), 'fake', Path('runs'))
    assert caplog.messages == ['runs is finished: all 6 steps are done']


@pytest.mark.usefixtures('terminal')
def test_ctrl_c_keeps_the_run_at_the_end_of_the_step(capfd: pytest.CaptureFixture[str]) -> None:
    fake = FakeRun(happens=lambda step: step == 1 and signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt, match='interrupted; kept up to step 2 of 6 in runs'):
        train_to_end(fake, 'fake', Path('runs'))
    assert fake.saved == [2]
    assert 'Ctrl-C once more: at once' in capfd.readouterr().err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_ctrl_c_does_not_wait() -> None:
    def press_twice(_step: int) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    fake = FakeRun(happens=press_twice)
    with pytest.raises(KeyboardInterrupt):
        train_to_end(fake, 'fake', Path('runs'))
    assert fake.saved == []


def test_among_several_processes_ctrl_c_interrupts_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They do not see it at the same step, and would wait for each other."""
    monkeypatch.setattr('vidseg_training.progress.process_count', lambda: 2)
    fake = FakeRun(happens=lambda _step: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        train_to_end(fake, 'fake', Path('runs'))
    assert fake.saved == []


def test_an_ignored_ctrl_c_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    fake = FakeRun(happens=lambda _step: signal.raise_signal(signal.SIGINT))
    train_to_end(fake, 'fake', Path('runs'))
    assert fake.step == 6


def _records(folder: Path) -> list[dict[str, float]]:
    lines = (folder / 'log.jsonl').read_text(encoding='utf-8').splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize('workers', [0, 1])
def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(
    small_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    config = replace(small_config, checkpoint_steps=100, workers=workers, ema_decay=0.5)
    whole = load_file(run(config, tmp_path / 'whole'))
    learn = Run._learn

    def interrupted(self: Run, *arguments: object) -> dict[str, float]:
        if self.step == 4:
            signal.raise_signal(signal.SIGINT)
        return learn(self, *arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Run, '_learn', interrupted)
        with pytest.raises(KeyboardInterrupt, match='kept up to step 5 of 9'):
            run(config, tmp_path / 'parts')
    for name, value in load_file(run(config, tmp_path / 'parts')).items():
        torch.testing.assert_close(value, whole[name], rtol=0, atol=0)
    assert _records(tmp_path / 'parts') == _records(tmp_path / 'whole')


def test_an_interrupted_motion_training_goes_on_as_if_nothing_had_happened(
    moving_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = MotionConfig(
        clips=(str(moving_clip),),
        flow='none',
        width=8,
        crop_size=(64, 64),
        spacing=1,
        epochs=2,
        windows=6,
        batch_size=2,
        checkpoint_steps=100,
    )
    whole = load_file(train_motion(config, tmp_path / 'whole'))
    learn = MotionRun._learn

    def interrupted(self: MotionRun, *arguments: object) -> float:
        if self.step == 1:
            signal.raise_signal(signal.SIGINT)
        return learn(self, *arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(MotionRun, '_learn', interrupted)
        with pytest.raises(KeyboardInterrupt, match='kept up to step 2 of 6'):
            train_motion(config, tmp_path / 'parts')
    for name, value in load_file(train_motion(config, tmp_path / 'parts')).items():
        torch.testing.assert_close(value, whole[name], rtol=0, atol=0)
    assert _records(tmp_path / 'parts') == _records(tmp_path / 'whole')


@pytest.mark.parametrize(
    ('command', 'function', 'said'),
    [
        (['fit', 'street_compact'], '_train', 'kept up to step 2, the same command goes on'),
        (['motion'], '_motion', 'kept up to step 2, the same command goes on'),
        (['propagate', 'x', '--out', 'y'], 'propagate', 'interrupted, the same command goes on'),
        (['evaluate', 'x'], '_evaluate', 'interrupted'),
    ],
)
def test_the_command_says_in_one_line_that_it_was_interrupted(
    command: list[str],
    function: str,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt(*(['kept up to step 2'] if 'kept' in said else []))

    monkeypatch.setattr(cli, function, interrupted)
    assert cli.main(command) == 130
    assert capsys.readouterr().err == f'vidseg-train: {said}\n'


def test_without_a_terminal_every_tenth_of_counted_things_is_a_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    assert list(counted(iter(range(7, 25)), 'images', 25, 7)) == list(range(7, 25))
    lines = [line.removesuffix(', 0:00:00 left') for line in caplog.messages]
    assert lines == [f'images: {count} of 25' for count in (8, 10, 13, 15, 18, 20, 23, 25)]


def test_counted_things_say_what_they_are(terminal: Callable[[], str]) -> None:
    assert list(counted(iter('bc'), 'what the teacher sees, images', 3, 1)) == ['b', 'c']
    assert re.search(r'what the teacher sees, images .* 3/3 .* left', terminal())
