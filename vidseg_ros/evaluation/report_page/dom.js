// Copyright 2026 The vidseg_ros developers
// SPDX-License-Identifier: Apache-2.0
// Elements out of text that is never read as HTML.

export const byId = (id) => document.getElementById(id);

/** Makes an element; children are elements or text. */
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** Makes a patch of the colour of a class, which `colorSwatches` sets. */
export function swatch(id) {
  const made = element('span', { className: 'swatch' });
  made.style.background = `var(--class-${id})`;
  return made;
}

/** Sets the colours of all classes: the report's, or the model's own. */
export function colorSwatches(classes, own) {
  classes.forEach((item, id) => {
    const color = own ? item.own : item.color;
    document.documentElement.style.setProperty(`--class-${id}`, `rgb(${color.join(' ')})`);
  });
}

export function fillTable(table, head, rows) {
  const header = element('tr', {}, ...head.map((text) => element('th', { scope: 'col' }, text)));
  table.replaceChildren(element('thead', {}, header), element('tbody', {}, ...rows));
}

export function tableRow(cells) {
  const made = cells.map((cell) => (cell instanceof Node ? cell : element('td', {}, cell)));
  return element('tr', {}, ...made);
}
