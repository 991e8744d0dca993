// One request, and the log.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe } from 'node:test';
import { PHONE, seriousFindings } from '../browser.mjs';
import { check, paramsOf, requestsTo, until } from '../harness.mjs';

describe('a request', { concurrency: 2 }, () => {
  check('opens to all of its fields, and the list pauses', { path: '/requests?status=503' }, async (page, mock) => {
    await page.locator('.expandable-entry .expandable-expand').nth(1).click();
    assert.match(await page.locator('.detail').textContent(), /Identityclient-supplied \(untrusted\)/);
    const answer = await (await fetch(mock.url + mock.seen.findLast((path) => path.includes('/requests?')))).json();
    const id = await page.locator('.detail dl > div', { hasText: 'Request id' }).locator('dd').textContent();
    const row = answer.rows.find((each) => each.request_id === id);
    const text = await page.locator('.detail').textContent();
    for (const field of ['time', 'consumer', 'method', 'route', 'path', 'status', 'client_address', 'user_agent', 'request_id', 'code_details', 'error_type', 'gateway']) {
      assert.ok(text.includes(String(row[field])), `${field}: ${row[field]}`);
    }
    assert.match(text, /UF upstream connection failure/);
    assert.deepEqual(await seriousFindings(page), []);

    mock.extra.push({ ...row, time: new Date().toISOString(), request_id: 'newer', consumer: 'newcomer' });
    await page.getByRole('button', { name: 'Refresh now' }).click();
    await page.getByRole('button', { name: /^Close and show \d+ new$/ }).click();
    await page.locator('.expandable-entry', { hasText: 'newcomer' }).waitFor();
    assert.equal(await page.locator('.detail').count(), 0);
  });

  check('pushes the others down, on a phone too', { path: '/requests', viewport: PHONE }, async (page) => {
    await page.locator('.expandable-entry .expandable-expand').first().click();
    const detail = await page.locator('.detail').boundingBox();
    const next = await page.locator('.expandable-entry').nth(1).boundingBox();
    assert.ok(detail.height > 300 && detail.y + detail.height <= next.y, `${JSON.stringify({ detail, next })}`);
  });

  check('shows fields that the page does not know', { path: '/requests' }, async (page, mock) => {
    mock.extra.push({
      time: new Date().toISOString(), consumer: 'a', method: 'GET', route: '/r', path: '/r', query: 'page=2', status: 0, duration_ms: 3, upstream_ms: null,
      novelty: 'unheard of',
    });
    await page.getByRole('button', { name: 'Refresh now' }).click();
    await page.locator('.expandable-entry', { hasText: '/r?page=2' }).locator('.expandable-expand').click();
    const text = await page.locator('.detail').textContent();
    for (const part of ['Novelty', 'unheard of']) assert.ok(text.includes(part), part);
  });

  check('finds the calls that it made, by its trace', { path: '/requests?refresh=off' }, async (page, mock) => {
    const traced = { time: new Date().toISOString(), consumer: 'a', method: 'GET', route: '/cart', path: '/cart', query: 'traced=1', status: 200, duration_ms: 3, upstream_ms: 2, direction: 'inbound', trace_id: '4bf92f3577b34da6a3ce929d0e0e4736' };
    const call = { ...traced, method: 'POST', route: '/charges', path: '/charges', query: null, direction: 'outbound', host: 'payments.example.com' };
    mock.extra.push(traced, call, { ...call, route: '/other', trace_id: '00000000000000000000000000000001' });
    await page.reload();
    await page.locator('.expandable-entry', { hasText: '/cart?traced=1' }).locator('.expandable-expand').click();
    await page.getByRole('button', { name: 'Find calls made by this request' }).click();
    const calls = page.getByRole('region', { name: 'Calls made by this request' });
    await calls.getByText('/charges').waitFor();
    const text = await calls.textContent();
    assert.ok(text.includes('payments.example.com') && !text.includes('/other'), text);
    assert.equal(requestsTo(mock, 'requests').findLast((params) => params.has('trace_id')).get('direction'), 'outbound');
    assert.deepEqual(await seriousFindings(page), []);
  });

  check('is found further back page by page', { path: '/requests' }, async (page, mock) => {
    await page.locator('.expandable-entry').first().waitFor();
    await page.getByRole('button', { name: 'Load older' }).click();
    await until(() => page.locator('.expandable-entry').count(), (count) => count === 200);
    assert.ok(requestsTo(mock, 'requests').some((params) => params.has('cursor')));
    await page.getByRole('button', { name: 'Back to latest' }).click();
    await until(() => page.locator('.expandable-entry').count(), (count) => count === 100);
  });

  check('has an address of its own', { path: '/requests?refresh=off' }, async (page, mock) => {
    await page.locator('.expandable-entry .expandable-expand').nth(3).click();
    const id = await page.locator('.detail dl > div', { hasText: 'Request id' }).locator('dd').textContent();
    const { open } = paramsOf(page);
    assert.ok(open.endsWith(`~${id}`), open);
    await page.reload();
    await page.locator('.expandable-entry.expandable-open').waitFor();

    // Also where the list under the address does not hold it.
    const linked = page.getByRole('region', { name: 'Linked request' });
    await page.goto(`${mock.url}/requests?from=2026-01-05T10:00Z&to=2026-01-05T11:00Z&open=${encodeURIComponent(open)}`);
    await linked.getByText(id).waitFor();
    assert.deepEqual(await seriousFindings(page), []);
    await linked.getByRole('button', { name: 'Close linked request' }).click();
    await linked.waitFor({ state: 'detached' });
  });

  for (const open of ['2020-01-05T10:00:00Z~gone', 'nonsense', '~', '2026-13-99T00:00:00Z~x']) {
    check(`that the log does not hold is said to be missing: ${open}`, { path: `/requests?open=${encodeURIComponent(open)}` }, async (page) => {
      await page.getByText('This request is not in the log').waitFor();
      assert.ok((await page.locator('.expandable-entry').count()) > 0);
    });
  }

  check('is closed by the back button', { path: '/requests' }, async (page) => {
    await page.locator('.expandable-entry .expandable-expand').first().click();
    await page.locator('.detail').waitFor();
    await page.goBack();
    await page.locator('.detail').waitFor({ state: 'detached' });
  });
});

