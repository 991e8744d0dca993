// The page as people use it, in Chromium, on made-up traffic. One file, so that all of it shares one browser.

import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import './page/looks.mjs';
import './page/overview.mjs';
import './page/entities.mjs';
import './page/compare.mjs';
import './page/errors.mjs';
import './page/filters.mjs';
import './page/hosts.mjs';
import './page/drift.mjs';
import './page/openapi.mjs';
import './page/period.mjs';
import './page/latencies.mjs';
import './page/requests.mjs';
import './page/scope.mjs';
import './page/spans.mjs';
import './page/split.mjs';
import './page/search.mjs';
import './page/issues.mjs';
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

test('the page weighs less than 250 kB for its first view and 400 kB for all, compressed', async () => {
  const dist = new URL('../dist/', import.meta.url);
  const weigh = async (names) => {
    const sizes = await Promise.all(names.map(async (name) => gzipSync(await readFile(new URL(name, dist))).length));
    return sizes.reduce((a, b) => a + b);
  };
  const index = await readFile(new URL('index.html', dist), 'utf8');
  const first = [...index.matchAll(/(?:src|href)="\/(assets\/[^"]+\.(?:js|css))"/g)].map(([, name]) => name);
  assert.ok(first.length >= 2 && (await weigh(first)) < 250_000, `${first}: ${await weigh(first)}`);
  const all = (await readdir(new URL('assets/', dist))).map((name) => `assets/${name}`);
  assert.ok((await weigh(all)) < 400_000, `${await weigh(all)}`);
});
