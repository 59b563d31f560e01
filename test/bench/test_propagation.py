# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0

from collections.abc import Callable
import json
from pathlib import Path
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
from numpy.typing import NDArray
import pytest

from vidseg_ros.core.errors import ParameterError
from vidseg_ros.core.labels import IGNORE_ID

pytest.importorskip('torch')

from vidseg_training.motion_config import MotionConfig
from vidseg_training.motion_weights import write_motion
from vidseg_training.networks.motion import MotionNet

Script = Callable[[str], ModuleType]


def test_score_counts_carried_pixels_only(script: Script) -> None:
    score = script('propagated_labels').Score()
    truth = np.array([[0, 0, 1, 1, IGNORE_ID]], np.uint8)
    score.add(truth, np.array([[0, 1, 1, IGNORE_ID, 0]], np.uint8))
    miou, coverage = score.values()
    assert miou == pytest.approx(50)  # class 0: 1 of 2, class 1: 1 of 2
    assert coverage == 3 / 4


def test_steps_and_direct_motion_agree_where_motion_is_steady(script: Script) -> None:
    bench = script('propagated_labels')

    def left(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
        flow = np.zeros((*first.shape[:2], 2), np.float32)
        flow[..., 0] = float(second[0, 0, 0]) - float(first[0, 0, 0])
        return flow

    frames = [bench.ClipFrame(at, np.full((2, 9, 3), at, np.uint8)) for at in range(4)]
    flows = bench.PairFlows(bench.open_motion(left), frames)
    for target, source in ((3, 0), (0, 3)):
        direct, steps = flows.between(target, source), flows.steps(target, source)
        np.testing.assert_array_equal(direct.flow, steps.flow)
        assert direct.flow[0, 0, 0] == source - target


def test_a_network_is_not_scored_on_what_it_learned_from(script: Script, tmp_path: Path) -> None:
    bench = script('propagated_labels')
    half, weights = tmp_path / 'first_half', tmp_path / 'motion.safetensors'
    half.mkdir()
    for name in ('a_000001.png', 'a_000002.png'):
        (half / name).touch()
    drive = tmp_path / 'drive.mp4'
    drive.touch()
    config = MotionConfig(clips=(str(half), str(drive)))
    write_motion(weights, MotionNet('reconstruction', config.width), config, 1)
    bench.check_unseen(weights, {'a_000009.png'})
    with pytest.raises(ParameterError, match='learned from 1 of the images that it would be'):
        bench.check_unseen(tmp_path, {'a_000002.png', 'a_000009.png'})
    drive.unlink()
    with pytest.raises(ParameterError, match=r'cannot be told: .*drive\.mp4 is not there'):
        bench.check_unseen(weights, {'a_000009.png'})


def test_two_sources_are_compared_where_both_have_a_label(script: Script) -> None:
    """The scene moves by a column a frame; one source knows, the other sees no motion."""
    bench, source = script('common_pixels'), script('propagated_labels')

    def moved(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
        flow = np.zeros((*first.shape[:2], 2), np.float32)
        flow[..., 0] = float(second[0, 0, 0]) - float(first[0, 0, 0])
        return flow

    def still(first: NDArray[np.uint8], _: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.zeros((*first.shape[:2], 2), np.float32)

    clip = SimpleNamespace(
        frames=[source.ClipFrame(at, np.full((4, 12, 3), at, np.uint8)) for at in range(101)],
        labels=[
            np.tile((np.arange(12) - at).astype(np.uint8) // 2 % 3, (4, 1)) for at in range(101)
        ],
    )
    sources = {
        name: (source.open_motion(flow),) * 2
        for name, flow in {'moved': moved, 'still': still}.items()
    }
    rows = list(bench.compare(clip, sources, [1]))
    assert [(row['rival'], row['k'], row['occlusion']) for row in rows] == [
        ('still', 1, rule) for rule in bench.RULES
    ]
    keep = next(row for row in rows if row['occlusion'] == 'keep')
    assert keep['coverage'] == pytest.approx(11 / 12)  # what the moving one knows nothing of
    assert keep['miou'] == 100
    assert keep['miou_of_rival'] < 70
    assert keep['gain_of_halves'] == pytest.approx(
        [keep['miou'] - keep['miou_of_rival']] * 2, abs=1
    )


def test_claims_need_more_than_the_spread_of_the_seeds(script: Script) -> None:
    bench = script('propagation_orderings')

    def row(propagation: str, offset: int, miou: float, *, relaxed: bool = False) -> object:
        motion = 'dis' if offset else 'none'
        return {
            'propagation': propagation,
            'motion': motion,
            'offset': offset,
            'relaxed': relaxed,
            'miou': miou,
        }

    rows = [
        row('off', 0, 40.0),
        row('off', 0, 42.0),
        *[row('joint', 1, 45.0)] * 2,
        *[row('label', 1, 44.0)] * 2,
        *[row('joint', 3, 42.5)] * 2,
        *[row('off', 0, 38.0, relaxed=True)] * 2,
        row('joint', 5, 60.0),
    ]
    found = {claim['claim']: claim for claim in bench.claims(rows, 'dis', None)}
    assert found['joint > none, k = 1']['gain'] == pytest.approx(4)
    assert found['joint > none, k = 1']['spread'] == pytest.approx(2)
    verdicts = {name: claim['verdict'] for name, claim in found.items()}
    assert verdicts == {
        'joint > none, k = 1': 'holds',
        'label > none, k = 1': 'holds',
        'joint > label, k = 1': 'no difference seen',
        'relaxed > plain, no propagation': 'the other way round',
        'joint > none, k = 3': 'no difference seen',
        'k = 1 > k = 3, plain': 'holds',
        'joint > none, k = 5': 'one seed',
        'k = 1 > k = 5, plain': 'one seed',
    }


@pytest.mark.parametrize('other', [None, 'prediction'])
def test_a_table_has_at_most_20_runs_with_three_seeds_where_it_matters(
    script: Script, other: str | None
) -> None:
    bench = script('propagation_orderings')
    runs = list(bench.plan('dis', other))
    assert len({run.name for run in runs}) == len(runs) == (20 if other else 19)
    first = [run for run in runs if run.offset <= 1 and not run.relaxed and run.motion != 'exact']
    assert [run.seed for run in first if run.propagation == 'label'] == [0, 1, 2]


@pytest.mark.slow
def test_orderings_are_a_file_that_grows(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = script('propagation_orderings')
    out = tmp_path / 'out.json'
    command = ['--clips', '1', '--steps', '1', '--work', str(tmp_path), '--out', str(out)]
    monkeypatch.setattr(bench, 'TEST_SEEDS', range(3000, 3001))
    for most in (2, 1):
        monkeypatch.setattr(sys, 'argv', ['bench', *command, '--most', str(most)])
        assert bench.main() == 0
    rows = json.loads(out.read_text())['rows']
    assert [row['propagation'] for row in rows] == ['off', 'joint', 'label']
    assert all(0 <= row['miou'] <= 100 for row in rows)


@pytest.mark.slow
def test_orderings_on_camvid_learn_from_one_half_and_score_the_other(
    script: Script, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = script('propagation_orderings_camvid')
    assert len({run.name for run in bench.plan()}) == len(list(bench.plan())) == 36
    clip = bench.CamVid(data_dir / 'camvid', 'val')
    for half, labelled in zip(bench.HALVES, ([5, 15, 25, 35], [61, 71, 81, 91]), strict=True):
        assert list(bench.labelled_of(half)) == labelled
    bench.lend(data_dir, clip, bench.HALVES[0], tmp_path / 'half')
    assert {path.name for path in (tmp_path / 'half' / 'clip').iterdir()} == set(clip.names[:45])
    run = bench.Run(propagation='joint', motion='reconstruction', offset=1)
    samples = bench.samples_of(run, tmp_path / 'half', 'dis')
    assert len(list(samples.glob('*/labels/*.png'))) == 8

    monkeypatch.setattr(bench, 'plan', lambda: [bench.Run()])
    out = tmp_path / 'out.json'
    command = ['bench', str(data_dir), '--motions', str(tmp_path), '--steps', '1']
    monkeypatch.setattr(sys, 'argv', [*command, '--work', str(tmp_path), '--out', str(out)])
    assert bench.main() == 0
    (row,) = json.loads(out.read_text())['rows']
    assert row['miou'] == pytest.approx(sum(row['miou_of_halves']) / 2)
    monkeypatch.setattr(bench, 'train', None)
    assert bench.main() == 0, 'what is done is not done again'


@pytest.mark.slow
def test_speed_names_stages_that_make_up_the_whole(
    script: Script, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = script('propagation_speed')
    monkeypatch.setattr(bench, 'SIZES', {'960x720': (96, 72)})  # as quick as it gets
    out = tmp_path / 'out.json'
    words = ['bench', str(data_dir), '--motion', 'dis', '--frames', '5', '--rounds', '1']
    monkeypatch.setattr(sys, 'argv', [*words, '--sizes', '960x720', '--out', str(out)])
    bench.main()  # the exit code is about speed
    result = json.loads(out.read_text())
    (row,) = result['rows']
    assert sum(row['shares'].values()) == pytest.approx(1)
    assert min(row['shares'].values()) >= 0
    assert row['job_over_motion_one_thread'] > 1
    assert row['job_over_motion'] > 0
    assert len(row['samples_per_s']) == 3
    assert result['equal_samples']
    assert len(result['targets']) == 3
