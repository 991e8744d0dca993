// The status page: what is up now, and the days and hours before.

import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { LOOKS, seriousFindings } from '../browser.mjs';
import { beyondTheEdge, check, filled, picture, requestsTo, until } from '../harness.mjs';

describe('the status page', { concurrency: 2 }, () => {
  for (const [look, options] of Object.entries(LOOKS)) {
    check(`(${look}) shows services, probes, gateways and routes with thirty days`, { path: '/status?refresh=off', ...options }, async (page) => {
      await page.getByRole('status').filter({ hasText: 'Something is degraded' }).waitFor();
      const services = page.getByRole('region', { name: 'Services' });
      const payments = services.getByRole('listitem').filter({ hasText: 'payments' });
      await payments.getByText('up', { exact: true }).waitFor();
      await payments.getByRole('img', { name: /^30 days with data, 2 of them with bad or silent minutes, most on \w+ \d+: 1,440 min with traffic, 180 min bad$/ }).waitFor();
      const levels = await payments.locator('[data-level]').evaluateAll((bars) => bars.map((bar) => bar.dataset.level));
      assert.deepEqual([levels.length, levels[23], levels[17], levels[29]], [30, 'many', 'some', 'good']);
      const checkout = page.getByRole('region', { name: 'Probes' }).getByRole('listitem').filter({ hasText: 'checkout' });
      await checkout.getByText('it did not respond within 5000 ms').waitFor();
      await page.getByRole('region', { name: 'Gateways' }).getByRole('listitem').filter({ hasText: 'edge-2' }).getByText('no data').waitFor();
      await page.getByRole('region', { name: 'Routes' }).getByRole('link', { name: 'POST /v1/orders' }).waitFor();
      await filled(page);
      assert.ok((await beyondTheEdge(page)) <= 0);
      assert.deepEqual(await seriousFindings(page), []);
      await picture(page, `status-${look}`);
    });
  }

  check('says what is down, and shows hours when asked to', { path: '/status?refresh=off', prepare: (mock) => (mock.down = 'payments') }, async (page, mock) => {
    await page.getByRole('status').filter({ hasText: 'Something is down' }).waitFor();
    await page.getByRole('combobox', { name: 'Period of the bars' }).click();
    await page.getByRole('option', { name: 'Last 24 hours' }).click();
    const bars = page.getByRole('region', { name: 'Services' }).getByRole('listitem').first().locator('[data-level]');
    await until(() => bars.count(), (count) => count === 24);
    await until(() => requestsTo(mock, 'uptime'), (all) => all.filter((params) => params.get('step') === '3600').length >= 4);
    assert.equal(new URL(page.url()).searchParams.get('span'), 'hours');
  });

  check('says how to set up probes, and what is missing', { path: '/status?refresh=off', mode: 'empty' }, async (page) => {
    await page.getByText('No gateway has reported in this time.').waitFor();
    await page.getByText('None is set up.').waitFor();
  });
});
