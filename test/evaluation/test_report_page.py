# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The report in a browser: every control does what it says, on the right frame."""

from collections.abc import Callable
from contextlib import closing
import json
from pathlib import Path
import re
from typing import Any

import pytest

from vidseg_ros.evaluation.report import write_report
from vidseg_ros.evaluation.report_colors import REPORT_COLORS

sync_api = pytest.importorskip('playwright.sync_api', reason='playwright is not installed')

EvaluationFolder = Callable[..., Path]
RED, GREEN, BLUE = ((*color, 255) for color in REPORT_COLORS[:3])  # what these classes get
NONE = '\u2013'  # what the page writes for what is not defined


def test_every_frame_has_its_own_label_map(opened: Callable[..., Any]) -> None:
    report = opened()
    report.slide('opacity', 100)
    for at in (0, 1, 5, 19, 12, 3):
        report.slide('position', at)
        report.expect_frame(at + 1)
        assert report.pixel() == (RED, GREEN, BLUE)[at % 3]
    report.slide('opacity', 0)
    for at in (18, 4, 5):
        report.slide('position', at)
        report.expect_frame(at + 1)
        red, green, blue, _ = report.pixel()
        assert abs(red - 10 * at) <= 4
        assert max(red, green, blue) - min(red, green, blue) <= 3


def test_opacity_mixes(opened: Callable[..., Any]) -> None:
    report = opened()
    report.slide('position', 10)
    report.expect_frame(11)
    for found, mask in zip(report.pixel()[:3], GREEN[:3], strict=True):
        assert abs(found - (100 + mask) / 2) <= 4, 'grey 100 under the mask, half and half'


def test_class_toggles(opened: Callable[..., Any]) -> None:
    report = opened()
    report.slide('opacity', 100)
    report.page.get_by_label('red', exact=True).uncheck()
    assert max(report.pixel()[:3]) < 8, 'frame 0 is black below its red label map'
    report.page.get_by_role('button', name='All').click()
    assert report.pixel() == RED
    assert report.page.get_by_label('red', exact=True).is_checked()
    report.page.get_by_role('button', name='None').click()
    assert max(report.pixel()[:3]) < 8
    assert not report.page.get_by_label('blue', exact=True).is_checked()


def test_views_of_two_models(opened: Callable[..., Any]) -> None:
    report = opened()
    report.slide('opacity', 100)
    sync_api.expect(report.page.locator('#wipe')).to_be_hidden()
    report.page.get_by_role('radio', name='B: net-b').check()
    assert report.pixel() == BLUE
    report.page.get_by_role('radio', name='A | B wipe').check()
    assert (report.pixel(20), report.pixel(44)) == (RED, BLUE)
    report.slide('wipe', 10)
    assert report.pixel(20) == BLUE
    box = report.page.locator('#canvas').bounding_box()
    assert box is not None
    middle = box['y'] + box['height'] / 2
    report.page.mouse.move(box['x'] + box['width'] * 0.2, middle)
    report.page.mouse.down()
    report.page.mouse.move(box['x'] + box['width'] * 0.8, middle)
    report.page.mouse.up()
    assert (report.pixel(44), report.pixel(60)) == (RED, BLUE)
    report.page.get_by_role('radio', name='B where it differs').check()
    assert report.pixel() == BLUE
    report.slide('position', 2)
    report.expect_frame(3)
    assert report.pixel()[:3] != BLUE[:3], 'both models say blue here'


def test_the_class_below_the_pointer_is_named(opened: Callable[..., Any]) -> None:
    report = opened()
    name = report.page.locator('#below-pointer')
    sync_api.expect(name).to_be_hidden()
    report.page.locator('#canvas').hover()
    sync_api.expect(name).to_have_text('A: red, B: blue')
    report.page.keyboard.press('ArrowRight')
    sync_api.expect(name).to_have_text('A: green, B: blue')
    report.page.keyboard.press('ArrowRight')
    sync_api.expect(name).to_have_text('blue')
    report.page.mouse.move(0, 0)
    sync_api.expect(name).to_be_hidden()


