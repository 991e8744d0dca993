// Stretches around a release, and the verdicts about routes, without a browser.

import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { describe, test } from 'node:test';
import { runnerImport } from 'vite';

const { module: releases } = await runnerImport(fileURLToPath(new URL('../src/releases.ts', import.meta.url)), { configFile: false, logLevel: 'error' });

const MINUTE = 60;
const iso = (seconds) => new Date(seconds * 1000).toISOString();
const release = (at, ...since) => ({ first_seen: iso(at), gateways: since.map((time) => ({ instance: 'edge', since: iso(time) })) });

describe('the stretches around a release', () => {
  const check = (name, of, length, now, expected) =>
    test(name, () => {
      const found = releases.stretchesOf(of, length, now);
      assert.deepEqual(found && [found.before.from, found.before.to, found.after.from, found.after.to], expected);
    });
  check('are whole minutes of equal length', release(600 * MINUTE + 17), 15 * MINUTE, 900 * MINUTE, [585, 600, 601, 616].map((n) => n * MINUTE));
  check('leave out the minute that a release falls into, also at its edge', release(600 * MINUTE), 5 * MINUTE, 900 * MINUTE, [595, 600, 601, 606].map((n) => n * MINUTE));
  check('are as short as the time since', release(600 * MINUTE + 17), 60 * MINUTE, 603 * MINUTE + 59, [598, 600, 601, 603].map((n) => n * MINUTE));
  check('are none before a minute is over', release(600 * MINUTE + 17), 60 * MINUTE, 601 * MINUTE + 59, undefined);
  check('leave out a rolling update', release(600 * MINUTE, 600 * MINUTE, 604 * MINUTE, 608 * MINUTE + 30), 5 * MINUTE, 900 * MINUTE, [595, 600, 609, 614].map((n) => n * MINUTE));
  check('and not a gateway that came much later', release(600 * MINUTE, 600 * MINUTE, 700 * MINUTE), 5 * MINUTE, 900 * MINUTE, [595, 600, 601, 606].map((n) => n * MINUTE));
});

test('routes that got worse come first, and few requests prove nothing', () => {
  const row = (route, requests, errors, p95_ms) => ({ method: 'GET', route, requests, errors, p95_ms });
  const before = [row('/errors', 100, 1, 10), row('/slow', 100, 0, 100), row('/same', 100, 2, 50), row('/few', 5, 0, 10), row('/gone', 9, 0, 1), row('/better', 100, 9, 10), row('/both', 100, 50, 10)];
  const after = [row('/same', 120, 3, 55), row('/slow', 90, 0, 150), row('/errors', 100, 9, 10), row('/few', 5, 5, 1000), row('/new', 3, 0, 1), row('/better', 100, 1, 10), row('/both', 100, 1, 30)];
  const found = releases.compared(before, after).map(({ route, verdict }) => [route, verdict]);
  assert.deepEqual(found, [['/errors', 'worse'], ['/slow', 'worse'], ['/both', 'worse'], ['/new', 'new'], ['/few', 'same'], ['/same', 'same'], ['/better', 'better'], ['/gone', 'gone']]);
});

test('a change is one mark, and the first report is none', () => {
  const row = (id, kind, value, previous, at, service = 'shop') => ({ id, kind, service, environment: 'prod', value, previous, first_seen: iso(at) });
  const rows = [row(4, 'configuration', 'abcdef0123', 'x', 5000), row(3, 'version', '1.1', '1.0', 1010), row(2, 'configuration', '77', '66', 1000), row(1, 'version', '1.0', null, 5)];
  assert.deepEqual(releases.marksOf(rows), [{ id: 3, at: 1010, label: '1.1' }, { id: 4, at: 5000, label: 'configuration abcdef0' }]);
  assert.deepEqual(releases.marksOf([row(5, 'version', '7', '6', 6000, 'mail'), ...rows]).map(({ label }) => label), ['shop 1.1', 'shop configuration abcdef0', 'mail 7']);
});
