// Copyright 2026 The vidseg_ros developers
// SPDX-License-Identifier: Apache-2.0
// Plays a clip: video frame and label maps are painted together, never one without the other.

import { Clip } from 'vidseg/clip';

const AHEAD = 6;
const INSIDE_FRAME = 0.001; // s behind its start, so that rounding does not give the one before

export class Player {
  /** onFrame(frame, number, count) is called with every frame that is shown. */
  constructor(video, painter, onFrame) {
    this.video = video;
    this.painter = painter;
    this.onFrame = onFrame;
    this.picture = null;
    for (const name of ['loadeddata', 'seeked']) {
      video.addEventListener(name, () => this.present(video.currentTime));
    }
    video.addEventListener('ended', () => this.goOn());
    this.watch();
  }

  get playing() {
    return this.wanted;
  }

  /** Shows another source, from its first frame or the one at a position in the source. */
  async open(source, index = null) {
    this.pause();
    this.clip?.close();
    this.clip = new Clip(source);
    this.part = null;
    this.number = 0;
    this.painter.resize(this.clip.width, this.clip.height);
    await this.seek(index === null ? 0 : this.clip.nearest(index));
  }

  async seek(number) {
    const clip = this.clip;
    const at = Math.max(0, Math.min(number, clip.frames.length - 1));
    const { part, time } = clip.frames[at];
    this.target = at;
    if (part !== this.part) {
      const { url } = await clip.mediaOf(part);
      if (clip !== this.clip || this.target !== at) return; // another wish came meanwhile
      this.part = part;
      const rate = this.video.playbackRate;
      this.video.src = url;
      this.video.playbackRate = rate;
    }
    this.video.currentTime = time + INSIDE_FRAME;
  }

  step(count) {
    this.pause();
    return this.seek(this.target + count);
  }

  /** Moves by some seconds of the drive. */
  skip(seconds) {
    this.pause();
    return this.seek(this.clip.secondsOn(this.target, seconds));
  }

  /** Plays on, from the start if this is the end. */
  async play() {
    this.wanted = true;
    if (this.target === this.clip.frames.length - 1) await this.seek(0);
    if (this.wanted) await this.run();
  }

  run() {
    return this.video.play().catch(() => this.pause());
  }

  pause() {
    this.wanted = false;
    this.video.pause();
  }

  /** Goes from the end of a part to the next one. */
  async goOn() {
    const frames = this.clip.frames;
    const next = frames.findLastIndex((frame) => frame.part === this.part) + 1;
    if (!this.wanted || next >= frames.length) {
      this.pause();
      await this.seek(frames.length - 1); // the last frame may not have had its turn
      return;
    }
    await this.seek(next);
    if (this.wanted) await this.run();
  }

  watch() {
    this.video.requestVideoFrameCallback((_, { mediaTime }) => {
      this.present(mediaTime);
      this.watch();
    });
  }

  /** Shows what the video shows at a time, s, with the label maps of that very frame. */
  async present(time) {
    const clip = this.clip;
    if (!this.part || this.video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return;
    const number = clip.shownAt(this.part, time);
    const picture = await createImageBitmap(this.video).catch(() => null);
    if (!picture) return; // not decoded yet: another event follows when it is
    if (this.wanted) this.target = number;
    this.latest = number;
    const mask = await clip.maskOf(number);
    if (clip !== this.clip || number !== this.latest) {
      picture.close();
      return;
    }
    this.picture?.close();
    [this.picture, this.mask, this.number] = [picture, mask, number];
    this.repaint();
    this.onFrame(clip.frames[number], number, clip.frames.length);
    const last = Math.min(number + AHEAD, clip.frames.length - 1);
    for (let at = number + 1; this.wanted && at <= last; at += 1) clip.maskOf(at);
  }

  /** Paints the frame again, after the view has changed. */
  repaint() {
    if (this.picture) this.painter.paint(this.picture, this.mask);
  }
}
