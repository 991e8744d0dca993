// Errors and client errors: by cause, status, route and consumer.

import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { check, paramsOf, requestsTo, until } from '../harness.mjs';

/** A range that has ended, so that nothing grows between two questions. */
const PERIOD = 'from=2026-11-10T10:00:00Z&to=2026-11-10T12:00:00Z';

const table = (page, title) => page.locator('section', { has: page.getByRole('heading', { name: title, exact: true }) });
const rowsOf = async (mock, query) => (await (await fetch(`${mock.url}/api/v1/summary?${PERIOD}&${query}`)).json()).rows;
const sum = (rows) => rows.reduce((all, row) => all + row.requests, 0);

describe('the view of errors', { concurrency: 2 }, () => {
  check('counts them by cause, with who made the response', { path: `/errors?${PERIOD}` }, async (page, mock) => {
    const rows = await rowsOf(mock, 'errors=true&group_by=error_type');
    const causes = table(page, 'By cause');
    const shown = await until(() => causes.locator('tbody tr').allTextContents(), (all) => all.length === rows.length);
    assert.ok(shown[0].startsWith(rows[0].error_type), `${shown}`);
    assert.ok(shown.some((text) => text.includes('500from the upstream')), `${shown}`);
    assert.ok(shown.some((text) => text.includes('upstream_connection_failuremade by the gateway')), `${shown}`);
    const origin = (name) => page.locator(`[data-origin=${name}] b`).textContent();
    const [gateway, upstream] = (await Promise.all(['gateway', 'upstream'].map(origin))).map((text) => Number(text.replaceAll(',', '')));
    assert.equal(gateway + upstream, sum(rows));
    assert.equal(upstream, sum(rows.filter(({ error_type: cause }) => /^\d+$/.test(cause))));
    await page.getByText(/^An error is a request with a status of 500 or more/).waitFor();
    const asked = new Set(requestsTo(mock, 'summary').filter((params) => !params.has('group_by')).map((params) => params.get('from')));
    assert.deepEqual([...asked], ['2026-11-10T10:00:00.000Z'], 'the stretch before is not shown, and not asked for');
    assert.equal(await page.getByText('compared with').count(), 0, 'nothing is');
    await causes.getByRole('link').first().click();
    await until(() => new URL(page.url()).pathname, (path) => path === '/requests');
    assert.deepEqual([paramsOf(page).errors, paramsOf(page).error_type], ['true', rows[0].error_type]);
  });

  check('has rates beside counts, and each row leads to its requests', { path: `/errors?${PERIOD}` }, async (page, mock) => {
    const failed = await rowsOf(mock, 'errors=true&group_by=consumer');
    const all = await rowsOf(mock, 'group_by=consumer');
    const consumers = table(page, 'By consumer');
    await consumers.getByRole('columnheader', { name: 'Rate' }).waitFor();
    const hooli = consumers.locator('tbody tr', { hasText: 'hooli' });
    const own = (rows) => rows.find(({ consumer }) => consumer === 'hooli').requests;
    const rate = Number((await hooli.locator('td').last().textContent()).replace(' %', ''));
    assert.ok(Math.abs(rate - (own(failed) / own(all)) * 100) < 0.1, `${rate}`);
    await hooli.getByRole('link', { name: own(failed).toLocaleString('en'), exact: true }).click();
    await until(() => requestsTo(mock, 'requests').some((params) => params.get('consumer') === 'hooli' && params.get('errors') === 'true'), Boolean);
  });

  check('keeps client errors apart, and the address knows', { path: `/errors?${PERIOD}` }, async (page, mock) => {
    const rows = await rowsOf(mock, 'status=4xx&group_by=status');
    await page.getByText(/^Client errors [\d.]/).click();
    await page.getByText(/^A client error is a request with a status from 400 to 499/).waitFor();
    assert.equal(paramsOf(page).kind, 'client');
    const statuses = await until(() => table(page, 'By status').locator('tbody th button').allTextContents(), (all) => all.length === rows.length);
    assert.deepEqual(statuses.map(Number), rows.map(({ status }) => status));
    await table(page, 'By status').locator('td a').first().click();
    await until(() => requestsTo(mock, 'requests').some((params) => params.get('status') === statuses[0] && params.get('errors') === 'false'), Boolean);
  });

  check('is compared', { path: `/errors?${PERIOD}&compare=day` }, async (page) => {
    await until(() => table(page, 'By cause').locator('tbody td').first().textContent(), (text) => / → \d/.test(text ?? ''));
  });
});