@pytest.mark.parametrize('width', [1280, 390])
def test_nothing_is_cut_off(opened: Callable[..., Any], width: int) -> None:
    paths = {f'a_drive_with_a_long_name_{at}': f'/bags/{at}.mcap' for at in range(2)}
    report = opened(sources=paths, classes=('red', 'green', 'a class with a long name'))
    report.page.set_viewport_size({'width': width, 'height': 844})
    html = report.page.locator('html')  # Plotly follows a change of the width after a moment
    sync_api.expect(html).to_have_js_property('scrollWidth', width)
    report.page.locator('summary').click()
    for name in ('summary', 'class-table', 'sources'):
        last = report.page.locator(f'#{name} thead th').last
        last.evaluate('e => { e.closest(".scroll").scrollLeft = 1e6; }')
        area = report.page.locator('.scroll', has=report.page.locator(f'#{name}'))
        assert area.evaluate('e => getComputedStyle(e).overflowX') == 'auto', name
        cell, frame = last.bounding_box(), area.bounding_box()
        assert frame['x'] <= cell['x'] + 1, name
        assert cell['x'] + cell['width'] <= frame['x'] + frame['width'] + 1, name
    for name in ('class-chart', 'confusion-chart', 'time-chart'):
        frame = report.page.locator(f'#{name} .main-svg').first.bounding_box()
        ticks = report.page.locator(f'#{name} :is(.xtick, .ytick) text').all()
        assert ticks, name
        for box in (tick.bounding_box() for tick in ticks):
            assert frame['x'] <= box['x'] + 1, name
            assert box['x'] + box['width'] <= frame['x'] + frame['width'] + 1, name
            assert box['y'] + box['height'] <= frame['y'] + frame['height'] + 1, name
    first = report.page.locator('#sources tbody td').first
    assert first.evaluate('e => e.offsetHeight') < 40, 'names are on one line'


def test_a_report_without_frames_says_so(
    browser: Any, evaluation_folder: EvaluationFolder
) -> None:
    out = evaluation_folder()
    results = json.loads((out / 'results.json').read_text())
    source = results['sources'][0] | {'models': {}, 'frames': 0, 'problems': ['no such file']}
    (out / 'results.json').write_text(json.dumps(results | {'overall': {}, 'sources': [source]}))
    complaints: list[str] = []
    with closing(browser.new_context()) as context:
        page = context.new_page()
        page.on('pageerror', lambda error: complaints.append(str(error)))
        page.goto(write_report(out).as_uri())
        nothing = page.locator('#nothing')
        sync_api.expect(nothing).to_contain_text('No frame was evaluated')
        assert 'drive (/bags/drive.mcap), 0 frames: no such file' in nothing.inner_text()
        assert page.locator('main > section:visible').count() == 2, 'this, and the models'
        page.keyboard.press('ArrowRight')
        assert complaints == []


def test_classes_that_a_model_lacks_are_named(opened: Callable[..., Any]) -> None:
    report = opened(lacks=['blue'])
    (line,) = report.page.locator('#lacking li').all_inner_texts()
    assert line.startswith(
        'B: net-b (b.onnx) has no class blue: where the labels have it, its IoU'
    )
    rows = report.page.locator('#class-table tbody tr').all_text_contents()
    assert [row.count('(no such class)') for row in rows] == [0, 0, 1]


def test_an_undefined_score_does_not_look_like_zero(opened: Callable[..., Any]) -> None:
    report = opened(models='a')
    report.page.locator('#class-chart').scroll_into_view_if_needed()
    bars = report.page.locator('#class-chart .bartext')
    assert bars.all_text_contents() == ['40.0', '60.0', NONE, '0.0', '80.0', NONE]


def test_playing_goes_on_to_the_end(opened: Callable[..., Any]) -> None:
    report = opened()
    report.slide('opacity', 100)
    report.page.locator('#speed').select_option('4')
    report.page.locator('#screen').focus()
    report.page.keyboard.press('Space')
    report.expect_frame(20)
    sync_api.expect(report.page.locator('#play')).to_have_text('Play')
    assert report.pixel() == GREEN


def test_playing_starts_anew_at_the_end(opened: Callable[..., Any]) -> None:
    report = opened()
    report.page.keyboard.press('End')
    report.expect_frame(20)
    seen = report.page.evaluate_handle("""() => {
        const seen = [];
        const clock = document.getElementById('clock');
        new MutationObserver(() => seen.push(clock.textContent))
            .observe(clock, { childList: true });
        return seen;
    }""")
    report.page.keyboard.press('Space')
    report.page.wait_for_function(
        'seen => seen.some((text) => text.includes("frame 2 "))', arg=seen
    )
    report.expect_frame(20)
    sync_api.expect(report.page.locator('#play')).to_have_text('Play')


