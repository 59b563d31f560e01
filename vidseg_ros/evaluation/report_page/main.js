// Copyright 2026 The vidseg_ros developers
// SPDX-License-Identifier: Apache-2.0
// Brings the parts of the page together.

import { drawClasses, drawConfusion, drawTime, loadPlotly, movePlayhead } from 'vidseg/charts';
import { byId, colorSwatches, element } from 'vidseg/dom';
import { showFrame, wireControls } from 'vidseg/controls';
import { nameBelowPointer } from 'vidseg/hover';
import { Painter } from 'vidseg/painter';
import { Player } from 'vidseg/player';
import { showNothing, showTables } from 'vidseg/tables';
import { startTheme } from 'vidseg/theme';
import { showWorst } from 'vidseg/worst';

const PLAYHEAD_MS = 200;

const report = JSON.parse(byId('report-data').textContent);
const painter = new Painter(byId('canvas'), report.classes);
const player = new Player(byId('video'), painter, onFrame);
const renamePointed = nameBelowPointer(report, player);
let source = null;
let playheadMoved = 0;
let charts = null;

function onFrame(frame, number, count) {
  renamePointed();
  showFrame(report, player, frame, number, count);
  if (player.playing && performance.now() - playheadMoved < PLAYHEAD_MS) return;
  playheadMoved = performance.now();
  if (window.Plotly) movePlayhead(frame.t);
  else startCharts();
}

function seekFrame(index) {
  if (!source.clip) return;
  player.pause();
  player.seek(player.clip.nearest(index));
}

/** Shows a source, at a position in it or from its start. */
async function openSource(key, index = null) {
  if (source?.key !== key) {
    source = report.sources.find((item) => item.key === key);
    byId('source').value = key;
    byId('clip-note').textContent = source.note;
    byId('time-section').hidden = !Object.keys(source.series).length;
    if (window.Plotly) drawTime(report, source, seekFrame);
    byId('stage').hidden = !source.clip;
    if (source.clip) await player.open(source, index);
    else player.pause();
  } else if (index !== null) {
    seekFrame(index);
  }
}

/** Starts Plotly, which takes all of the page's time for a second, once what is there is painted. */
function startCharts() {
  charts ??= nextPaint().then(loadPlotly).then(drawCharts);
}

/** Draws the charts from the top of the page down, each in a turn of its own. */
async function drawCharts() {
  if (!window.Plotly) return;
  if (source) drawTime(report, source, seekFrame);
  await nextTurn();
  drawClasses(report);
  await nextTurn();
  const labelled = report.models.filter(({ key }) => report.overall[key]?.confusion);
  byId('confusion-section').hidden = !labelled.length;
  if (labelled.length) drawConfusion(report, byId('confusion-model').value || labelled[0].key);
}

const nextPaint = () => new Promise((resolve) => {
  requestAnimationFrame(() => setTimeout(resolve));
});
const nextTurn = () => new Promise((resolve) => { setTimeout(resolve); });

function start() {
  byId('subtitle').textContent = report.subtitle;
  document.title = `vidseg: ${report.subtitle}`;
  colorSwatches(report.classes, false);
  showTables(report);
  startTheme(drawCharts);
  if (showNothing(report)) return;
  for (const { key, label } of report.models) {
    byId('confusion-model').append(element('option', { value: key }, label));
  }
  byId('confusion-model').addEventListener('change', drawCharts);
  const choices = report.sources.map(({ key }) => element('option', { value: key }, key));
  byId('source').append(...choices);
  byId('source').addEventListener('change', (event) => openSource(event.target.value));
  wireControls(report, player, painter);
  showWorst(report, (moment) => {
    byId('player').scrollIntoView({ block: 'start' });
    byId('screen').focus({ preventScroll: true });
    return openSource(moment.source, moment.index);
  });
  const first = report.sources.find(({ clip }) => clip) ?? report.sources[0];
  byId('video').addEventListener('error', startCharts);
  if (first) openSource(first.key);
  if (!first?.clip) startCharts();
}

start();
