// Copyright 2026 The vidseg_ros developers
// SPDX-License-Identifier: Apache-2.0
// The player's keys: they work wherever the focus is, but where an element has its own use of them.

import { byId } from 'vidseg/dom';

const OWN_SPACE = 'button, a, summary, select, textarea, input:not([type=range])';
const OWN_MOVES = 'select, textarea, input:not([type=checkbox])';

function belongsToElement({ key, target }) {
  if (key === ' ') return target.matches(OWN_SPACE);
  const scrolls = target.matches('.scroll') && target.scrollWidth > target.clientWidth;
  return scrolls || target.matches(OWN_MOVES);
}

/** Connects the keys; toggle plays or pauses. */
export function addKeys(player, toggle) {
  const keys = {
    ' ': () => toggle(),
    ArrowLeft: (event) => (event.shiftKey ? player.skip(-1) : player.step(-1)),
    ArrowRight: (event) => (event.shiftKey ? player.skip(1) : player.step(1)),
    Home: () => player.step(-Infinity),
    End: () => player.step(Infinity),
  };
  document.addEventListener('keydown', (event) => {
    const action = event.ctrlKey || event.altKey || event.metaKey ? null : keys[event.key];
    if (!action || byId('stage').hidden || belongsToElement(event)) return;
    event.preventDefault();
    action(event);
  });
}