def test_playing_goes_on_into_the_next_part(
    opened: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('vidseg_ros.evaluation.clip.PART_MS', 1000)
    report = opened()
    report.slide('position', 15)
    report.expect_frame(16)
    report.page.keyboard.press('Home')
    report.page.locator('#position').fill('8')
    report.expect_frame(9)
    report.page.get_by_role('button', name='Play', exact=True).click()
    report.expect_frame(20)


def test_worst_moments_jump(opened: Callable[..., Any]) -> None:
    report = opened()
    report.page.get_by_role('button', name=re.compile('TC 10.0 %')).first.click()
    report.expect_frame(8)
    assert report.page.evaluate('document.activeElement.id') == 'screen'
    first, second, *_ = report.page.locator('#worst > div').all()
    assert first.evaluate('e => e.offsetTop') == second.evaluate('e => e.offsetTop'), 'one line'


def test_worst_moments_jump_past_a_restart_of_the_clock(opened: Callable[..., Any]) -> None:
    report = opened(worst=17, lap=10)
    report.page.get_by_role('button', name=re.compile('TC 10.0 %')).first.click()
    report.expect_frame(18)


def test_the_numbers_are_those_of_the_frame(
    opened: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('vidseg_ros.evaluation.report._MOST_POINTS', 5)
    monkeypatch.setattr('vidseg_ros.evaluation.report._LEAST_POINTS', 5)
    report = opened(models='a')  # the charts' first stretch is frames 0 to 3: at most 13 ms
    numbers = report.page.locator('#frame-numbers')
    for at in (0, 2, 7):
        report.slide('position', at)
        report.expect_frame(at + 1)
        tc = '10.0' if at == 7 else '90.0'
        text = f'A: TC {tc} %, flips 1.0 %, confidence 80.0 %, inference {10 + at}.0 ms'
        sync_api.expect(numbers).to_have_text(text)


def test_charts_come_without_a_video_that_plays(
    browser: Any, evaluation_folder: EvaluationFolder
) -> None:
    path = write_report(evaluation_folder())
    broken = re.sub(r'(id="clip0-0000-video"><!--)[^-]*', r'\1bm8gdmlkZW8=', path.read_text())
    path.write_text(broken)
    with closing(browser.new_context()) as context:
        page = context.new_page()
        page.goto(path.as_uri())
        sync_api.expect(page.locator('#class-chart .bars').first).to_be_visible()
        assert page.locator('#clock').inner_text() == ''


def test_a_click_on_a_chart_jumps(opened: Callable[..., Any]) -> None:
    report = opened()
    plot = report.page.locator('#time-chart .nsewdrag').first
    box = plot.bounding_box()
    assert box is not None
    plot.hover(position={'x': box['width'] / 4, 'y': box['height'] / 2})  # 0.475 s of 1.9 s
    sync_api.expect(report.page.locator('#time-chart .hovertext').first).to_be_visible()
    report.page.mouse.down()
    report.page.mouse.up()
    report.expect_frame(6)


def test_sources_are_chosen_by_name(opened: Callable[..., Any]) -> None:
    evil = '/bags/</script><script>alert(1)</script><img src=x onerror=alert(2)>.mcap'
    report = opened(sources={'one': '/bags/one.mcap', 'two': evil})
    report.slide('position', 5)
    report.expect_frame(6)
    report.page.locator('#source').select_option(label='two')
    report.expect_frame(1)
    sync_api.expect(report.page.get_by_role('cell', name='two')).to_have_attribute('title', evil)


def test_tables(opened: Callable[..., Any]) -> None:
    report = opened()
    rows = report.page.locator('#summary tbody tr').all_inner_texts()
    tile = report.page.locator('#tiles .tile', has_text='TC, %')
    sync_api.expect(tile).to_have_attribute('title', re.compile('above .*of all single sources'))
    assert 'mIoU, %\t50.0\t60.0\t+10.0 ▲ better' in rows
    assert 'Flips, 1/s\t0.300\t0.300\t+0.000' in rows
    assert 'breaks off' in report.page.locator('#sources').inner_text()
    hatched = report.page.locator('#class-chart pattern rect').first
    assert hatched.evaluate('e => getComputedStyle(e).fill') == 'rgb(181, 93, 0)', 'model B'


def test_numbers_of_the_confusion_matrix_are_legible(opened: Callable[..., Any]) -> None:
    report = opened()
    texts = report.page.locator('#confusion-chart .textpoint text')
    cells = texts.evaluate_all('all => all.map((e) => [e.textContent, getComputedStyle(e).fill])')
    white, black = 'rgb(255, 255, 255)', 'rgb(0, 0, 0)'
    assert cells == [
        *(['25', white], ['0', white], ['0', white], ['0', white]),
        *(['75', black], ['100', black]),
    ]
    title = report.page.locator('#confusion-chart .ytitle').bounding_box()
    label = report.page.locator('#confusion-chart .ytick').first.bounding_box()
    assert title is not None
    assert label is not None
    assert title['x'] + title['width'] <= label['x'], 'the axis and its labels do not overlap'


def test_one_model_has_no_wipe(opened: Callable[..., Any]) -> None:
    report = opened(models='a')
    assert report.page.locator('input[name=view]').count() == 1
    assert report.page.locator('#summary thead th').count() == 2


def test_both_themes(opened: Callable[..., Any]) -> None:
    report = opened()

    def paper() -> str:
        return str(report.page.evaluate('getComputedStyle(document.body).backgroundColor'))

    light = paper()
    report.page.emulate_media(color_scheme='dark')
    chart = report.page.locator('#class-chart .main-svg').first
    sync_api.expect(chart).to_have_css('background-color', 'rgb(25, 33, 42)')
    assert paper() == 'rgb(16, 21, 27)'
    report.page.locator('#theme').click()
    assert paper() == light
    sync_api.expect(chart).to_have_css('background-color', 'rgb(255, 255, 255)')
