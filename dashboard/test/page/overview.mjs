// The overview: figures, charts, tables.

import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { check, quantity, requestsTo, until } from '../harness.mjs';

describe('the overview', { concurrency: 2 }, () => {
  check('shows the figures of the API', {}, async (page, mock) => {
    const shown = await page.locator('[data-figure=requests]').textContent();
    const [from, to] = ['from', 'to'].map((name) => requestsTo(mock, 'summary')[0].get(name));
    const { rows } = await (await fetch(`${mock.url}/api/v1/summary?from=${from}&to=${to}`)).json();
    // The stand-in's running minute grows between the two questions.
    const requests = Number(shown.replace(/\D/g, ''));
    assert.ok(requests > 0 && requests <= rows[0].requests && requests > rows[0].requests * 0.97, `${shown}, API ${rows[0].requests}`);
  });

  check('draws four charts that are not blank', {}, async (page) => {
    await until(() => page.locator('.chart-plot canvas').count(), (count) => count === 4);
    const colours = await page.locator('.chart-plot canvas').evaluateAll((all) =>
      all.map((canvas) => {
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        return new Set(new Uint32Array(data.buffer)).size;
      }),
    );
    for (const count of colours) assert.ok(count > 5);
  });

  const ago = (minutes) => new Date(Date.now() - minutes * 60_000).toISOString();
  check('shades merged minutes and explains them', { prepare: (mock) => mock.coarse.push({ from: ago(30), to: ago(20) }) }, async (page) => {
    await page.getByText(/^Shaded: \d\d:\d\d – \d\d:\d\d\. The gateway could not report/).waitFor();
    const plot = page.getByRole('slider', { name: 'Requests over time' });
    const { width, height } = await plot.boundingBox();
    await plot.hover({ position: { x: width * 0.6, y: height / 2 } });
    await page.locator('.chart-tip em', { hasText: 'merged' }).first().waitFor();
    await plot.hover({ position: { x: width * 0.2, y: height / 2 } });
    await until(() => page.locator('.chart-tip em').count(), (count) => count === 0);
  });

  check('survives answers that make no sense', { path: '/?refresh=off' }, async (page, mock) => {
    await page.locator('.u-over').nth(2).waitFor();
    const odd = [0, 1e-320, 1e300, -1, null, 5e-7];
    await page.route('**/api/v1/timeseries?**', async (route) => {
      const from = Date.parse(new URL(route.request().url()).searchParams.get('from'));
      const point = (value, index) => ({
        time: new Date(from + index * 60_000).toISOString(), status: 200, requests: value ?? 0, errors: 0, request_bytes: 0, response_bytes: 0,
        p50_ms: value, p75_ms: value, p95_ms: value, p99_ms: value, upstream_p95_ms: value,
      });
      await route.fulfill({ json: { from: '', to: '', points: odd.map(point), coarse: [{ from: 'x', to: 'y' }, { from: '1970-01-01T00:00:00Z', to: '9999-01-01T00:00:00Z' }] } });
    });
    mock.seen.length = 0;
    await page.getByRole('button', { name: 'Refresh now' }).click();
    await until(() => page.getByRole('slider', { name: 'Latency over time' }).getAttribute('aria-valuetext'), (text) => text.length > 0);
    await page.getByText(/^Shaded/).waitFor();
    assert.equal(await page.locator('.u-over').count(), 4);
  });

  check('announces the values under the crosshair, moved by keyboard', { path: '/?refresh=off' }, async (page) => {
    const plot = page.getByRole('slider', { name: 'Latency over time' });
    const value = async () => Number(await plot.getAttribute('aria-valuenow'));
    await plot.focus();
    const last = Number(await plot.getAttribute('aria-valuemax'));
    assert.equal(await value(), last - 1, 'the last slot that is over');
    await page.keyboard.press('ArrowLeft');
    await page.keyboard.press('ArrowLeft');
    assert.equal(await value(), last - 3);
    assert.match(await plot.getAttribute('aria-valuetext'), /^\d\d:\d\d: p50 .*ms, p95 .*, p99 /);
    const tip = page.locator('.chart', { hasText: 'Latency' }).locator('.chart-tip');
    assert.match(await tip.textContent(), /^\d\d:\d\dp50.*ms.*p95.*p99/);
    for (const [key, wanted] of [['Home', 0], ['ArrowLeft', 0], ['ArrowRight', 1], ['PageUp', 11], ['End', last], ['ArrowRight', last]]) {
      await page.keyboard.press(key);
      assert.equal(await value(), wanted, key);
    }
  });

  check('hides a series by its legend', {}, async (page) => {
    const button = page.getByRole('button', { name: 'p99', exact: true }).and(page.locator('.chart-legend button'));
    await button.click();
    assert.equal(await button.getAttribute('aria-pressed'), 'false');
  });

  check('sorts by every column, both ways', {}, async (page) => {
    const table = page.locator('.rank').first();
    await table.locator('tbody th').first().waitFor();
    await table.getByRole('button', { name: /^Show all/ }).click();
    for (const [column, at] of [['Requests', 0], ['Errors', 1], ['p50', 2], ['p95', 3], ['p99', 4]]) {
      const heading = table.getByRole('columnheader', { name: column });
      if ((await heading.getAttribute('aria-sort')) === 'none') await heading.getByRole('button').click();
      for (const direction of ['descending', 'ascending']) {
        assert.equal(await heading.getAttribute('aria-sort'), direction);
        const values = await table.locator(`tbody td:nth-of-type(${at + 1})`).allTextContents();
        const numbers = values.map(quantity);
        const sorted = numbers.toSorted((a, b) => (direction === 'ascending' ? a - b : b - a));
        assert.deepEqual(numbers, sorted, `${column} ${direction}: ${values}`);
        await heading.getByRole('button').click();
      }
    }
  });

  check('says what the period is compared with', {}, async (page, mock) => {
    await page.locator('[data-figure=requests]').waitFor();
    const [now, before] = requestsTo(mock, 'summary').filter((params) => !params.has('group_by'));
    assert.equal(before.get('to'), now.get('from'));
    assert.ok(await page.getByText('compared with the previous hour').isVisible());
  });
});
