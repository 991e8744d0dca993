// The switch of environments, services, hosts and versions, and these side by side.

import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { LOOKS, seriousFindings } from '../browser.mjs';
import { beyondTheEdge, check, chips, filled, paramsOf, refreshed, requestsTo, until } from '../harness.mjs';

const button = (page) => page.getByRole('button', { name: /^Traffic shown/ });

describe('the switch of the traffic', { concurrency: 2 }, () => {
  check('offers what occurs, takes several, and stays when the view changes', { path: '/?refresh=off' }, async (page, mock) => {
    await button(page).click();
    const dialog = page.getByRole('dialog', { name: 'Traffic shown' });
    // The stand-in has one environment, so there is nothing to choose.
    assert.equal(await dialog.getByText('Environments').count(), 0);
    await dialog.getByRole('checkbox', { name: 'payments' }).check();
    await until(() => paramsOf(page).service, (service) => service === 'payments');
    await until(() => requestsTo(mock, 'summary').some((params) => params.get('service') === 'payments'), Boolean);
    await dialog.getByRole('checkbox', { name: 'shop', exact: true }).check();
    await until(() => paramsOf(page).service, (service) => service === 'payments,shop');
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Traffic shown: payments, shop' }).waitFor();
    await page.getByRole('link', { name: 'Requests', exact: true }).click();
    assert.equal(paramsOf(page).service, 'payments,shop');
    assert.deepEqual(await until(() => chips(page), (all) => all.length > 0), ['service=payments,shop']);
    await until(() => requestsTo(mock, 'requests').some((params) => params.get('service') === 'payments,shop'), Boolean);
    await button(page).click();
    for (const name of ['payments', 'shop']) await dialog.getByRole('checkbox', { name, exact: true }).uncheck();
    await until(() => paramsOf(page).service, (service) => service === undefined);
  });

  check('shows services side by side', { path: '/?refresh=off' }, async (page, mock) => {
    await button(page).click();
    await page.getByLabel('Side by side').selectOption('service');
    assert.equal(paramsOf(page).split, 'service');
    await page.keyboard.press('Escape');
    const table = page.locator('section', { has: page.getByRole('heading', { name: 'Side by side, by service' }) });
    const names = await until(() => table.locator('tbody th').allTextContents(), (all) => all.length === 2);
    assert.deepEqual(names, ['shop', 'payments']);
    const plot = page.getByRole('slider', { name: 'Latency p95 over time' });
    await until(() => plot.getAttribute('aria-valuetext'), (text) => /shop \d[^,]*, payments \d/.test(text));
    assert.ok(requestsTo(mock, 'timeseries').some((params) => params.get('group_by') === 'service' && params.get('service') === 'shop,payments'));
    // What is drawn side by side is not asked for together.
    mock.seen.length = 0;
    await refreshed(page, 'timeseries');
    assert.deepEqual(requestsTo(mock, 'timeseries').map((params) => params.get('group_by')), ['service']);
    // Another view of the same kind is split as well.
    await page.getByRole('link', { name: 'Consumers', exact: true }).click();
    await page.locator('[data-split] tbody th a').first().click();
    await page.getByRole('heading', { name: 'Side by side, by service' }).waitFor();
  });

  check('shows why services are not side by side', { path: '/?refresh=off', complains: true }, async (page) => {
    await page.route('**/api/v1/timeseries?*group_by=service*', (route) => route.fulfill({ status: 503, json: { error: { code: 'store', message: 'the store is read-only', field: null } } }));
    await button(page).click();
    await page.getByLabel('Side by side').selectOption('service');
    await page.getByRole('alert').getByText('the store is read-only').waitFor();
  });

  for (const path of ['/', '/consumer?consumer=acme', '/errors', '/errors?kind=client']) {
    check(`shows a failure of the whole store once: ${path}`, { path: `${path}${path.includes('?') ? '&' : '?'}refresh=off&split=service`, complains: true }, async (page, mock) => {
      await page.getByRole('slider').first().waitFor();
      await filled(page);
      await until(() => page.getByRole('slider').first().getAttribute('aria-valuetext'), (text) => /payments/.test(text ?? ''));
      mock.mode = 'error';
      await page.getByRole('button', { name: 'Refresh now' }).click();
      await page.getByRole('alert').first().getByText('the store is read-only').waitFor();
      // All questions have failed by then, whichever was the first.
      await refreshed(page, 'timeseries');
      await filled(page);
      await until(() => page.getByRole('alert').count(), (count) => count === 1);
    });
  }

  for (const [look, options] of Object.entries(LOOKS)) {
    check(`is sound in ${look}`, { path: '/?refresh=off&split=host&compare=day', ...options }, async (page) => {
      await page.getByRole('slider', { name: 'Latency p95 over time' }).waitFor();
      await filled(page);
      await button(page).click();
      await page.getByRole('checkbox', { name: 'pay.example.com' }).waitFor();
      assert.deepEqual(await seriousFindings(page), []);
      assert.equal(await beyondTheEdge(page), 0, 'the page scrolls sideways');
    });
  }
});
