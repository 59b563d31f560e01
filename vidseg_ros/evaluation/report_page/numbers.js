// Copyright 2026 The vidseg_ros developers
// SPDX-License-Identifier: Apache-2.0
// What is measured, how it is written, and whether more of it is better.

export const percent = (value) => (value * 100).toFixed(1);
const fixed = (digits) => (value) => value.toFixed(digits);

const POOLED = 'Over all sources it comes from their summed pixels, class by class. It may lie above '
  + 'or below those of all single sources, which need not have the same classes in the same amounts.';
const BY_CLASS = 'Mean over the classes that occur, each of the same weight, however small.';
const MEANING = {
  miou: `${BY_CLASS} ${POOLED}`,
  tc: `${BY_CLASS} Flips count pixels instead: the two may disagree. ${POOLED}`,
  flips_per_s: 'Label changes per visible pixel and second: large classes dominate. TC gives small '
    + 'classes the same weight: the two may disagree.',
};
MEANING.tc_fast = MEANING.tc;
MEANING.flips_per_s_fast = MEANING.flips_per_s;

/** Measures of a source or of all: [key, name, unit, format, sign of better]. */
export const MEASURES = [
  ['miou', 'mIoU', '%', percent, 1],
  ['accuracy', 'Pixel accuracy', '%', percent, 1],
  ['tc', 'TC', '%', percent, 1],
  ['tc_fast', 'TC, fast flow', '%', percent, 1],
  ['tc_legacy', 'TC as in ETC', '%', percent, 1],
  ['vc8', 'VC8', '%', percent, 1],
  ['vc16', 'VC16', '%', percent, 1],
  ['vc8_self', 'VC8, self', '%', percent, 1],
  ['vc16_self', 'VC16, self', '%', percent, 1],
  ['flips_per_s', 'Flips', '1/s', fixed(3), -1],
  ['flips_per_s_fast', 'Flips, fast flow', '1/s', fixed(3), -1],
  ['confidence_mean', 'Confidence', '%', percent, 0],
  ['p50', 'Inference, median', 'ms', fixed(1), -1],
  ['p95', 'Inference, p95', 'ms', fixed(1), -1],
  ['p99', 'Inference, p99', 'ms', fixed(1), -1],
].map(([key, name, unit, format, better]) => (
  { key, name, unit, format, better, meaning: MEANING[key] ?? '' }));

/** Returns a measure out of scores; null where it is not defined. */
export function valueOf(scores, { key }) {
  return scores?.[key] ?? scores?.inference_ms?.[key] ?? null;
}

/** Writes a number with what it means where there is none. */
export function written(value, format) {
  return value === null || value === undefined ? '–' : format(value);
}

/** Writes a difference with its sign. */
export function signed(value, format) {
  return (value < 0 ? '−' : '+') + format(Math.abs(value));
}

export function clockText(seconds) {
  const minutes = Math.floor(seconds / 60);
  return `${minutes}:${(seconds - 60 * minutes).toFixed(2).padStart(5, '0')}`;
}
