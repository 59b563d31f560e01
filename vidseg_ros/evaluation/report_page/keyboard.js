// Copyright 2026 The vidseg_ros developers
// SPDX-License-Identifier: Apache-2.0
// The player's keys: they work wherever the focus is, but where an element has its own use of them.

import { byId } from 'vidseg/dom';

const OWN_KEYS = 'input, select, textarea, .scroll';
const OWN_SPACE = 'button, a, summary';

function belongsToElement({ key, target }) {
  if (key === ' ' && target.matches('input[type=range]')) return false; // it has no use of it
  return target.matches(OWN_KEYS) || (key === ' ' && target.matches(OWN_SPACE));
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
