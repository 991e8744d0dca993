// Empty, waiting and failing.

import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { seriousFindings } from '../browser.mjs';
import { check } from '../harness.mjs';

describe('without data', { concurrency: 2 }, () => {
  check('it says how to begin', { mode: 'empty' }, async (page) => {
    await page.getByText('Waiting for the first gateway').waitFor();
    assert.match(await page.locator('main').textContent(), /"cluster": "gatelens_ingest"/);
    assert.deepEqual(await seriousFindings(page), []);
  });

  check('it shows the liveness of the gateway', { mode: 'heartbeat' }, async (page) => {
    await page.getByText('No requests in this period').waitFor();
    assert.match(await page.locator('main').textContent(), /Gateway edge-1 is connected \(last seen (just now|\d+ s ago)\)/);
  });

  for (const path of ['/errors', '/errors?kind=client', '/errors?split=service']) {
    check(`it names no number before there is one: ${path}`, { path, mode: 'hang' }, async (page) => {
      await page.locator('main [data-animate]').first().waitFor();
      assert.doesNotMatch(await page.locator('main').evaluate((main) => [...main.querySelectorAll('h2, [aria-label="Kind of errors"]')].map((part) => part.textContent).join()), /\b0\b/);
    });
  }

  check('it keeps a place for releases', { path: '/releases', mode: 'hang' }, async (page) => {
    await page.locator('main [data-animate]').first().waitFor();
  });

  check('it fills when the first request comes', { mode: 'empty' }, async (page, mock) => {
    await page.getByText('Waiting for the first gateway').waitFor();
    mock.mode = 'data';
    await page.getByRole('button', { name: 'Refresh now' }).click();
    await page.locator('[data-figure=requests]').waitFor();
  });

  check('it keeps the places while waiting', { mode: 'hang' }, async (page, mock) => {
    await page.locator('.figure [data-animate]').first().waitFor();
    const place = () => page.locator('.traffic-charts-charts > .chart').first().boundingBox();
    const waiting = await place();
    mock.mode = 'data';
    await page.locator('.u-over').nth(2).waitFor();
    await page.locator('[data-figure=requests]').waitFor();
    assert.deepEqual(await place(), waiting);
  });
});

describe('when the ingest fails', { concurrency: 2 }, () => {
  const ways = {
    error: /The ingest responded with 503\. the store is read-only/,
    garbled: /The ingest responded with 502\. No further details\./,
    reset: /The ingest cannot be reached/,
  };
  for (const [mode, words] of Object.entries(ways)) {
    check(`(${mode}) the old data stays, and trying again helps`, { path: '/?refresh=off', complains: true }, async (page, mock) => {
      await page.locator('[data-figure=requests]').waitFor();
      mock.mode = mode;
      await page.getByRole('button', { name: 'Refresh now' }).click();
      const banner = page.getByRole('alert');
      await banner.waitFor();
      assert.match(await banner.textContent(), words);
      assert.ok(await page.locator('[data-figure=requests]').isVisible());
      assert.deepEqual(await seriousFindings(page), []);
      mock.mode = 'data';
      await banner.getByRole('button', { name: 'Try again' }).click();
      await banner.waitFor({ state: 'detached' });
    });

    check(`(${mode}) from the start, it says so`, { path: '/?refresh=off', mode, complains: true }, async (page, mock) => {
      assert.match(await page.getByRole('alert').textContent(), words);
      await page.getByText('No data yet').waitFor();
      mock.mode = 'data';
      await page.getByRole('button', { name: 'Try again' }).click();
      await page.locator('[data-figure=requests]').waitFor();
    });
  }
});

describe('a refused question', () => {
  check('is not called an absence of data', { path: '/?refresh=off&status=5yy', complains: true }, async (page) => {
    await page.route('**/api/v1/{summary,timeseries,requests}?*', (route) =>
      route.fulfill({ status: 400, contentType: 'application/json', body: '{"error": {"code": "invalid_parameter", "message": "expected a status, such as 5xx", "field": "status"}}' }));
    await page.reload();
    await page.getByRole('alert').getByText('expected a status, such as 5xx (status)').waitFor();
    assert.equal(await page.getByText('No data yet').count(), 0);
    assert.equal(await page.locator('[data-blank]').count(), 0);
  });
});
