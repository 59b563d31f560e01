// Copyright 2026 The vidseg_ros developers
// SPDX-License-Identifier: Apache-2.0
// Names the class below the pointer.

import { byId, swatch } from 'vidseg/dom';

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
    const ids = models.map((_, model) => player.mask[pixel + model]);
    const name = (id) => (classes[id] ? [swatch(id), classes[id].name] : ['no class']);
    label.replaceChildren(...(ids.every((id) => id === ids[0]) ? name(ids[0])
      : ids.flatMap((id, model) => (
        [`${model ? ', ' : ''}${models[model].key.toUpperCase()}: `, ...name(id)]))));
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
