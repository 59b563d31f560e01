# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The keys of the report's player, and those that other elements keep."""

from collections.abc import Callable
from typing import Any

import pytest

sync_api = pytest.importorskip('playwright.sync_api', reason='playwright is not installed')


def test_keyboard(opened: Callable[..., Any]) -> None:
    report = opened()
    screen = report.page.locator('#screen')
    for key, frame in (
        ('ArrowRight', 2),
        ('Shift+ArrowRight', 12),
        ('ArrowLeft', 11),
        ('Shift+ArrowLeft', 1),
        ('End', 20),
        ('Home', 1),
    ):
        report.page.keyboard.press(key)
        report.expect_frame(frame)
    screen.focus()
    report.page.keyboard.press('ArrowRight')
    report.expect_frame(2)
    assert screen.evaluate('e => getComputedStyle(e).outlineStyle') == 'solid'
    report.page.locator('#position').focus()
    report.page.keyboard.press('ArrowRight')
    report.expect_frame(3)
    report.page.locator('#time-chart').focus()
    report.page.keyboard.press('ArrowRight')
    report.expect_frame(4)
    playhead = 'document.getElementById("time-chart").layout.shapes[0].x0'
    assert report.page.evaluate(playhead) == pytest.approx(0.3)
    unnamed = report.page.locator('button:not([aria-label]), input:not([aria-label]), select')
    for control in unnamed.all():
        assert control.evaluate('e => e.textContent.trim() || e.labels?.length'), control


def test_keys_that_an_element_needs_are_its_own(opened: Callable[..., Any]) -> None:
    report = opened()
    report.page.keyboard.press('ArrowRight')
    report.expect_frame(2)
    for control in ('#opacity', 'input[name=view]:checked'):
        report.page.locator(control).focus()
        report.page.keyboard.press('ArrowRight')
    assert report.page.get_by_role('radio', name='B: net-b').is_checked()
    report.page.locator('#theme').focus()
    report.page.keyboard.press('Space')
    assert report.page.evaluate('document.documentElement.dataset.theme') == 'dark'
    report.page.keyboard.press('ArrowRight')
    report.expect_frame(3)
    assert report.page.locator('#opacity').input_value() == '51'


def test_a_checkbox_keeps_space_only(opened: Callable[..., Any]) -> None:
    report = opened()
    red = report.page.get_by_label('red', exact=True)
    red.click()
    report.page.keyboard.press('ArrowRight')
    report.expect_frame(2)
    report.page.keyboard.press('End')
    report.expect_frame(20)
    assert not red.is_checked()
    report.page.keyboard.press('Space')
    assert red.is_checked()
    sync_api.expect(report.page.locator('#play')).to_have_text('Play')


def test_a_table_keeps_the_keys_by_which_it_scrolls(opened: Callable[..., Any]) -> None:
    report = opened()
    table = report.page.locator('.scroll', has=report.page.locator('#sources'))
    table.click()
    assert table.evaluate('e => e === document.activeElement && e.scrollWidth <= e.clientWidth')
    report.page.keyboard.press('ArrowRight')
    report.expect_frame(2)
    report.page.set_viewport_size({'width': 390, 'height': 844})
    assert table.evaluate('e => e.scrollWidth > e.clientWidth')
    report.page.keyboard.press('ArrowRight')
    report.page.wait_for_function('e => e.scrollLeft > 0', arg=table.element_handle())
    report.expect_frame(2)
