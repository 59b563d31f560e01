# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from itertools import permutations
from pathlib import Path

import pytest

from vidseg_ros.core.errors import ParameterError
from vidseg_ros.core.labels import CAMVID, LabelSet
from vidseg_ros.evaluation.class_mapping import (
    choose_classes,
    class_table,
    never_predicted,
    read_class_map,
)


def labels(*names: str) -> LabelSet:
    return LabelSet(names=names, colors=((0, 0, 0),) * len(names))


COARSE = labels('road', 'thing')
FINE = labels('car', 'road', 'person')
MERGE = {'car': 'thing', 'person': 'thing'}


def test_ids_of_one_list_in_another() -> None:
    table = class_table(FINE.names, COARSE, MERGE, what='labels')
    assert table[:4].tolist() == [1, 0, 1, 255]
    assert set(table[3:].tolist()) == {255}


def test_a_class_may_count_as_nothing_only_in_labels() -> None:
    nothing = {'car': 'thing', 'person': None}
    table = class_table(FINE.names, COARSE, nothing, what='the labels', void=True)
    assert table[:3].tolist() == [1, 0, 255]
    message = r'classes of model m are not .* scored: person \(mapped to nothing\) \(scored: '
    with pytest.raises(ParameterError, match=message):
        class_table(FINE.names, COARSE, nothing, what='model m')


def test_the_first_list_that_takes_in_all_others_is_scored() -> None:
    assert choose_classes({'a': FINE}, None, {}) is FINE
    assert choose_classes({'a': FINE}, labels(*FINE.names[::-1]), {}) is FINE
    assert choose_classes({'a': FINE}, COARSE, MERGE) is COARSE
    assert choose_classes({'a': COARSE, 'b': FINE}, None, MERGE) is COARSE
    assert choose_classes({'a': FINE, 'b': COARSE}, None, MERGE) is COARSE


def test_lists_that_do_not_fit_are_refused_with_what_the_first_one_lacks() -> None:
    message = r'classes of the labels are not .* scored: thing \(scored: car'
    with pytest.raises(ParameterError, match=message):
        choose_classes({'a': FINE}, COARSE, {})
    with pytest.raises(ParameterError, match=r'classes of b are not .*: car, person .*class-map'):
        choose_classes({'a': COARSE, 'b': FINE}, None, {})


def test_a_class_map_says_which_list_is_meant() -> None:
    message = r'classes of a are not .*: person \(scored: road, thing\)'
    with pytest.raises(ParameterError, match=message):
        choose_classes({'a': FINE}, COARSE, {'car': 'thing'})
    message = r'classes of a are not .*: person \(mapped to things\) \(scored: road, thing\)'
    with pytest.raises(ParameterError, match=message):
        choose_classes({'a': FINE}, COARSE, {'car': 'thing', 'person': 'things'})


def test_the_list_that_most_bags_fit_is_scored_whatever_their_order() -> None:
    small = labels('road')
    more = [('road', 'sky'), ('road', 'tree'), ('tree', 'road'), ('void', 'void')]
    for recorded in permutations(more):
        assert choose_classes({'a': small}, None, {}, recorded).names == ('road', 'tree')
    for recorded in permutations(more[:2]):
        found = choose_classes({'a': small}, None, {}, recorded)
        assert found.names == ('road', 'sky'), 'by name where as many fit'
    assert choose_classes({'a': small}, None, {'tree': None}, more[1:2]) is small, 'void'
    assert choose_classes({'a': small}, COARSE, {}, more).names == COARSE.names


def test_a_known_list_of_a_bag_has_its_colours() -> None:
    assert choose_classes({'a': labels(CAMVID.names[0])}, None, {}, [CAMVID.names]) is CAMVID


def test_bags_with_foreign_lists_do_not_refuse_the_others() -> None:
    foreign = [('x', 'y'), ('void', 'void')]
    assert choose_classes({'a': FINE}, None, {}, foreign) is FINE
    assert choose_classes({'a': FINE}, None, {}, [*foreign, FINE.names]) is FINE
    with pytest.raises(ParameterError, match=r'of a .*: road \(mapped to r\) \(scored: z, x\)'):
        choose_classes({'a': labels('road')}, None, {'road': 'r', 'car': 'z'}, [('z', 'x')])


def test_what_a_model_can_never_predict() -> None:
    assert never_predicted(FINE.names, COARSE, MERGE) == []
    assert never_predicted(FINE.names, labels('sky', 'road', 'thing'), MERGE) == ['sky']
    assert never_predicted(COARSE.names, FINE, {}) == ['car', 'person']


def test_a_class_map_is_read(tmp_path: Path) -> None:
    file = tmp_path / 'map.yaml'
    file.write_text('rider: bicyclist\nego vehicle: null\n')
    assert read_class_map(file) == {'rider': 'bicyclist', 'ego vehicle': None}
    for text in ('- rider', 'rider: 3', '7: road', ''):
        file.write_text(text)
        with pytest.raises(ParameterError, match=r'map\.yaml must have lines such as `rider: bi'):
            read_class_map(file)
    file.write_text('a: [')
    with pytest.raises(ParameterError, match=r'cannot read class map .*map\.yaml'):
        read_class_map(file)
    with pytest.raises(ParameterError, match=r'cannot read class map .*nowhere'):
        read_class_map(tmp_path / 'nowhere')
