// Services side by side on the views of routes, consumers and errors.

import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { LOOKS, seriousFindings } from '../browser.mjs';
import { beyondTheEdge, check, filled, paramsOf, picture, quantity, requestsTo, until } from '../harness.mjs';

/** A range that has ended, so that nothing grows between two questions. */
const PERIOD = 'from=2026-11-10T10:00:00Z&to=2026-11-10T12:00:00Z';

const table = (page, title) => page.locator(`[data-split="${title}"]`);
const headings = (page, title) => table(page, title).locator('thead th').allTextContents();
const rowsOf = async (mock, query) => (await (await fetch(`${mock.url}/api/v1/summary?${PERIOD}&${query}`)).json()).rows;
const cell = (page, title, row, name) => table(page, title).locator('tbody tr', { hasText: row }).locator(`td[data-name="${name}"]`);

describe('values side by side', { concurrency: 2 }, () => {
  check('are columns of the routes, one measure at a time', { path: `/routes?${PERIOD}&split=service` }, async (page, mock) => {
    await until(() => headings(page, 'Routes'), (all) => all.join() === 'Route,shop,payments,Apart');
    const rows = await rowsOf(mock, 'group_by=method,route,service');
    const payments = rows.find(({ route }) => route === '/v1/payments');
    const shown = (name) => cell(page, 'Routes', '/v1/payments', name).textContent();
    assert.equal(await shown('shop'), '–');
    assert.ok(Math.abs(quantity(await shown('payments')) / payments.p95_ms / 1000 - 1) < 0.05, `${await shown('payments')} is not ${payments.p95_ms} ms`);
    await page.getByLabel('Shown of routes').selectOption('requests');
    await until(() => shown('payments'), (text) => quantity(text) === payments.requests);
    await page.getByRole('searchbox', { name: 'Search routes' }).fill('orders');
    await until(() => table(page, 'Routes').locator('tbody tr').count(), (count) => count === new Set(rows.filter(({ route }) => route.includes('orders')).map(({ method, route }) => `${method} ${route}`)).size);
    assert.equal(paramsOf(page).q, 'orders');
    // The tables that are not shown are not asked for.
    assert.deepEqual([...new Set(requestsTo(mock, 'summary').map((params) => params.get('group_by')))].filter((by) => by !== 'environment,service,host,version').toSorted(), ['method,route,service', 'service']);
    await table(page, 'Routes').getByRole('link').first().click();
    await until(() => new URL(page.url()).pathname, (path) => path === '/route');
    assert.equal(paramsOf(page).split, 'service');
  });

  check('are columns of the consumers, sorted by how far they are apart', { path: `/consumers?${PERIOD}&split=host` }, async (page) => {
    await until(() => headings(page, 'Consumers'), (all) => all.join() === 'Consumer,shop.example.com,pay.example.com,Apart');
    await page.getByLabel('Shown of consumers').selectOption('errors');
    await table(page, 'Consumers').getByRole('button', { name: 'Apart' }).click();
    const apart = () => table(page, 'Consumers').locator('td[data-name=apart]').allTextContents();
    const found = await until(apart, (all) => all.length === 7 && all.every((text) => text.endsWith('%')));
    const numbers = found.map((text) => Number(text.replace(' %', '')));
    assert.ok(numbers.every((number, index) => index === 0 || number <= numbers[index - 1]), `${found}`);
    assert.ok(numbers[0] > 0, `${found}`);
  });

  check('are columns of errors, with rates of their own', { path: `/errors?${PERIOD}&split=service` }, async (page, mock) => {
    await until(() => headings(page, 'Statuses'), (all) => all.join() === 'Status,shop,payments,Apart');
    const of = (rows, service) => rows.filter((row) => row.service === service).reduce((sum, { requests }) => sum + requests, 0);
    const [failed, all] = await Promise.all([rowsOf(mock, 'errors=true&group_by=service,status'), rowsOf(mock, 'group_by=service')]);
    const rate = (of(failed.filter(({ status }) => status === 504), 'payments') / of(all, 'payments')) * 100;
    await until(async () => Number((await cell(page, 'Statuses', '504', 'payments').textContent()).replace(' %', '')), (shown) => Math.abs(shown - rate) < 0.1);
    await page.getByLabel('Shown of statuses').selectOption('count');
    await until(() => cell(page, 'Statuses', '504', 'payments').textContent(), (text) => quantity(text) === of(failed.filter(({ status }) => status === 504), 'payments'));
    const [failedOf, allOf] = await Promise.all([rowsOf(mock, 'errors=true&consumer=hooli&group_by=service'), rowsOf(mock, 'consumer=hooli&group_by=service')]);
    const hooli = (of(failedOf, 'shop') / of(allOf, 'shop')) * 100;
    await until(async () => Number((await cell(page, 'Consumers', 'hooli', 'shop').textContent()).replace(' %', '')), (shown) => Math.abs(shown - hooli) < 0.1);
    assert.equal(await cell(page, 'Statuses', '504', 'shop').textContent(), '0', 'no row is no error');
    for (const title of ['Causes', 'Routes', 'Consumers']) await until(() => headings(page, title), (found) => found.slice(1, 3).join() === 'shop,payments');
    await until(() => page.getByRole('slider', { name: 'Errors over time' }).getAttribute('aria-valuetext'), (text) => /shop \d.*payments \d/.test(text ?? ''));
    // Together again.
    await page.getByRole('button', { name: /^Traffic shown/ }).click();
    await page.getByLabel('Side by side').selectOption('');
    await page.getByRole('heading', { name: 'By cause' }).waitFor();
  });

  for (const [kind, own] of Object.entries({ errors: 'errors=true', client: 'errors=false&status=4xx' })) {
    check(`ask each question about ${kind} once`, { path: `/errors?${PERIOD}&split=service&refresh=off&kind=${kind}` }, async (page, mock) => {
      const words = kind === 'errors' ? 'Errors' : 'Client errors';
      for (const title of ['Causes', 'Statuses', 'Routes', 'Consumers']) await until(() => table(page, title).locator('tbody td').first().textContent(), (text) => /\d %$/.test(text ?? ''));
      await until(() => page.getByRole('slider', { name: `${words} over time` }).getAttribute('aria-valuetext'), (text) => /shop \d.*payments \d/.test(text ?? ''));
      await filled(page);
      const asked = (name) => requestsTo(mock, name).map((params) => `${params.get('group_by') ?? ''}${params.has('errors') ? ` errors=${params.get('errors')}` : ''}`).filter((question) => question !== 'environment,service,host,version').toSorted();
      const failed = kind === 'errors';
      assert.deepEqual(asked('summary'), [
        ...['', ' errors=false', ' errors=true', 'consumer,service', 'method,route,service', 'service'],
        ...['consumer,service', 'error_type,status', 'error_type,status,service', 'method,route,service'].map((by) => `${by} errors=${failed}`),
      ].filter((question) => question !== ` errors=${failed}`).toSorted());
      assert.deepEqual(asked('timeseries'), [`service errors=${failed}`]);
    });

    check(`name the causes of ${kind} as the view of all traffic does`, { path: `/errors?${PERIOD}&split=service&refresh=off&kind=${kind}` }, async (page, mock) => {
      await page.getByLabel('Shown of causes').selectOption('count');
      for (const service of ['shop', 'payments']) {
        const rows = await rowsOf(mock, `${own}&service=${service}&group_by=error_type,status`);
        const causeOf = ({ error_type: cause, status }) => cause || String(status);
        for (const cause of new Set(rows.map(causeOf))) {
          const sum = rows.filter((row) => causeOf(row) === cause).reduce((all, { requests }) => all + requests, 0);
          const line = table(page, 'Causes').locator('tbody tr', { has: page.getByText(cause, { exact: true }) });
          await until(() => line.locator(`td[data-name="${service}"]`).textContent(), (text) => quantity(text) === sum);
        }
      }
    });
  }

  check('mark percentiles that are estimates, and only those', { path: `/routes?${PERIOD}&split=service&compare=day`, prepare: (mock) => (mock.otherSenders = ['/v1/search']) }, async (page) => {
    await until(() => cell(page, 'Routes', '/v1/search', 'shop').textContent(), (text) => /^≈ \d.* → ≈ \d/.test(text ?? ''));
    assert.doesNotMatch(await cell(page, 'Routes', '/v1/payments', 'payments').textContent(), /≈/);
    await page.getByText('≈: an estimate.').waitFor();
    await page.getByLabel('Shown of routes').selectOption('requests');
    await until(() => cell(page, 'Routes', '/v1/search', 'shop').textContent(), (text) => /^\d.* → \d/.test(text ?? ''));
    assert.equal(await page.getByText('≈: an estimate.').count(), 0);
  });

  check('are compared with the stretch before', { path: `/routes?${PERIOD}&split=service&compare=day` }, async (page) => {
    await until(() => cell(page, 'Routes', '/v1/payments', 'payments').textContent(), (text) => / → \d/.test(text ?? ''));
  });

  for (const [look, options] of Object.entries(LOOKS)) {
    for (const view of ['routes', 'consumers', 'errors']) {
      check(`are sound on ${view} in ${look}`, { path: `/${view}?${PERIOD}&split=service`, ...options }, async (page) => {
        await page.locator('[data-split] tbody tr').first().waitFor();
        await filled(page);
        if (view === 'errors') await until(() => page.locator('[data-split=Consumers] td').first().textContent(), (text) => text?.endsWith('%') === true);
        await picture(page, `split-${view}-${look}`);
        assert.ok((await beyondTheEdge(page)) <= 0);
        assert.deepEqual(await seriousFindings(page), []);
      });
    }
  }
});
