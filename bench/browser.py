# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Playwright for the scripts that look at a report page, or one sentence on how to get it."""

try:
    from playwright.sync_api import Browser, expect, sync_playwright
except ModuleNotFoundError:
    msg = (
        'playwright is missing: `make test` installs it into .venv (run this with '
        '.venv/bin/python), or `pip install playwright`; `make browser` gets a Chromium where '
        'there is none'
    )
    raise SystemExit(msg) from None

__all__ = ['Browser', 'expect', 'sync_playwright']
