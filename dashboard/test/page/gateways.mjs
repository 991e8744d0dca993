// Gateways, and how they deliver.

import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { PHONE, seriousFindings } from '../browser.mjs';
import { check, until } from '../harness.mjs';

const row = (page, name) => page.locator('.fleet .entry', { hasText: name });
const cell = async (page, name, label) => (await row(page, name).locator(`[data-label="${label}"]`).textContent()).trim();

describe('gateways', { concurrency: 2 }, () => {
  check('are listed with their state', { path: '/gateways' }, async (page) => {
    await row(page, 'edge-canary').waitFor();
    assert.equal(await page.locator('.fleet .entry').count(), 3, 'a restarted gateway is one gateway');
    assert.match(await cell(page, 'edge-1', 'State'), /^live/);
    assert.match(await cell(page, 'edge-canary', 'State'), /^silent48 min ago/);
    assert.equal(await cell(page, 'edge-1', 'Version'), '0.1.09f1c62d0');
    assert.equal(await cell(page, 'edge-2', 'Series'), '2,0001,840 overflow');
    assert.equal(await cell(page, 'edge-2', 'Delivered'), '1.39M99.9 %');
    assert.equal(await cell(page, 'edge-2', 'Dropped'), '1,231queue full, expired');
    assert.equal(await cell(page, 'edge-canary', 'Gaps'), '32 of the log');
    assert.equal(await cell(page, 'edge-canary', 'Delivered'), '–', 'what is not reported is not 0');
    assert.equal(await page.getByRole('region', { name: 'Incident' }).count(), 0);
  });

  check('open to all that they report, in words', { path: '/gateways' }, async (page) => {
    await page.getByRole('button', { name: 'Details of edge-2' }).focus();
    await page.keyboard.press('Enter');
    const text = await page.locator('.detail').textContent();
    for (const part of ['1,200 queue full: more came than could be delivered', '31 expired: not delivered within the age limit', '14 attempts to deliver that failed', '1,840 requests', '1,391,251']) {
      assert.ok(text.includes(part), part);
    }
    assert.deepEqual(await seriousFindings(page), []);
    await page.reload();
    await page.locator('.detail').waitFor();
  });

  check('open without covering one another on a phone', { path: '/gateways', viewport: PHONE }, async (page) => {
    await page.getByRole('button', { name: 'Details of edge-1' }).click();
    const detail = await page.locator('.detail').boundingBox();
    const next = await row(page, 'edge-2').boundingBox();
    assert.ok(detail.height > 300 && detail.y + detail.height <= next.y, JSON.stringify({ detail, next }));
    assert.deepEqual(await seriousFindings(page), []);
  });

  check('say how busy they were since the last refresh', { path: '/gateways?refresh=off' }, async (page) => {
    await row(page, 'edge-1').waitFor();
    assert.equal(await cell(page, 'edge-1', 'Busy'), '–');
    await until(
      async () => {
        await page.getByRole('button', { name: 'Refresh now' }).click();
        return cell(page, 'edge-1', 'Busy');
      },
      (text) => text !== '–',
    );
    assert.match(await cell(page, 'edge-1', 'Busy'), /^1\.3 %$/);
  });

  const troubles = [
    ['lost machines as an incident', { 'edge-1': { machines_lost: 1 } }, 'Incident', /2 virtual machines were lost to a trap: edge-1/],
    ['configurations that differ', { 'edge-2': { config_hash: 'feed62d07ab35e84' } }, 'Warning', /different configurations: edge-1, edge-2/],
    ['versions that differ', { 'edge-2': { version: '0.1.1' } }, 'Warning', /different versions: edge-1, edge-2/],
    ['the cap on series', {}, 'Warning', /The cap on series was reached: edge-2/],
    ['dropped records', {}, 'Warning', /1,231 log records were dropped: edge-2/],
    ['reasons it has not heard of', { 'edge-2': { dropped: { solar_flare: 5 } } }, 'Warning', /5 log records were dropped: edge-2/],
  ];
  for (const [what, gateways, role, words] of troubles) {
    check(`tell of ${what}`, { path: '/gateways', prepare: (mock) => Object.assign(mock.gateways, gateways) }, async (page) => {
      await page.getByRole('region', { name: role }).filter({ hasText: words }).waitFor();
      assert.deepEqual(await seriousFindings(page), []);
    });
  }

  check('of other senders, which report less, are shown as they are', {
    path: '/gateways',
    prepare: (mock) => {
      const nothing = Object.fromEntries(['captured', 'sent', 'dropped', 'held', 'queue_bytes', 'export_failures', 'machines', 'machines_lost', 'active_requests', 'busy_seconds', 'series', 'version', 'config_hash'].map((key) => [key, null]));
      Object.assign(mock.gateways, { 'edge-1': nothing, 'edge-2': { ...nothing, overflow: 0 }, 'edge-canary': nothing });
    },
  }, async (page) => {
    await row(page, 'edge-canary').waitFor();
    assert.equal(await page.locator('.notice').count(), 0);
    assert.equal(await cell(page, 'edge-1', 'Delivered'), '–');
    await page.getByRole('button', { name: 'Details of edge-1' }).click();
    assert.ok(!(await page.locator('.detail').textContent()).includes('NaN'));
  });
});
