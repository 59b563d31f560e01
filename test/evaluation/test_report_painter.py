# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""How the report paints label maps: whose colours, and outlines."""

from collections.abc import Callable
from typing import Any

import pytest

from vidseg_ros.evaluation.report_colors import REPORT_COLORS

sync_api = pytest.importorskip('playwright.sync_api', reason='playwright is not installed')

PAINT = """async ([outlines, hidden]) => {
    const { Painter } = await import('vidseg/painter');
    const canvas = document.createElement('canvas');
    const classes = [[255, 0, 0], [0, 255, 0]].map((color) => ({ color, own: color }));
    const painter = new Painter(canvas, classes);
    painter.resize(4, 3);
    Object.assign(painter, { opacity: 1, outlines, hidden: new Set(hidden) });
    const white = new OffscreenCanvas(4, 3);
    const context = white.getContext('2d');
    context.fillStyle = '#fff';
    context.fillRect(0, 0, 4, 3);
    const ids = [0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0];
    painter.paint(white, Uint8Array.from(ids.flatMap((id) => [id, id, id, 255])));
    const data = painter.context.getImageData(0, 0, 4, 3).data;
    const names = { '255,0,0': 'r', '0,255,0': 'g', '0,0,0': '#', '255,255,255': '.' };
    return ids.map((_, at) => names[Array.from(data.slice(4 * at, 4 * at + 3))]).join('');
}"""


@pytest.mark.parametrize(
    ('outlines', 'hidden', 'painted'),
    [
        (False, [], 'rrgg rrgg rrrr'),
        (True, [], 'r#gg r### rrrr'),
        (True, [1], 'r#.. r#.. rrrr'),
    ],
)
def test_classes_are_outlined(
    opened: Callable[..., Any], *, outlines: bool, hidden: list[int], painted: str
) -> None:
    assert opened().page.evaluate(PAINT, [outlines, hidden]) == painted.replace(' ', '')


def test_the_colors_of_the_model(opened: Callable[..., Any]) -> None:
    report = opened()
    report.slide('opacity', 100)
    assert report.pixel() == (*REPORT_COLORS[0], 255)
    swatch = report.page.locator('#classes .swatch').first
    sync_api.expect(swatch).to_have_css('background-color', 'rgb(153, 136, 119)')
    report.page.get_by_label("The model's own colours").check()
    assert report.pixel() == (255, 0, 0, 255)
    sync_api.expect(swatch).to_have_css('background-color', 'rgb(255, 0, 0)')


def test_the_sides_of_a_wipe_have_names(opened: Callable[..., Any]) -> None:
    report = opened()
    tags = report.page.locator('#wipe-tags')
    sync_api.expect(tags).to_be_hidden()
    report.page.get_by_role('radio', name='A | B wipe').check()
    left, right = tags.locator('span').all()
    assert (left.inner_text(), right.inner_text()) == ('A', 'B')
    canvas = report.page.locator('#canvas').bounding_box()
    middle = canvas['x'] + canvas['width'] / 2
    assert left.bounding_box()['x'] < middle < right.bounding_box()['x']
