# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0

from collections.abc import Callable
import os
from pathlib import Path
import sys

import pytest

from vidseg_ros.core import resources
from vidseg_ros.core.errors import ModelError, ParameterError, VidsegError

Find = Callable[[str | Path], Path]
KINDS = [
    pytest.param(resources.find_model, 'models', '.onnx', ModelError, id='model'),
    pytest.param(resources.find_config, 'config', '.yaml', ParameterError, id='config'),
]


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Lead every lookup into a folder of the test."""
    roots = {name: tmp_path / name for name in ('overlay', 'underlay', 'venv', 'checkout')}
    ament = os.pathsep.join([str(roots['overlay']), '', str(roots['underlay'])])
    monkeypatch.setenv('AMENT_PREFIX_PATH', ament)
    monkeypatch.setattr(sys, 'prefix', str(roots['venv']))
    monkeypatch.setattr(resources, '_CHECKOUT', roots['checkout'])
    empty = tmp_path / 'cwd'
    empty.mkdir()
    monkeypatch.chdir(empty)
    share = Path('share', 'vidseg_ros')
    return {name: root if name == 'checkout' else root / share for name, root in roots.items()}


def put(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b'x')
    return file


@pytest.mark.parametrize(('find', 'folder', 'suffix', 'error'), KINDS)
class TestBoth:
    def test_an_existing_path_is_returned_as_is(
        self, find: Find, folder: str, suffix: str, error: type[VidsegError], tmp_path: Path
    ) -> None:
        del folder, error
        file = put(tmp_path / 'mine' / f'a{suffix}')
        assert find(file) == file
        assert find(str(file)) == file
        put(Path(f'here{suffix}'))
        assert find(f'here{suffix}') == Path(f'here{suffix}')

    def test_places_are_searched_in_order(
        self,
        find: Find,
        folder: str,
        suffix: str,
        error: type[VidsegError],
        places: dict[str, Path],
    ) -> None:
        del error
        for place in ('checkout', 'venv', 'underlay', 'overlay'):  # last choice first
            file = put(places[place] / folder / f'street{suffix}')
            assert find('street') == file
            assert find(f'street{suffix}') == file

    def test_an_unknown_name_lists_places_and_choices(
        self,
        find: Find,
        folder: str,
        suffix: str,
        error: type[VidsegError],
        places: dict[str, Path],
    ) -> None:
        put(places['venv'] / folder / f'b{suffix}')
        put(places['checkout'] / folder / f'a{suffix}')
        put(places['checkout'] / folder / f'b{suffix}')
        put(places['checkout'] / folder / 'LICENSE')
        with pytest.raises(error, match=r"no \w+ 'stret'.*one of: a, b$") as caught:
            find('stret')
        for place in places.values():
            assert str(place / folder) in str(caught.value)

    def test_nothing_shipped_is_said(
        self, find: Find, folder: str, suffix: str, error: type[VidsegError]
    ) -> None:
        del folder, suffix
        for name in ('street', ''):
            with pytest.raises(error, match=rf"no \w+ '{name}'.*\(none\)$"):
                find(name)

    def test_a_missing_path_is_not_searched(
        self,
        find: Find,
        folder: str,
        suffix: str,
        error: type[VidsegError],
        places: dict[str, Path],
    ) -> None:
        put(places['checkout'] / folder / f'a{suffix}')
        with pytest.raises(error, match=rf'file .*none/a{suffix} does not exist'):
            find(f'none/a{suffix}')

    def test_a_folder_is_no_file(
        self, find: Find, folder: str, suffix: str, error: type[VidsegError], tmp_path: Path
    ) -> None:
        del folder, suffix
        with pytest.raises(error, match='does not exist'):
            find(tmp_path)

    def test_an_impossible_name_is_a_clear_error(
        self, find: Find, folder: str, suffix: str, error: type[VidsegError]
    ) -> None:
        del folder, suffix
        with pytest.raises(error, match=r'cannot look for .*too long'):
            find('x' * 300)


def test_without_ament_the_checkout_serves(
    places: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv('AMENT_PREFIX_PATH')
    file = put(places['checkout'] / 'models' / 'street.onnx')
    assert resources.find_model('street') == file
