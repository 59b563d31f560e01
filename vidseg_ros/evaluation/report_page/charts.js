// Copyright 2026 The vidseg_ros developers
// SPDX-License-Identifier: Apache-2.0
// The charts, drawn by Plotly: model A blue and solid, model B orange and dashed or hatched.

import { byId } from 'vidseg/dom';
import { fileBlob } from 'vidseg/file';
import { percent, written } from 'vidseg/numbers';

const library = fileBlob('plotly', 'text/javascript'); // read while the player opens
let plotly = null;

/** Starts Plotly; called once the rest is there, for it takes a while. */
export function loadPlotly() {
  plotly ??= library.then((blob) => new Promise((resolve) => {
    const script = Object.assign(document.createElement('script'), {
      src: URL.createObjectURL(blob), onload: resolve,
    });
    document.head.append(script);
  }));
  return plotly;
}

const OPTIONS = { responsive: true, displaylogo: false, displayModeBar: false };
const TIME_CHARTS = [
  ['tc', 'TC, %', 100], ['tc_fast', 'TC fast, %', 100], ['flips', 'Flips, %', 100],
  ['flips_fast', 'Flips fast, %', 100], ['miou', 'mIoU, %', 100],
  ['confidence', 'Confidence, %', 100], ['inference_ms', 'Inference, ms', 1],
];
const CLASS_CHARTS = [['iou', 'IoU, %'], ['tc_per_class', 'TC, %'],
  ['tc_per_class_fast', 'TC, fast flow, %']];
const ROW_PX = 150;

const variable = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Returns what all charts have in common, in the colours of the theme. */
function layout(more) {
  return {
    paper_bgcolor: variable('--card'),
    plot_bgcolor: variable('--card'),
    font: { color: variable('--ink'), family: 'system-ui, sans-serif', size: 12 },
    margin: { l: 60, r: 12, t: 26, b: 36 },
    legend: { orientation: 'h', x: 1, xanchor: 'right', y: 1, yanchor: 'bottom' },
    ...more,
  };
}

const axis = (more = {}) => ({
  gridcolor: variable('--line'), zerolinecolor: variable('--line'), automargin: true, ...more,
});

const line = (number) => (number === 0 ? { color: variable('--a'), width: 1.6 }
  : { color: variable('--b'), width: 1.6, dash: 'dot' });

/** Draws a source's numbers over time; onFrame is called with the position that was clicked. */
export function drawTime({ models }, source, onFrame) {
  const chart = byId('time-chart');
  const rows = TIME_CHARTS.filter(([key]) => models.some(
    (model) => source.series[model.key]?.[key]?.some((value) => value !== null)));
  const traces = rows.flatMap(([key, , factor], row) => models.flatMap((model, number) => {
    const series = source.series[model.key];
    return series ? [{
      x: series.t,
      customdata: series.index,
      y: series[key].map((value) => (value === null ? null : value * factor)),
      yaxis: `y${row + 1}`,
      name: model.label,
      legendgroup: model.key,
      showlegend: row === 0 && models.length > 1,
      mode: 'lines',
      line: line(number),
    }] : [];
  }));
  const axes = Object.fromEntries(rows.map(([, title], row) => {
    const top = 1 - row / rows.length;
    return [`yaxis${row + 1}`, axis({
      title: { text: title }, domain: [top - 0.86 / rows.length, top], zeroline: false,
    })];
  }));
  const anchor = `y${Math.max(rows.length, 1)}`;
  Plotly.react(chart, traces, layout({
    ...axes,
    xaxis: axis({ title: { text: 'time, s' }, anchor, zeroline: false }),
    height: 80 + ROW_PX * rows.length,
    hovermode: 'x',
    hoverdistance: -1, // the nearest frame, however far away
    shapes: [playhead(0)],
  }), OPTIONS);
  chart.removeAllListeners('plotly_click');
  chart.on('plotly_click', ({ points }) => onFrame(points[0].customdata));
}

const playhead = (time) => ({
  type: 'line', yref: 'paper', x0: time, x1: time, y0: 0, y1: 1,
  line: { color: variable('--focus'), width: 2 },
});

