// Copyright 2026 The vidseg_ros developers
// SPDX-License-Identifier: Apache-2.0
// The player's controls, for mouse, touch and keyboard.

import { byId, colorSwatches, element, swatch } from 'vidseg/dom';
import { addKeys } from 'vidseg/keyboard';
import { clockText } from 'vidseg/numbers';

const VIEWS = [['a', 'A'], ['b', 'B'], ['wipe', 'A | B wipe'], ['differ', 'B where it differs']];

/** Shows where the player is and the numbers of that frame. */
export function showFrame(report, player, frame, number, count) {
  byId('position').max = count - 1;
  byId('position').value = number;
  byId('position').setAttribute('aria-valuetext', `${frame.t.toFixed(2)} seconds`);
  byId('clock').textContent = `${clockText(frame.t)}  frame ${number + 1} of ${count}`;
  byId('play').textContent = player.playing ? 'Pause' : 'Play';
  byId('play').setAttribute('aria-pressed', String(player.playing));
  byId('frame-numbers').textContent = report.models.map(({ key }) => (
    frameText(key, frame.part.numbers[key], frame.at))).join('\n');
}

function frameText(key, numbers, at) {
  if (!numbers) return '';
  const value = (name, factor) => {
    const number = numbers[name]?.[at] ?? null;
    return number === null ? '–' : (number * factor).toFixed(1);
  };
  const [tc, flips] = 'tc' in numbers ? ['tc', 'flips'] : ['tc_fast', 'flips_fast'];
  return `${key.toUpperCase()}: TC ${value(tc, 100)} %, flips ${value(flips, 100)} %, `
    + `confidence ${value('confidence', 100)} %, inference ${value('inference_ms', 1)} ms`;
}

function addViews(report, player, painter) {
  const both = report.models.length > 1;
  const radios = (both ? VIEWS : VIEWS.slice(0, 1)).map(([view, text]) => {
    const model = report.models.find(({ key }) => key === view);
    const radio = element('input', { type: 'radio', name: 'view', value: view, checked: view === 'a' });
    radio.addEventListener('change', () => {
      painter.view = view;
      byId('wipe-row').hidden = view !== 'wipe';
      byId('wipe-tags').hidden = view !== 'wipe';
      player.repaint();
    });
    return element('label', {}, radio, ` ${model?.label ?? text}`);
  });
  byId('view').append(...radios);
  byId('wipe-row').hidden = true;
}

function addClasses(report, player, painter) {
  const boxes = report.classes.map((_, id) => {
    const box = element('input', { type: 'checkbox', checked: true });
    box.addEventListener('change', () => {
      if (box.checked) painter.hidden.delete(id);
      else painter.hidden.add(id);
      player.repaint();
    });
    return box;
  });
  byId('classes').append(...report.classes.map(({ name }, id) => (
    element('label', {}, boxes[id], swatch(id), name))));
  for (const [button, shown] of [['all', true], ['none', false]]) {
    byId(button).addEventListener('click', () => {
      boxes.forEach((box) => { box.checked = shown; });
      painter.hidden = new Set(shown ? [] : report.classes.keys());
      player.repaint();
    });
  }
}

function addLook(report, player, painter) {
  byId('outlines').addEventListener('change', (event) => {
    painter.outlines = event.target.checked;
    player.repaint();
  });
  byId('own-colors').addEventListener('change', (event) => {
    painter.own = event.target.checked;
    colorSwatches(report.classes, painter.own);
    player.repaint();
  });
  byId('own-row').hidden = report.classes.every(({ color, own }) => `${color}` === `${own}`);
}

function addWipe(player, painter) {
  const moveTo = (share) => {
    painter.wipe = Math.min(1, Math.max(0, share));
    byId('wipe').value = Math.round(painter.wipe * 100);
    player.repaint();
  };
  byId('wipe').addEventListener('input', (event) => moveTo(event.target.value / 100));
  const canvas = byId('canvas');
  const drag = (event) => {
    if (painter.view !== 'wipe' || !(event.buttons & 1)) return;
    canvas.setPointerCapture(event.pointerId);
    const box = canvas.getBoundingClientRect();
    moveTo((event.clientX - box.left) / box.width);
  };
  canvas.addEventListener('pointerdown', drag);
  canvas.addEventListener('pointermove', drag);
}

function toggle(player) {
  if (!player.playing) return player.play();
  player.pause();
  return player.step(0);
}

export function wireControls(report, player, painter) {
  addViews(report, player, painter);
  addClasses(report, player, painter);
  addLook(report, player, painter);
  addWipe(player, painter);
  addKeys(player, () => toggle(player));
  byId('play').addEventListener('click', () => toggle(player));
  byId('back').addEventListener('click', () => player.step(-1));
  byId('forward').addEventListener('click', () => player.step(1));
  byId('position').addEventListener('input', (event) => {
    player.pause();
    player.seek(Number(event.target.value));
  });
  byId('speed').addEventListener('change', (event) => {
    byId('video').playbackRate = Number(event.target.value);
  });
  byId('opacity').addEventListener('input', (event) => {
    painter.opacity = event.target.value / 100;
    player.repaint();
  });
}
