// Copyright 2026 The vidseg_ros developers
// SPDX-License-Identifier: Apache-2.0
// The worst moments as thumbnails that take the player there.

import { byId, element } from 'vidseg/dom';
import { clockText } from 'vidseg/numbers';

function thumbnail(report, moment, onClick) {
  const source = report.sources.find(({ key }) => key === moment.source);
  const title = `${moment.text}, ${clockText(moment.t)}`;
  const many = report.sources.length > 1;
  const button = element('button', { type: 'button', title: `${source.key}: ${title}` },
    element('img', { src: moment.thumbnail, alt: '', decoding: 'async' }),
    element('span', { className: 'number' }, title),
    ...(many ? [element('span', { className: 'muted' }, source.key)] : []));
  button.addEventListener('click', () => onClick(moment));
  return button;
}

export function showWorst(report, onClick) {
  const rows = report.worst.map(({ title, moments }) => element('div', {},
    element('h3', {}, title),
    element('div', { className: 'moments' },
      ...moments.map((moment) => thumbnail(report, moment, onClick)))));
  byId('worst').replaceChildren(...rows);
  byId('worst').closest('section').hidden = !rows.length;
}
