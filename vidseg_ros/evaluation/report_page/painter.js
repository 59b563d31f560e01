// Copyright 2026 The vidseg_ros developers
// SPDX-License-Identifier: Apache-2.0
// Paints a picture with label maps over it: whose, which classes, how opaque.

const WIPE_LINE = 2;

/** Returns the colour of every id as RGBA in memory order; alpha 0 where nothing is painted. */
function palette(classes, hidden, opacity) {
  const table = new Uint8ClampedArray(256 * 4);
  classes.forEach(({ color }, id) => {
    table.set([...color, hidden.has(id) ? 0 : Math.round(opacity * 255)], id * 4);
  });
  return new Uint32Array(table.buffer);
}

export class Painter {
  constructor(canvas, classes) {
    this.canvas = canvas;
    this.classes = classes;
    this.view = 'a'; // a, b, wipe or differ
    this.opacity = 0.5;
    this.wipe = 0.5;
    this.hidden = new Set();
  }

  resize(width, height) {
    [this.canvas.width, this.canvas.height] = [width, height];
    this.context = this.canvas.getContext('2d');
    this.layer = new OffscreenCanvas(width, height).getContext('2d');
    this.tint = new ImageData(width, height);
  }

  /** Paints a picture and, once there are any, its label maps. */
  paint(picture, mask) {
    const { width, height } = this.canvas;
    this.context.drawImage(picture, 0, 0, width, height);
    if (!mask) return;
    this.fill(mask, width);
    this.layer.putImageData(this.tint, 0, 0);
    this.context.drawImage(this.layer.canvas, 0, 0);
    if (this.view === 'wipe') {
      this.context.fillStyle = '#fff';
      this.context.fillRect(this.wipe * width - WIPE_LINE / 2, 0, WIPE_LINE, height);
    }
  }

  fill(mask, width) {
    const colors = palette(this.classes, this.hidden, this.opacity);
    const pixels = new Uint32Array(this.tint.data.buffer);
    const border = Math.round(this.wipe * width);
    for (let at = 0; at < pixels.length; at += 1) {
      const a = mask[at * 4];
      const b = mask[at * 4 + 1];
      if (this.view === 'a') pixels[at] = colors[a];
      else if (this.view === 'b') pixels[at] = colors[b];
      else if (this.view === 'wipe') pixels[at] = colors[at % width < border ? a : b];
      else pixels[at] = a === b ? 0 : colors[b];
    }
  }
}
