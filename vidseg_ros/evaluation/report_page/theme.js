// Copyright 2026 The vidseg_ros developers
// SPDX-License-Identifier: Apache-2.0
// Light or dark: as the system asks for, until the button is pressed.

import { byId } from 'vidseg/dom';

export function startTheme(onChange) {
  const system = matchMedia('(prefers-color-scheme: dark)');
  let chosen = null;
  const apply = () => {
    const theme = chosen ?? (system.matches ? 'dark' : 'light');
    document.documentElement.dataset.theme = theme;
    byId('theme').textContent = theme === 'dark' ? '☀ Light' : '☾ Dark';
    return theme;
  };
  byId('theme').addEventListener('click', () => {
    chosen = apply() === 'dark' ? 'light' : 'dark';
    apply();
    onChange();
  });
  system.addEventListener('change', () => {
    apply();
    onChange();
  });
  apply();
}