describe('the log', { concurrency: 2 }, () => {
  const news = () => ({ time: new Date().toISOString(), consumer: 'newcomer', method: 'GET', route: '/new', path: '/new', status: 200, duration_ms: 1, upstream_ms: 1, request_id: 'new-1', gateway: 'edge-1' });
  const refresh = (page) => page.getByRole('button', { name: 'Refresh now' });

  check('pauses while it is read further down', { path: '/requests?refresh=off' }, async (page, mock) => {
    await page.locator('.expandable-entry').nth(60).scrollIntoViewIfNeeded();
    await page.evaluate(() => window.scrollBy(0, 400));
    const times = () => page.locator('.expandable-entry time').evaluateAll((all) => all.map((time) => time.dateTime));
    const before = await times();
    mock.extra.push(news());
    await refresh(page).click();
    const pill = page.getByRole('button', { name: /^Show \d+ new$/ });
    await pill.waitFor();
    assert.deepEqual(await times(), before);
    await pill.click();
    await page.locator('.expandable-entry', { hasText: 'newcomer' }).waitFor();
  });

  check('pauses under the mouse', { path: '/requests?refresh=off' }, async (page, mock) => {
    await page.locator('.expandable-entry').nth(5).hover();
    mock.extra.push(news());
    await refresh(page).press('Enter');
    await page.getByRole('status').getByText(/^Paused · \d+ new$/).waitFor();
    assert.equal(await page.locator('.expandable-entry', { hasText: 'newcomer' }).count(), 0);
    await page.getByRole('heading', { name: 'Latest requests' }).hover();
    await page.locator('.expandable-entry', { hasText: 'newcomer' }).waitFor();
  });

  check('says that there may be more than a page of new requests', { path: '/requests?refresh=off' }, async (page, mock) => {
    await page.locator('.expandable-entry').nth(5).hover();
    mock.extra.push(...Array.from({ length: 100 }, (_, index) => ({ ...news(), request_id: `new-${index}` })));
    await refresh(page).press('Enter');
    await page.getByRole('status').getByText('Paused · 100+ new').waitFor();
  });

  for (const [name, rowsOf] of [
    ['CSV', (text) => text.trimEnd().split('\r\n').slice(1)],
    ['NDJSON', (text) => text.trimEnd().split('\n').map((line) => JSON.parse(line))],
  ]) {
    check(`is saved as ${name} with all that match`, { path: '/requests?consumer=acme&range=15m&refresh=off' }, async (page, mock) => {
      await page.locator('.expandable-entry').first().waitFor();
      const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name, exact: true }).click()]);
      assert.match(download.suggestedFilename(), new RegExp(`^requests-.*\\.${name.toLowerCase()}$`));
      const rows = rowsOf(await readFile(await download.path(), 'utf8'));
      const asked = requestsTo(mock, 'requests/export').at(-1);
      assert.deepEqual([asked.get('consumer'), asked.get('format')], ['acme', name.toLowerCase()]);
      assert.ok(rows.length > 100, `${rows.length} rows`);
      await page.getByRole('button', { name, exact: true }).waitFor();
    });
  }

  check('shows the progress of an export, which can be cancelled', { path: '/requests?range=24h&refresh=off', prepare: (mock) => Object.assign(mock, { export_ms: 50 }) }, async (page) => {
    await page.getByRole('button', { name: 'CSV', exact: true }).click();
    await page.getByRole('status').getByText(/^[1-9][\d,]* exported$/).waitFor();
    await page.getByRole('button', { name: 'Cancel export' }).click();
    await page.getByRole('button', { name: 'CSV', exact: true }).waitFor();
    assert.equal(await page.getByRole('alert').count(), 0);
  });

  check('comes by the stream, and no page is asked for', { path: '/requests' }, async (page, mock) => {
    await page.locator('.expandable-entry').first().waitFor();
    await until(() => mock.followers.size, (count) => count === 1);
    const asked = requestsTo(mock, 'requests').length;
    mock.stream([{ ...news(), request_id: 'one', path: '/first-of-two' }, { ...news(), request_id: 'two', path: '/second-of-two' }]);
    await page.locator('.expandable-entry', { hasText: '/second-of-two' }).waitFor();
    await page.locator('.expandable-entry', { hasText: '/first-of-two' }).waitFor();
    assert.equal(await page.locator('[data-skipped]').count(), 0);
    mock.stream([{ ...news(), request_id: 'three', path: '/after-many' }], 1234);
    await page.locator('[data-skipped]').getByText('1,234 skipped').waitFor();
    mock.stream([], 6);
    await page.locator('[data-skipped]').getByText('1,240 skipped').waitFor();
    assert.equal(await page.locator('.expandable-entry').count(), 100);
    assert.deepEqual(await seriousFindings(page), []);
    // Gateways are asked for with each refresh.
    const refreshes = () => mock.seen.filter((path) => path === '/api/v1/gateways').length;
    const before = refreshes();
    await until(refreshes, (count) => count > before);
    assert.equal(requestsTo(mock, 'requests').length, asked);
  });

  check('is followed with the filters and the search', { path: '/requests?status=5xx&q=duration%3E1ms' }, async (page, mock) => {
    const stream = await until(() => requestsTo(mock, 'requests/stream').at(-1), (params) => params !== undefined);
    assert.deepEqual(Object.fromEntries(stream), { status: '5xx', q: 'duration>1ms' });
    await page.getByRole('button', { name: /^Live/ }).click();
    await page.getByRole('menuitem', { name: /off/i }).click();
    await until(() => mock.followers.size, (count) => count === 0);
  });

  check('of a period that the log no longer has is named as counted', { path: '/requests?from=2026-01-05T10:00Z&to=2026-01-05T11:30Z', prepare: (mock) => Object.assign(mock, { log_since: Date.parse('2026-02-01') / 1000 }) }, async (page) => {
    await page.locator('[data-gone]').getByText(/[\d,]+ requests were counted/).waitFor();
    assert.equal(await page.getByText('No requests in this period').count(), 0);
  });
});
