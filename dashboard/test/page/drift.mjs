// Changes of shape, and the fields of a route.

import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { check, refreshed, requestsTo, until } from '../harness.mjs';

const rows = (page) => page.locator('[data-drift] tbody tr');
const kindsOf = (page) => rows(page).evaluateAll((all) => all.map((row) => row.dataset.kind));

describe('changes of shape', { concurrency: 2 }, () => {
  check('are listed with field, values, release and request', { path: '/drift' }, async (page, mock) => {
    await until(() => kindsOf(page), (kinds) => kinds.length === 6);
    const first = rows(page).first();
    assert.equal(await first.locator('td').nth(4).textContent(), '/items/[]/price');
    assert.equal(await first.locator('td').nth(5).textContent(), 'integer → string');
    assert.equal(await first.locator('td').nth(6).textContent(), '1.5.0');
    assert.ok(requestsTo(mock, 'drift').every((params) => Date.parse(params.get('from')) < Date.parse(params.get('to'))));
    await first.getByRole('link', { name: 'View request' }).click();
    await until(() => new URL(page.url()).searchParams.get('q'), (q) => q === 'request_id:0f6d4f53-1');
  });

  check('are filtered by kind, and the address knows', { path: '/drift?consumer=acme' }, async (page, mock) => {
    await until(() => kindsOf(page), (kinds) => kinds.length === 6);
    await page.getByText('These filters do not apply here: consumer.').waitFor();
    await page.getByLabel('Kind of change').selectOption('Field vanished');
    await until(() => kindsOf(page), (kinds) => kinds.length === 1 && kinds[0] === 'field_vanished');
    assert.equal(new URL(page.url()).searchParams.get('kind'), 'field_vanished');
    assert.ok(requestsTo(mock, 'drift').every((params) => !params.has('consumer')));
  });

  check('go on page by page', { path: '/drift?refresh=off', prepare: (mock) => Object.assign(mock, { most: 4 }) }, async (page) => {
    await until(() => kindsOf(page), (kinds) => kinds.length === 4);
    await page.getByRole('button', { name: 'Load more' }).click();
    await until(() => kindsOf(page), (kinds) => kinds.length === 6);
    await until(() => page.getByRole('button', { name: 'Load more' }).count(), (count) => count === 0);
    await refreshed(page, 'drift');
    assert.equal((await kindsOf(page)).length, 6, 'a refresh keeps what was loaded');
  });

  check('that do not exist are explained', { path: '/drift?kind=format_changed' }, async (page) => {
    await page.getByText(/No change in this period of this kind/).waitFor();
  });
});

describe('the fields of a route', { concurrency: 2 }, () => {
  check('are shown with types and presence', { path: '/route?method=POST&route=%2Fv1%2Forders' }, async (page) => {
    const card = page.locator('[data-fields=response]');
    await card.locator('tbody tr').nth(4).waitFor();
    const cells = (row) => card.locator('tbody tr').nth(row).locator('th, td').allTextContents();
    assert.deepEqual((await cells(1)).slice(0, 3), ['/id', 'string (uuid)', 'always']);
    assert.deepEqual((await cells(3)).slice(0, 3), ['/items/[]/price', 'integer, string', 'always']);
    assert.deepEqual((await cells(4)).slice(0, 3), ['/notevanished', 'string', '58.3 %']);
    assert.deepEqual((await page.locator('[data-fields=request] tbody tr').nth(1).locator('th, td').allTextContents()).slice(0, 3), ['/card', 'masked', '75 %']);
  });
});
