// Filters, by mouse and by keyboard, and their place in the address.

import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { check, chips, paramsOf, requestsTo, settled, until } from '../harness.mjs';

describe('filters', { concurrency: 2 }, () => {
  const clicks = [
    ['a consumer', '.rank tbody .labels-name >> text="acme"', { consumer: 'acme' }],
    ['a route', '.rank tbody .labels-name >> text="/v1/search"', { method: 'GET', route: '/v1/search' }],
    ['a method', '.rank tbody .labels-method >> text="POST"', { method: 'POST' }],
    ['a status', '.request-list-log .labels-status >> nth=0', null],
  ];
  for (const [what, target, expected] of clicks) {
    check(`a click on ${what} filters by it`, {}, async (page, mock) => {
      const element = page.locator(target).first();
      const wanted = expected ?? { status: await element.textContent() };
      await settled(page, mock);
      mock.seen.length = 0;
      await element.click();
      await until(() => requestsTo(mock, 'timeseries').length, (count) => count >= 2);
      assert.deepEqual(paramsOf(page), wanted);
      assert.deepEqual((await chips(page)).sort(), Object.entries(wanted).map(([key, value]) => `${key}=${value}`).sort());
      for (const name of ['summary', 'timeseries', 'requests']) {
        for (const params of requestsTo(mock, name)) for (const [key, value] of Object.entries(wanted)) assert.equal(params.get(key), value);
      }
    });
  }

  check('are added by keyboard alone, and taken away', { path: '/requests' }, async (page, mock) => {
    await page.locator('.expandable-entry').first().waitFor();
    await page.getByRole('button', { name: 'Filter', exact: true }).focus();
    await page.keyboard.press('Enter');
    await page.getByLabel('Value', { exact: true }).waitFor();
    await page.getByLabel('Field').selectOption('status');
    await page.getByLabel('Value', { exact: true }).fill('404');
    await page.keyboard.press('Enter');
    assert.deepEqual(await until(() => chips(page), (all) => all.length > 0), ['status=404']);
    await until(() => page.locator('.expandable-entry .labels-status').allTextContents(), (all) => all.length > 0 && all.every((code) => code === '404'));
    assert.equal(requestsTo(mock, 'requests').at(-1).get('status'), '404');
    await page.getByRole('button', { name: 'Remove filter status 404' }).click();
    assert.deepEqual(paramsOf(page), {});
  });

  check('take errors, services and environments as well', { path: '/requests?service=payments&environment=prod' }, async (page, mock) => {
    await page.locator('.expandable-entry').first().waitFor();
    assert.ok((await page.locator('.expandable-entry [data-col=path] .mono:first-child').allTextContents()).every((path) => path === '/v1/payments'));
    await page.getByRole('button', { name: 'Filter', exact: true }).click();
    await page.getByLabel('Field').selectOption('errors');
    await page.getByLabel('Value', { exact: true }).selectOption('true');
    await page.getByRole('button', { name: 'Add', exact: true }).click();
    assert.deepEqual(await until(() => chips(page), (all) => all.length === 3), ['service=payments', 'environment=prod', 'errors=true']);
    await until(() => page.locator('.expandable-entry .labels-status').allTextContents(), (all) => all.length > 0 && all.every((code) => code === '504'));
    assert.equal(requestsTo(mock, 'requests').at(-1).get('errors'), 'true');
  });

  check('take hosts and directions as well', { path: '/requests?direction=outbound&version=1.4.2&consumer=a%5C%2Cb' }, async (page, mock) => {
    await until(() => requestsTo(mock, 'requests').at(-1)?.get('direction'), (direction) => direction === 'outbound');
    await page.getByRole('button', { name: 'Filter', exact: true }).click();
    await page.getByLabel('Field').selectOption('direction');
    await until(() => page.locator('datalist option').evaluateAll((all) => all.map((option) => option.value)), (all) => all.includes('inbound') && all.includes('outbound'));
    await page.getByLabel('Field').selectOption('host');
    await page.getByLabel('Value', { exact: true }).fill('!a.example');
    await page.keyboard.press('Enter');
    assert.deepEqual(await until(() => chips(page), (all) => all.length === 4), ['consumer=a\\,b', 'host=!a.example', 'version=1.4.2', 'direction=outbound']);
    await until(() => requestsTo(mock, 'requests').at(-1).get('host'), (host) => host === '!a.example');
    // As it is in the address: the API has the same grammar.
    assert.equal(requestsTo(mock, 'requests').at(-1).get('consumer'), 'a\\,b');
  });

  check('offer the values that occur', { path: '/requests' }, async (page) => {
    await page.getByRole('button', { name: 'Filter', exact: true }).click();
    await page.getByLabel('Field').selectOption('status');
    await until(() => page.locator('datalist option').evaluateAll((all) => all.map((option) => option.value)), (all) => all.includes('5xx') && all.includes('404'));
  });

  check('stay when the view changes, and go with the back button', { path: '/?consumer=acme' }, async (page) => {
    await page.getByRole('link', { name: 'Requests', exact: true }).click();
    assert.equal(new URL(page.url()).pathname, '/requests');
    assert.deepEqual(await chips(page), ['consumer=acme']);
    await page.locator('.expandable-entry .labels-method').first().click();
    assert.equal((await chips(page)).length, 2);
    await page.goBack();
    assert.deepEqual(await until(() => chips(page), (all) => all.length === 1), ['consumer=acme']);
    await page.goBack();
    assert.equal(new URL(page.url()).pathname, '/');
  });

  check('by class and by error are understood', { path: '/requests?status=5xx' }, async (page) => {
    await until(() => page.locator('.expandable-entry .labels-status').allTextContents(), (all) => all.length > 0 && all.every((code) => code.startsWith('5')));
    await page.getByRole('link', { name: 'Overview', exact: true }).click();
    await page.getByRole('link', { name: /\d errors$/ }).click();
    assert.deepEqual(paramsOf(page), { status: '5xx', errors: 'true' });
    assert.deepEqual(await chips(page), ['status=5xx', 'errors=true']);
  });

  check('that match nothing say so, and are cleared', { path: '/?consumer=nobody&status=200' }, async (page) => {
    await page.getByText('No requests match these filters').waitFor();
    await page.getByRole('button', { name: 'Clear filters' }).click();
    await page.locator('[data-figure=requests]').waitFor();
    assert.deepEqual(paramsOf(page), {});
  });
});
