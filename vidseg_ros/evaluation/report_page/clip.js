// Copyright 2026 The vidseg_ros developers
// SPDX-License-Identifier: Apache-2.0
// A source's pictures and label maps: parts of a minute, decoded when they are looked at.

import { fileBlob } from 'vidseg/file';

const KEPT_MASKS = 60;
const KEPT_PARTS = 3;
const ROUNDING = 0.0015; // s: times are written in milliseconds

/** Keeps the results of the last calls. */
class Recent {
  constructor(limit, dropped = () => {}) {
    this.limit = limit;
    this.dropped = dropped;
    this.entries = new Map();
  }

  get(key, make) {
    const value = this.entries.get(key) ?? make();
    this.entries.delete(key);
    this.entries.set(key, value);
    if (this.entries.size > this.limit) {
      const [oldest] = this.entries.keys();
      this.dropped(this.entries.get(oldest));
      this.entries.delete(oldest);
    }
    return value;
  }

  clear() {
    this.entries.forEach((value) => this.dropped(value));
    this.entries.clear();
  }
}

/** The clip of one source; frames are numbered over the parts that the page carries. */
export class Clip {
  constructor(source) {
    this.width = source.clip.width;
    this.height = source.clip.height;
    this.frames = source.clip.parts.flatMap((part) => {
      let offset = 0;
      return part.times_ms.map((time, at) => {
        const start = offset;
        offset += part.mask_sizes[at];
        return {
          part, at, time: time / 1000, t: part.t[at], index: part.indices[at], start, end: offset,
        };
      });
    });
    const release = (media) => media.then(({ url }) => URL.revokeObjectURL(url));
    this.media = new Recent(KEPT_PARTS, release);
    this.masks = new Recent(KEPT_MASKS);
    this.reader = new OffscreenCanvas(this.width, this.height)
      .getContext('2d', { willReadFrequently: true });
  }

  /** Returns the number of the frame at a position in the source, or of the closest one. */
  nearest(index) {
    const far = (frame) => Math.abs(frame.index - index);
    let best = 0;
    this.frames.forEach((frame, at) => {
      if (far(frame) < far(this.frames[best])) best = at;
    });
    return best;
  }

  /** Returns the number of the first frame that is some seconds on, or back if they are negative. */
  secondsOn(number, seconds) {
    const step = Math.sign(seconds);
    const from = this.frames[number].t;
    const least = Math.abs(seconds) - ROUNDING;
    let at = number + step;
    while (this.frames[at] && Math.abs(this.frames[at].t - from) < least) at += step;
    return at;
  }

  /** Returns the number of the frame of a part that its video shows at a time, s. */
  shownAt(part, time) {
    let found = this.frames.findIndex((frame) => frame.part === part);
    for (let at = found; this.frames[at]?.part === part; at += 1) {
      if (this.frames[at].time <= time + ROUNDING) found = at;
    }
    return found;
  }

  /** Frees its videos. */
  close() {
    this.media.clear();
  }

  /** Returns the address of a part's video and its label maps as a Blob. */
  mediaOf(part) {
    return this.media.get(part, async () => {
      const [video, masks] = await Promise.all([
        fileBlob(`${part.id}-video`, 'video/webm'),
        fileBlob(`${part.id}-masks`, 'application/octet-stream'),
      ]);
      return { url: URL.createObjectURL(video), masks };
    });
  }

  /** Returns RGBA bytes of a frame's label maps: red is the id of model A, green of model B. */
  maskOf(number) {
    return this.masks.get(number, async () => {
      const { part, start, end } = this.frames[number];
      const { masks } = await this.mediaOf(part);
      const exact = { colorSpaceConversion: 'none', premultiplyAlpha: 'none' };
      const picture = await createImageBitmap(masks.slice(start, end, 'image/webp'), exact);
      this.reader.drawImage(picture, 0, 0);
      picture.close();
      return this.reader.getImageData(0, 0, this.width, this.height).data;
    });
  }
}
