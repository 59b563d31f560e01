// Copyright 2026 The vidseg_ros developers
// SPDX-License-Identifier: Apache-2.0
// Names the class below the pointer.

import { byId } from 'vidseg/dom';

/** Watches the pointer; returns what is to be called when another frame is shown. */
export function nameBelowPointer({ classes, models }, player) {
  const canvas = byId('canvas');
  const label = byId('below-pointer');
  let at = null;

  const update = () => {
    label.hidden = !at || !player.mask;
    if (label.hidden) return;
    const box = canvas.getBoundingClientRect();
    const [x, y] = [(at.x - box.left) / box.width, (at.y - box.top) / box.height];
    const column = Math.min(canvas.width - 1, Math.max(0, Math.floor(x * canvas.width)));
    const row = Math.min(canvas.height - 1, Math.max(0, Math.floor(y * canvas.height)));
    const pixel = 4 * (row * canvas.width + column);
    const names = models.map((_, model) => classes[player.mask[pixel + model]]?.name ?? 'no class');
    label.textContent = names.every((name) => name === names[0]) ? names[0]
      : names.map((name, model) => `${models[model].key.toUpperCase()}: ${name}`).join(', ');
    label.style.left = `${100 * x}%`;
    label.style.top = `${100 * y}%`;
    label.classList.toggle('leftwards', x > 0.5);
  };

  canvas.addEventListener('pointermove', (event) => {
    at = { x: event.clientX, y: event.clientY };
    update();
  });
  canvas.addEventListener('pointerleave', () => {
    at = null;
    update();
  });
  return update;
}
