// Error issues: the list by state, the details of one, and decisions about it.

import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { chips, check, paramsOf, refreshed, requestsTo, until } from '../harness.mjs';

const NEW = '0000000000000001';
const REFUSED = '0000000000000004';

describe('error issues', { concurrency: 2 }, () => {
  const names = (page) => page.locator('.issues tbody th a').allTextContents();

  check('those that somebody has to look at come first, others by their state', { path: '/issues' }, async (page, mock) => {
    assert.equal((await until(() => names(page), (all) => all.length === 4))[0], 'KeyError: no stock of {number}');
    assert.equal(requestsTo(mock, 'issues').at(-1).get('state'), 'new,regressed,ongoing');
    const states = page.getByRole('navigation', { name: 'States' });
    await states.getByText('open 4').waitFor();
    await states.getByText('resolved 1').click();
    assert.deepEqual(await until(() => names(page), (all) => all.length === 1), ['KeyError: fixed']);
    assert.equal(paramsOf(page).state, 'resolved');
    await states.getByText('all 6').click();
    await until(() => names(page), (all) => all.length === 6);
    await page.getByLabel('Order', { exact: true }).selectOption('consumers');
    await until(() => requestsTo(mock, 'issues').at(-1).get('sort'), (sort) => sort === 'consumers');
  });

  check('rows that were loaded stay when the list is refreshed', { path: '/issues?refresh=off', prepare: (mock) => (mock.most = 3) }, async (page) => {
    await until(() => names(page), (all) => all.length === 3);
    await page.getByRole('button', { name: 'Load more' }).click();
    await until(() => names(page), (all) => all.length === 4);
    await refreshed(page, 'issues');
    assert.equal((await names(page)).length, 4);
  });

  check('a click on a route filters, and the filter is asked for', { path: '/issues' }, async (page, mock) => {
    await page.getByRole('button', { name: 'Show only POST /v1/orders' }).first().click();
    await until(() => chips(page), (all) => all.length === 2);
    await until(() => requestsTo(mock, 'issues').at(-1).get('route'), (route) => route === '/v1/orders');
  });

  check('one issue shows whom it affects, and its examples open in the log', { path: '/issues' }, async (page) => {
    await page.getByRole('link', { name: 'KeyError: no stock of {number}' }).first().click();
    assert.equal(paramsOf(page).open, NEW);
    const card = page.getByRole('region', { name: 'KeyError: no stock of {number}' });
    await card.getByText('Acme Inc.').waitFor();
    await card.getByText('1.4.1 → 1.4.2').waitFor();
    const example = card.getByRole('region', { name: 'Example requests' }).last().getByRole('link');
    await example.first().click();
    await page.getByText('Latest requests').waitFor();
    assert.equal(paramsOf(page).q, 'request_id:id-1');
    const { from, to } = paramsOf(page);
    assert.equal(Date.parse(to) - Date.parse(from), 120_000);
  });

  check('refused fields are listed', { path: `/issues?open=${REFUSED}` }, async (page) => {
    const fields = page.getByRole('region', { name: 'Refused fields' }).last();
    await fields.getByText('body.items[].name').waitFor();
    assert.deepEqual(await fields.locator('tbody tr').first().locator('th, td').allTextContents(), ['body.items[].name', 'missing', 'Field required', '700']);
    assert.equal(await page.getByRole('button', { name: 'Resolve in the next release' }).count(), 0, 'without a version there is no release');
  });

  check('a person resolves, ignores and reopens', { path: `/issues?open=${NEW}` }, async (page, mock) => {
    const button = (name) => page.getByRole('button', { name, exact: true });
    await button('Acknowledge').waitFor();
    await button('Resolve in the next release').click();
    await page.getByText('It regresses when it is seen in another release.').waitFor();
    await button('Reopen').click();
    await button('Reopen').waitFor({ state: 'detached' });
    await button('Ignore').click();
    await button('Reopen').waitFor();
    await until(() => mock.changes.length, (count) => count === 3);
    assert.deepEqual(
      mock.changes.map(({ body }) => body),
      [{ state: 'resolved', in_next_release: true }, { state: 'ongoing' }, { state: 'ignored' }],
    );
  });

  check('a refused decision is explained', { path: `/issues?open=${NEW}`, complains: true, prepare: (mock) => (mock.refuseChange = 'this needs the role analyst') }, async (page) => {
    await page.getByRole('button', { name: 'Resolve', exact: true }).click();
    await page.getByRole('alert').getByText('this needs the role analyst').waitFor();
  });

  check('without failed requests the page says so', { path: '/issues', mode: 'heartbeat' }, async (page) => {
    await page.getByText('No request failed in this period.').waitFor();
  });
});
