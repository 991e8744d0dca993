// Gateways, and how they deliver.

import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { LOOKS, PHONE, seriousFindings } from '../browser.mjs';
import { beyondTheEdge, check, until } from '../harness.mjs';
import { troubledStorage } from '../mock-api.mjs';

const row = (page, name) => page.locator('.gateway-table-fleet .expandable-entry', { hasText: name });
const cell = async (page, name, label) => (await row(page, name).locator(`[data-label="${label}"]`).textContent()).trim();

describe('gateways', { concurrency: 2 }, () => {
  check('are listed with their state', { path: '/gateways' }, async (page) => {
    await row(page, 'edge-canary').waitFor();
    assert.equal(await page.locator('.gateway-table-fleet .expandable-entry').count(), 3, 'a restarted gateway is one gateway');
    assert.match(await cell(page, 'edge-1', 'State'), /^live/);
    // Its age is rounded, and grows until it is shown.
    assert.match(await cell(page, 'edge-canary', 'State'), /^silent4[89] min ago/);
    assert.equal(await cell(page, 'edge-1', 'Version'), '0.1.09f1c62d0');
    assert.equal(await cell(page, 'edge-2', 'Series'), '2,0001,840 overflow');
    assert.equal(await cell(page, 'edge-2', 'Stored'), '1,390,00299.9 %');
    assert.equal(await cell(page, 'edge-2', 'Dropped'), '1,231queue full, expired');
    assert.equal(await cell(page, 'edge-canary', 'Gaps'), '32 of events');
    assert.equal(await cell(page, 'edge-2', 'Held'), '189.2 kB');
    assert.equal(await cell(page, 'edge-canary', 'Stored'), '–', 'what is not reported is not 0');
    assert.equal(await page.getByRole('region', { name: 'Incident' }).count(), 0);
  });

  check('open to all that they report, in words', { path: '/gateways' }, async (page) => {
    await page.getByRole('button', { name: 'Details of edge-2' }).focus();
    await page.keyboard.press('Enter');
    const text = await page.locator('.detail').textContent();
    for (const part of ['1,200 queue full: The queue was full, so the oldest events were dropped.', '31 expired: The events exceeded the age limit', '14 failed export attempts', '1,840 requests', '5,120 requests without an event', '45 requests without an event', '77 requests by configuration', '1,391,251']) {
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

  check('show delivery as a sum, also after a restart', { path: '/gateways' }, async (page) => {
    await row(page, 'edge-canary').waitFor();
    const number = async (name, label) => Number((await row(page, name).locator(`[data-label="${label}"]`).evaluate((each) => each.firstChild.textContent)).replaceAll(',', ''));
    for (const name of ['edge-1', 'edge-2']) {
      const [captured, stored, dropped, held] = await Promise.all(['Captured', 'Stored', 'Dropped', 'Held'].map((label) => number(name, label)));
      assert.equal(captured, stored + dropped + held, name);
    }
    assert.equal(await cell(page, 'edge-1', 'Dropped'), '3lost', 'what an ended epoch held is lost');
    assert.equal(await number('edge-1', 'Held'), 3, 'only the running epoch holds events');
    await page.getByRole('button', { name: 'Details of edge-1' }).click();
    const terms = await page.getByRole('region', { name: 'Request log' }).locator('dl > div').evaluateAll((all) => all.map((each) => [...each.children].map((child) => child.textContent)));
    assert.deepEqual(terms.slice(0, 4), [['Captured', '1,482,524'], ['= Stored', '1,482,518'], ['+ Dropped', '3 lost'], ['+ Held', '3, 1.41 kB']]);
    await page.getByRole('heading', { name: 'Restarts: 1' }).waitFor();
  });

  check('that hold nothing any more show no bytes, whatever they reported last', { path: '/gateways', prepare: (mock) => Object.assign(mock.gateways, { 'edge-2': { stored: 1_390_020, held: 0 } }) }, async (page) => {
    assert.equal(await cell(page, 'edge-2', 'Held'), '0');
  });

  check('show a report that does not add up as such', { path: '/gateways', prepare: (mock) => Object.assign(mock.gateways, { 'edge-2': { captured: 1_391_261 } }) }, async (page) => {
    assert.match(await cell(page, 'edge-2', 'Held'), /10 unaccounted/);
  });

  check('say how busy they were since the last refresh', { path: '/gateways?refresh=off' }, async (page) => {
    await row(page, 'edge-1').waitFor();
    assert.equal(await cell(page, 'edge-1', 'CPU'), '–');
    await until(
      async () => {
        await page.getByRole('button', { name: 'Refresh now' }).click();
        return cell(page, 'edge-1', 'CPU');
      },
      (text) => text !== '–',
    );
    assert.match(await cell(page, 'edge-1', 'CPU'), /^1\.3 %$/);
  });

  const troubles = [
    ['lost workers as an incident', { 'edge-1': { workers_lost: 1 } }, 'Incident', /2 workers were lost to a trap: edge-1/],
    ['requests that were not counted', { 'edge-2': { uncounted: 4 } }, 'Incident', /4 requests were not counted: edge-2/],
    ['configurations that differ', { 'edge-2': { config_hash: 'feed62d07ab35e84' } }, 'Warning', /different configurations: edge-1, edge-2/],
    ['versions that differ', { 'edge-2': { version: '0.1.1' } }, 'Warning', /different versions: edge-1, edge-2/],
    ['the limit on series', {}, 'Warning', /The limit on series was reached: edge-2/],
    ['dropped events', {}, 'Warning', /1,234 events were dropped: edge-1, edge-2/],
    ['unknown drop reasons', { 'edge-2': { dropped: { solar_flare: 5 } } }, 'Warning', /8 events were dropped: edge-1, edge-2/],
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
      const nothing = Object.fromEntries(['captured', 'sent', 'stored', 'dropped', 'held', 'queue_bytes', 'export_failures', 'workers', 'workers_lost', 'active_requests', 'busy_seconds', 'series', 'version', 'config_hash'].map((key) => [key, null]));
      Object.assign(mock.gateways, { 'edge-1': nothing, 'edge-2': { ...nothing, overflow: 0 }, 'edge-canary': nothing });
    },
  }, async (page) => {
    await row(page, 'edge-canary').waitFor();
    assert.equal(await page.locator('.gateways-notice').count(), 0);
    assert.equal(await cell(page, 'edge-1', 'Stored'), '–');
    await page.getByRole('button', { name: 'Details of edge-1' }).click();
    assert.ok(!(await page.locator('.detail').textContent()).includes('NaN'));
  });

  const troubled = (mock) => (mock.storage = troubledStorage('2026-11-20T03:12:00Z'));

  check('stand above the size of what is stored', { path: '/gateways' }, async (page) => {
    const card = page.getByRole('region', { name: 'Storage' });
    await card.getByText('Last scrub').waitFor();
    const facts = await card.locator('dl > div').evaluateAll((all) => all.map((each) => each.textContent));
    assert.deepEqual(facts, ['Data4.22 GB3.4 GB log, 812 MB counts', 'Free on its disk61.5 GB', 'Last scrub2 h ago: no damage in 18 files']);
    assert.equal(await card.getByRole('heading', { level: 3 }).count(), 0, 'nothing was removed, rejected or damaged');
  });

  for (const [bytes, size] of [[{ counters: 2_000_000_000, requests: 5_600_000_000, spans: 400_000_000 }, '8 GB5.6 GB log, 2 GB counts, database gatelens'], [undefined, 'size unknowndatabase gatelens']]) {
    check(`stand above the size of a database, ${size}`, { path: '/gateways', prepare: (mock) => (mock.storage = { database: { name: 'gatelens', bytes } }) }, async (page) => {
      const card = page.getByRole('region', { name: 'Storage' });
      await card.getByText('Last scrub').waitFor();
      const facts = await card.locator('dl > div').evaluateAll((all) => all.map((each) => each.textContent));
      assert.deepEqual(facts.slice(0, 2), [`ClickHouse${size}`, 'Files of this replica4.22 GBwithout log and counts']);
    });
  }

  for (const [name, look] of Object.entries(LOOKS)) {
    check(`stand above what was removed, rejected and damaged, ${name}`, { path: '/gateways', prepare: troubled, ...look }, async (page) => {
      const card = page.getByRole('region', { name: 'Storage' });
      await card.getByRole('region', { name: 'Damage' }).waitFor();
      const text = await card.textContent();
      for (const part of [
        '4.22 GB of 21.5 GB, 19.6 %', 'at 43 %, reading requests-2026-11-19.db', '120,403 requests', '4,103 too many series: The sender, or all new senders together, have their share',
        '12 impossible time', '1 made_up', 'damage set aside: 2', 'chunk of chunks: it cannot be unpacked', '<b>pages</b> cannot be read', 'kept as counters.db.corrupt-1',
      ]) {
        assert.ok(text.includes(part), `${part} in ${text}`);
      }
      const senders = card.getByRole('region', { name: 'Senders of what was rejected' });
      const rows = await senders.locator('tbody tr').evaluateAll((all) => all.map((row) => [...row.cells].map((cell) => cell.textContent)));
      assert.deepEqual(rows.slice(0, 3), [
        ['edge-fra', 'prod', '4,103', '31', 'too many series, for another environment'],
        ['none', '<i>strange</i>', '12', '0', 'impossible time, made_up'],
        ['t0', 'any', '0', '1', 'while the service was busy'],
      ]);
      assert.ok(rows.length === 10 && text.includes('2 more senders are at /api/v1/storage'), `${rows.length} rows`);
      assert.ok((await beyondTheEdge(page)) <= 0);
      assert.deepEqual(await seriousFindings(page), []);
    });
  }
});
