// The page as people use it, in Chromium, on made-up traffic. One file, so that all of it shares one browser.

import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import './page/looks.mjs';
import './page/overview.mjs';
import './page/entities.mjs';
import './page/compare.mjs';
import './page/filters.mjs';
import './page/hosts.mjs';
import './page/drift.mjs';
import './page/period.mjs';
import './page/latencies.mjs';
import './page/requests.mjs';
import './page/search.mjs';
import './page/alerts.mjs';
import './page/releases.mjs';
import './page/consumers.mjs';
import './page/status.mjs';
import './page/gateways.mjs';
import './page/redaction.mjs';
import './page/preview.mjs';
import './page/states.mjs';
import './page/keys.mjs';
import './page/sign-in.mjs';

test('the page weighs less than 250 kB, compressed', async () => {
  const assets = new URL('../dist/assets/', import.meta.url);
  const names = await readdir(assets);
  const sizes = await Promise.all(names.map(async (name) => gzipSync(await readFile(new URL(name, assets))).length));
  assert.ok(sizes.reduce((a, b) => a + b) < 250_000, `${sizes}`);
});