/** Moves the line that shows where the player is. */
export function movePlayhead(time) {
  Plotly.relayout(byId('time-chart'), { 'shapes[0].x0': time, 'shapes[0].x1': time });
}

export function drawClasses({ models, classes, overall }) {
  const charts = CLASS_CHARTS.filter(([key]) => models.some(
    (model) => overall[model.key]?.[key]?.some((value) => value !== null)));
  const names = classes.map(({ name }) => name);
  const traces = charts.flatMap(([key], column) => models.map((model, number) => ({
    type: 'bar',
    orientation: 'h',
    y: names,
    x: (overall[model.key]?.[key] ?? []).map((value) => (value ?? 0) * 100),
    text: (overall[model.key]?.[key] ?? []).map((value) => written(value, percent)),
    textposition: 'outside',
    cliponaxis: false,
    hovertemplate: '%{y}: %{text} %',
    xaxis: `x${column + 1}`,
    name: model.label,
    legendgroup: model.key,
    showlegend: column === 0 && models.length > 1,
    marker: {
      color: line(number).color,
      pattern: {
        shape: number === 0 ? '' : '/', fillmode: 'overlay', fgcolor: variable('--card'), size: 6,
      },
    },
  })));
  const axes = Object.fromEntries(charts.map(([, title], column) => {
    const left = column / charts.length;
    return [`xaxis${column + 1}`, axis({
      title: { text: title }, range: [0, 115], tickvals: [0, 25, 50, 75, 100], domain: [left, left + 0.92 / charts.length],
    })];
  }));
  byId('class-chart').style.minWidth = `${140 + 180 * charts.length}px`;
  Plotly.react(byId('class-chart'), traces, layout({
    ...axes,
    yaxis: axis({ autorange: 'reversed', ticklabelstandoff: 6 }),
    height: 90 + names.length * (models.length > 1 ? 34 : 24),
    bargap: 0.25,
  }), OPTIONS);
}

const CELL_PX = 34;
const DARK_BELOW = 46; // %, in Cividis: white and black are equally legible there

export function drawConfusion({ classes, overall }, key) {
  const counts = overall[key].confusion;
  const names = classes.map(({ name }) => name);
  const shares = counts.map((row) => {
    const total = row.reduce((sum, count) => sum + count, 0);
    return row.map((count) => (total ? (100 * count) / total : null));
  });
  const chart = byId('confusion-chart');
  chart.style.minWidth = `${170 + CELL_PX * names.length}px`;
  Plotly.react(chart, [{
    type: 'heatmap',
    x: names,
    y: names,
    z: shares,
    zmin: 0,
    zmax: 100,
    colorscale: 'Cividis',
    hovertemplate: 'true %{y}, predicted %{x}: %{z:.2f} %<extra></extra>',
    colorbar: { title: { text: '%' }, thickness: 12 },
  }, cellNumbers(names, shares, '#fff', (share) => share < DARK_BELOW),
  cellNumbers(names, shares, '#000', (share) => share >= DARK_BELOW)], layout({
    xaxis: axis({ side: 'top', title: { text: 'predicted', standoff: 10 }, dtick: 1 }),
    yaxis: axis({ autorange: 'reversed', title: { text: 'true', standoff: 10 }, dtick: 1 }),
    margin: { l: 60, r: 12, t: 60, b: 12 },
    height: 90 + 32 * names.length,
    showlegend: false,
  }), OPTIONS);
}

/** Returns the numbers of the cells that take a colour of text. */
function cellNumbers(names, shares, color, takes) {
  const cells = shares.flatMap((row, y) => row.flatMap((share, x) => (
    share !== null && takes(share) ? [{ x: names[x], y: names[y], share }] : [])));
  return {
    type: 'scatter',
    mode: 'text',
    x: cells.map(({ x }) => x),
    y: cells.map(({ y }) => y),
    text: cells.map(({ share }) => share.toFixed(0)),
    textfont: { color },
    hoverinfo: 'skip',
  };
}
