// Copyright 2026 The vidseg_ros developers
// SPDX-License-Identifier: Apache-2.0
// Key numbers, summary, sources and models.

import { byId, element, fillTable, swatch, tableRow } from 'vidseg/dom';
import { MEASURES, signed, valueOf, written } from 'vidseg/numbers';

const TILES = ['miou', 'tc', 'tc_fast', 'flips_per_s', 'confidence_mean', 'p50'];

/** Returns the cell of model B against model A. */
function difference(a, b, { format, better }) {
  const cell = element('td');
  if (a === null || b === null) {
    cell.textContent = '–';
    return cell;
  }
  const same = format(a) === format(b) || format(Math.abs(b - a)) === format(0);
  const change = same ? 0 : b - a;
  const quality = better * Math.sign(change);
  cell.className = { 1: 'better', '-1': 'worse' }[quality] ?? '';
  const mark = { 1: ' ▲ better', '-1': ' ▼ worse' }[quality] ?? '';
  cell.textContent = signed(change, format) + mark;
  return cell;
}

function showTiles({ overall, models }) {
  const tiles = MEASURES.filter((measure) => TILES.includes(measure.key)).flatMap((measure) => {
    const values = models.map(({ key }) => valueOf(overall[key], measure));
    if (values.every((value) => value === null)) return [];
    const [first, second] = values.map((value) => written(value, measure.format));
    const tile = element('div', { className: 'tile', title: measure.meaning },
      element('span', { className: 'muted' }, `${measure.name}, ${measure.unit}`),
      element('b', { className: 'number' }, first));
    if (second !== undefined) tile.append(element('small', { className: 'muted' }, `B: ${second}`));
    return [tile];
  });
  byId('tiles').replaceChildren(...tiles);
}

function showSummary({ overall, models }) {
  const both = models.length > 1;
  const head = ['Measure', ...models.map(({ label }) => label), ...(both ? ['B against A'] : [])];
  const rows = MEASURES.flatMap((measure) => {
    const values = models.map(({ key }) => valueOf(overall[key], measure));
    if (values.every((value) => value === null)) return [];
    const cells = [
      element('td', { title: measure.meaning }, `${measure.name}, ${measure.unit}`),
      ...values.map((value) => written(value, measure.format)),
    ];
    if (both) cells.push(difference(values[0], values[1], measure));
    return [tableRow(cells)];
  });
  fillTable(byId('summary'), head, rows);
}

function showClasses({ overall, models, classes }) {
  const lists = [['iou', 'IoU'], ['tc_per_class', 'TC'], ['tc_per_class_fast', 'TC, fast flow'],
    ['vc8_per_class', 'VC8'], ['class_share', 'Share']];
  const columns = lists.flatMap(([list, name]) => models
    .filter(({ key }) => overall[key]?.[list]?.some((value) => value !== null))
    .map(({ key }) => [list, key, `${name} ${key.toUpperCase()}, %`]));
  const lacking = Object.fromEntries(models.map(({ key, lacks }) => [key, new Set(lacks)]));
  const rows = classes.map(({ name }, id) => tableRow([
    element('td', {}, swatch(id), ' ', name),
    ...columns.map(([list, key]) => (
      written(overall[key][list][id], (value) => (value * 100).toFixed(1))
        + (list === 'iou' && lacking[key].has(name) ? ' (no such class)' : ''))),
  ]));
  fillTable(byId('class-table'), ['Class', ...columns.map(([, , title]) => title)], rows);
}

function showSources({ sources, models }) {
  const measures = MEASURES.filter((measure) => ['miou', 'tc', 'tc_fast', 'flips_per_s', 'p95']
    .includes(measure.key) && sources.some((source) => models.some(
      ({ key }) => valueOf(source.models[key], measure) !== null)));
  const titles = measures.flatMap(({ name, unit }) => (
    models.map(({ key }) => `${name} ${key.toUpperCase()}, ${unit}`)));
  const head = ['Source', 'Frames', 'Labelled', 'Dropped', 'Unreadable', ...titles];
  const rows = sources.flatMap((source) => [
    tableRow([
      element('td', { title: placeOf(source) }, source.key),
      written(source.frames, String),
      written(source.labelled, String),
      written(source.dropped, String),
      written(source.unreadable, String),
      ...measures.flatMap((measure) => models.map(
        ({ key }) => written(valueOf(source.models[key], measure), measure.format))),
    ]),
    ...source.problems.map((problem) => tableRow([
      element('td', { className: 'problem', colSpan: head.length }, element('span', {}, problem)),
    ])),
  ]);
  fillTable(byId('sources'), head, rows);
}

function placeOf({ path, topic }) {
  return topic ? `${path} ${topic}` : path;
}

function showLacking({ models }) {
  const lines = models.filter(({ lacks }) => lacks.length).map(({ label, lacks }) => (
    element('li', {}, `${label} has no class ${lacks.join(', ')}: where the labels have it, `
      + 'its IoU counts as 0.')));
  byId('lacking').replaceChildren(...lines);
}

/** Says that there is nothing to show, if that is so. */
export function showNothing({ overall, models, sources }) {
  const [time] = MEASURES.filter(({ key }) => key === 'p50');
  const nothing = models.every(({ key }) => valueOf(overall[key], time) === null);
  byId('nothing').hidden = !nothing;
  if (!nothing) return false;
  document.querySelectorAll('.scores').forEach((section) => { section.hidden = true; });
  byId('reasons').append(...sources.map((source) => element('li', {},
    `${source.key} (${placeOf(source)}), ${source.frames} frames: `
      + (source.problems.join('; ') || 'no problem was noticed'))));
  return true;
}

function showModels({ models }) {
  const lists = models.map(({ label, facts }) => element('div', {}, element('h3', {}, label),
    element('dl', {}, ...facts.flatMap(([name, value]) => (
      [element('dt', {}, name), element('dd', {}, value)])))));
  byId('models').replaceChildren(...lists);
}

export function showTables(report) {
  showTiles(report);
  showSummary(report);
  showClasses(report);
  showLacking(report);
  showSources(report);
  showModels(report);
}
