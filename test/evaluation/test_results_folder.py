# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A folder gives up the results of an earlier run, and nothing that anybody else put there."""

import json
from pathlib import Path

import pytest

from vidseg_ros.core.errors import OutputError
from vidseg_ros.evaluation.results_folder import claim_folder, MARKER, write_json

RESULTS = ('masks', 'overlay.mp4', 'summary.json')


def contents(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob('*'))


def fill(folder: Path, *names: str) -> None:
    """Write files that say whose they are."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text('mine')


def test_a_new_folder_is_made_and_marked(tmp_path: Path) -> None:
    claim_folder(tmp_path / 'new' / 'out', RESULTS, overwrite=False)
    assert contents(tmp_path) == ['new', 'new/out', f'new/out/{MARKER}']


@pytest.mark.parametrize('overwrite', [False, True])
def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path, *, overwrite: bool) -> None:
    fill(tmp_path, 'masks/000001.png', 'masks/drive.mcap', 'overlay.mp4', 'summary.json')
    before = contents(tmp_path)
    message = 'is not empty; choose another --out: vidseg did not make it'
    with pytest.raises(OutputError, match=message):
        claim_folder(tmp_path, RESULTS, overwrite=overwrite)
    assert contents(tmp_path) == before


def test_results_stay_unless_they_may_be_overwritten(tmp_path: Path) -> None:
    claim_folder(tmp_path, RESULTS, overwrite=False)
    fill(tmp_path, 'summary.json')
    with pytest.raises(OutputError, match='is not empty; choose another --out, or --overwrite'):
        claim_folder(tmp_path, RESULTS, overwrite=False)
    assert contents(tmp_path) == [MARKER, 'summary.json']


def test_overwriting_removes_results_and_nothing_else(tmp_path: Path) -> None:
    claim_folder(tmp_path, RESULTS, overwrite=False)
    fill(tmp_path, 'masks/000001.png', 'masks/metadata.yaml', 'overlay.mp4', 'notes.txt')
    claim_folder(tmp_path, RESULTS, overwrite=True)
    assert contents(tmp_path) == [MARKER, 'notes.txt']


def test_overwriting_stops_at_a_foreign_file_among_the_masks(tmp_path: Path) -> None:
    claim_folder(tmp_path, RESULTS, overwrite=False)
    fill(tmp_path, 'masks/000001.png', 'masks/notes.txt')
    with pytest.raises(OutputError, match=r"not empty: '.*masks'; choose another --out"):
        claim_folder(tmp_path, RESULTS, overwrite=True)
    assert (tmp_path / 'masks' / 'notes.txt').read_text() == 'mine'


def test_overwriting_does_not_follow_links(tmp_path: Path) -> None:
    fill(tmp_path, 'labels/000001.png')
    claim_folder(tmp_path / 'out', RESULTS, overwrite=False)
    (tmp_path / 'out' / 'masks').symlink_to(tmp_path / 'labels')
    claim_folder(tmp_path / 'out', RESULTS, overwrite=True)
    assert contents(tmp_path / 'out') == [MARKER]
    assert (tmp_path / 'labels' / '000001.png').read_text() == 'mine'


def test_a_run_that_left_nothing_does_not_block_the_next(tmp_path: Path) -> None:
    for _ in range(2):
        claim_folder(tmp_path, RESULTS, overwrite=False)
    assert contents(tmp_path) == [MARKER]


def test_a_claimed_folder_without_results_is_free(tmp_path: Path) -> None:
    """A run that failed early may leave an empty folder for masks, or the log of a node."""
    claim_folder(tmp_path, RESULTS, overwrite=False)
    (tmp_path / 'masks').mkdir()
    fill(tmp_path, 'node.log')
    claim_folder(tmp_path, RESULTS, overwrite=False)
    assert contents(tmp_path) == [MARKER, 'node.log']


def test_a_folder_that_cannot_be_made_says_where(tmp_path: Path) -> None:
    (tmp_path / 'file').touch()
    with pytest.raises(OutputError, match=r'cannot write to .*file/out'):
        claim_folder(tmp_path / 'file' / 'out', RESULTS, overwrite=False)


def test_input_among_the_results_is_refused_and_kept(tmp_path: Path) -> None:
    claim_folder(tmp_path, RESULTS, overwrite=False)
    fill(tmp_path, 'masks/a.png')
    with pytest.raises(OutputError, match='among the results'):
        claim_folder(tmp_path, RESULTS, overwrite=True, inputs=[tmp_path / 'masks'])
    assert (tmp_path / 'masks' / 'a.png').read_text() == 'mine'
    claim_folder(tmp_path, RESULTS, overwrite=True, inputs=[tmp_path / 'elsewhere'])
    assert not (tmp_path / 'masks').exists()


def test_json_is_written_whole(tmp_path: Path) -> None:
    write_json(tmp_path / 'summary.json', {'drops': {'step': 1}, 'name': 'Straße'})
    text = (tmp_path / 'summary.json').read_text(encoding='utf-8')
    assert json.loads(text) == {'drops': {'step': 1}, 'name': 'Straße'}
    assert text.endswith('}\n')


def test_json_that_cannot_be_written_says_where(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r'cannot write .*missing/summary\.json'):
        write_json(tmp_path / 'missing' / 'summary.json', {})
