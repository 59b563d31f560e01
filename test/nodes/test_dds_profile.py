# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from vidseg_ros.nodes.dds_profile import profile_variables

OLD, NEW = 'FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE'


def test_both_variables_name_the_shipped_profile() -> None:
    variables = profile_variables({'HOME': '/root'})
    assert variables.keys() == {OLD, NEW}
    assert variables[OLD] == variables[NEW]
    assert 'large_shared_memory' in Path(variables[OLD]).read_text()


@pytest.mark.parametrize('name', [OLD, NEW])
def test_a_profile_of_the_user_is_left_alone(name: str) -> None:
    assert profile_variables({name: '/etc/dds.xml'}) == {}


def test_an_empty_variable_is_no_choice() -> None:
    assert profile_variables({OLD: ''}).keys() == {OLD, NEW}
