// Traffic by host, upstream cluster and gateway; lists that are longer than a page; the search of the request log.

import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { check, chips, filled, paramsOf, quantity, requestsTo, until } from '../harness.mjs';

const card = (page, title) => page.locator('section', { has: page.getByRole('heading', { name: title, exact: true }) });
const namesIn = (card) => card.locator('tbody th').allTextContents();

describe('hosts', { concurrency: 2 }, () => {
  check('are counted apart, with attempts, and a click filters by one', { path: '/hosts' }, async (page, mock) => {
    await filled(page);
    assert.deepEqual((await namesIn(card(page, 'Hosts'))).toSorted(), ['pay.example.com', 'shop.example.com']);
    assert.deepEqual((await namesIn(card(page, 'Upstream clusters'))).toSorted(), ['orders', 'shop']);
    assert.deepEqual((await namesIn(card(page, 'Gateways'))).toSorted(), ['edge-1', 'edge-2']);
    const attempts = await card(page, 'Hosts').locator('tbody td[data-col=attempts]').allTextContents();
    assert.ok(attempts.every((text) => Number(text) > 0.5 && Number(text) < 2), `${attempts}`);
    await page.getByRole('button', { name: 'Show only host pay.example.com' }).click();
    await until(() => chips(page), (all) => all.includes('host=pay.example.com'));
    await until(() => requestsTo(mock, 'summary').some((params) => params.get('host') === 'pay.example.com' && params.get('group_by') === 'gateway'), Boolean);
  });

  check('are explained where they are not counted apart', { path: '/hosts', prepare: (mock) => Object.assign(mock, { split: false }) }, async (page) => {
    await filled(page);
    assert.match(await page.locator('[data-off="counters.host"]').textContent(), /do not count hosts apart\. Set counters\.host/);
    assert.match(await page.locator('[data-off="counters.upstream"]').textContent(), /counters\.upstream/);
    assert.equal((await namesIn(card(page, 'Gateways'))).length, 2);
  });

  check('of a gateway: a filter like the others', { path: '/?gateway=edge-1' }, async (page, mock) => {
    await filled(page);
    assert.deepEqual(await chips(page), ['gateway=edge-1']);
    // The switch of the traffic offers what there is, under any filter.
    const isOfSwitch = (params) => params.get('group_by')?.includes('environment');
    assert.ok(['summary', 'timeseries', 'requests'].every((name) => requestsTo(mock, name).every((params) => isOfSwitch(params) || params.get('gateway') === 'edge-1')));
  });
});

describe('a long list', { concurrency: 2 }, () => {
  check('of routes says that it is not whole, and calls none new or inactive', { path: '/routes', prepare: (mock) => Object.assign(mock, { most: 4 }) }, async (page, mock) => {
    await page.locator('.entity-table-entities tbody th .labels-name').nth(3).waitFor();
    assert.match(await page.locator('.entity-table-entities [role=status]').textContent(), /4 with the most requests/);
    assert.equal(await page.locator('.entity-table-entities tbody .tag').count(), 0);
    await page.locator('[data-more]').getByRole('button', { name: 'Load more' }).click();
    await until(() => requestsTo(mock, 'summary').some((params) => params.get('limit') === '10000' && !params.has('status')), Boolean);
    await until(() => page.locator('[data-more]').textContent(), (text) => /Add a filter/.test(text));
  });

  check('of gateways goes on, page by page', { path: '/gateways', prepare: (mock) => Object.assign(mock, { most: 2 }) }, async (page) => {
    const rows = page.locator('section[aria-label=Gateways] tbody > tr');
    await until(() => rows.count(), (count) => count === 1);
    await page.getByRole('button', { name: 'Load more' }).click();
    await until(() => rows.count(), (count) => count === 3);
    assert.equal(await page.getByRole('button', { name: 'Load more' }).count(), 0);
  });
});

describe('the request log', { concurrency: 2 }, () => {
  const durations = async (page) => (await page.locator('tbody td[data-col=duration]').allTextContents()).map(quantity);

  check('is searched by path and duration, and the address knows', { path: '/requests?refresh=off' }, async (page, mock) => {
    await filled(page);
    const box = page.getByRole('combobox', { name: 'Search' });
    await box.fill('path:/v1/orders/* duration>=20ms');
    await page.getByRole('button', { name: 'Search' }).click();
    await until(() => requestsTo(mock, 'requests').at(-1).get('q'), (value) => value === 'path:/v1/orders/* duration>=20ms');
    const paths = await until(() => page.locator('tbody td[data-col=path] > span.mono:not(.faint)').allTextContents(), (all) => all.length > 0 && all.every((path) => path.startsWith('/v1/orders/')));
    assert.ok(paths.length > 5, `${paths.length}`);
    assert.ok((await durations(page)).every((ms) => ms >= 20_000));
    assert.equal(paramsOf(page).q, 'path:/v1/orders/* duration>=20ms');
    await page.reload();
    await until(() => box.inputValue(), (text) => text === 'path:/v1/orders/* duration>=20ms');
    await page.getByRole('button', { name: 'Clear', exact: true }).click();
    await until(() => paramsOf(page).q, (q) => q === undefined);
    await until(() => box.inputValue(), (text) => text === '');
  });

  check('shows the slowest first on request, and attempts of those that were retried', { path: '/requests?refresh=off' }, async (page) => {
    await filled(page);
    await page.getByLabel('Order').selectOption('duration');
    await page.getByRole('button', { name: 'Search' }).click();
    await page.getByRole('heading', { name: 'Slowest requests' }).waitFor();
    const found = await until(() => durations(page), (all) => all.length > 50 && all[0] >= all.at(-1) && all.every((ms, index) => index === 0 || ms <= all[index - 1]));
    assert.ok(found[0] > found.at(-1));
    await page.goto(`${new URL(page.url()).origin}/requests?refresh=off&errors=true`);
    await until(() => page.locator('tbody td[data-col=path]', { hasText: '3 attempts' }).count(), (count) => count > 5);
  });

  check('finds nothing without calling the gateway silent', { path: '/requests?refresh=off&request_id=nobody' }, async (page) => {
    await until(() => page.locator('section[aria-label="Latest requests"]').textContent(), (text) => /No request in this period matches|more to search/.test(text));
    await until(() => page.getByRole('combobox', { name: 'Search' }).inputValue(), (text) => text === 'request_id:nobody');
  });
});
