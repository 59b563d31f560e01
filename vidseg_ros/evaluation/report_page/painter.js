// Copyright 2026 The vidseg_ros developers
// SPDX-License-Identifier: Apache-2.0
// Paints a picture with label maps over it: whose, which classes, how opaque.

const WIPE_LINE = 2;
const NOTHING = 255; // no class has this id

/** Returns the colour of every id as RGBA in memory order; alpha 0 where nothing is painted. */
function palette(classes, own, hidden, opacity) {
  const table = new Uint8ClampedArray(256 * 4);
  classes.forEach((item, id) => {
    const color = own ? item.own : item.color;
    if (!hidden.has(id)) table.set([...color, Math.round(opacity * 255)], id * 4);
  });
  return new Uint32Array(table.buffer);
}

const black = (opacity) => (
  new Uint32Array(new Uint8ClampedArray([0, 0, 0, Math.round(opacity * 255)]).buffer)[0]);

export class Painter {
  constructor(canvas, classes) {
    this.canvas = canvas;
    this.classes = classes;
    this.view = 'a'; // a, b, wipe or differ
    this.opacity = 0.5;
    this.wipe = 0.5;
    this.hidden = new Set();
    this.outlines = true;
    this.own = false; // the model's colours
  }

  resize(width, height) {
    [this.canvas.width, this.canvas.height] = [width, height];
    this.context = this.canvas.getContext('2d');
    this.layer = new OffscreenCanvas(width, height).getContext('2d');
    this.tint = new ImageData(width, height);
    this.ids = new Uint8Array(width * height);
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

  /** Tints every pixel by its class, and outlines the classes. */
  fill(mask, width) {
    const { ids } = this;
    this.choose(mask, width);
    const colors = palette(this.classes, this.own, this.hidden, this.opacity);
    const line = black(this.opacity);
    const pixels = new Uint32Array(this.tint.data.buffer);
    for (let at = 0; at < pixels.length; at += 1) pixels[at] = colors[ids[at]];
    if (!this.outlines) return;
    for (let at = 0; at < pixels.length - width; at += 1) {
      const border = ids[at] !== ids[at + width]
        || ((at + 1) % width !== 0 && ids[at] !== ids[at + 1]);
      if (border && pixels[at]) pixels[at] = line;
    }
  }

  /** Chooses whose class is shown, pixel by pixel. */
  choose(mask, width) {
    const { ids, view } = this;
    const border = Math.round(this.wipe * width);
    for (let at = 0; at < ids.length; at += 1) {
      const a = mask[at * 4];
      const b = mask[at * 4 + 1];
      if (view === 'a') ids[at] = a;
      else if (view === 'b') ids[at] = b;
      else if (view === 'wipe') ids[at] = at % width < border ? a : b;
      else ids[at] = a === b ? NOTHING : b;
    }
  }
}
