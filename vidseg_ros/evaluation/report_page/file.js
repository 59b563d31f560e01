// Copyright 2026 The vidseg_ros developers
// SPDX-License-Identifier: Apache-2.0
// Files that the page carries: base64 in comments, which browsers read twice as fast as text.

const WAIT_MS = 10;

/** Returns an element once the browser has read it whole, which takes a while at first. */
async function wholeElement(id) {
  for (;;) {
    const element = document.getElementById(id);
    if (element?.nextElementSibling || document.readyState !== 'loading') return element;
    await new Promise((resolve) => { setTimeout(resolve, WAIT_MS); });
  }
}

/** Returns a file as a Blob. */
export async function fileBlob(id, type) {
  const text = (await wholeElement(id)).firstChild.data;
  const response = await fetch(`data:${type};base64,${text}`);
  return response.blob();
}
