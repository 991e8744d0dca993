// Releases: their marks in the charts, the list, and what one changed.

import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { LOOKS, seriousFindings } from '../browser.mjs';
import { beyondTheEdge, check, filled, picture, requestsTo, until } from '../harness.mjs';

describe('releases', { concurrency: 2 }, () => {
  check('are marked in the charts, and one click leads to what a release changed', { path: '/?refresh=off' }, async (page) => {
    const note = page.locator('[data-releases]');
    // The version and the configuration that came with it are one mark.
    await note.getByRole('link', { name: '1.5.0' }).waitFor();
    assert.equal(await note.getByRole('link').count(), 1);
    const chart = page.getByRole('slider', { name: 'Requests over time' });
    await chart.focus();
    await page.keyboard.press('End');
    // The release is 25 minutes back in an hour of minutes.
    for (let step = 0; step < 40; step += 1) {
      if (/release 1\.5\.0/.test(await chart.getAttribute('aria-valuetext'))) break;
      await page.keyboard.press('ArrowLeft');
    }
    assert.match(await chart.getAttribute('aria-valuetext'), /, release 1\.5\.0$/);
    await page.locator('.chart-tip em', { hasText: 'release 1.5.0' }).first().waitFor();
    await note.getByRole('link', { name: '1.5.0' }).click();
    await page.getByRole('heading', { name: 'shop 1.5.0' }).waitFor();
  });

  for (const [look, options] of Object.entries(LOOKS)) {
    check(`(${look}) compare each route before and after, the worse ones first`, {
      path: '/releases?refresh=off', ...options,
      prepare: (mock) => {
        mock.slower = { route: '/v1/search', factor: 3, age_s: 1400 };
      },
    }, async (page, mock) => {
      await page.getByRole('status').filter({ hasText: /routes got worse/ }).waitFor();
      const table = page.getByRole('region', { name: 'Routes before and after' });
      const verdicts = await table.locator('tbody tr').evaluateAll((rows) => rows.map((row) => [row.dataset.verdict, row.querySelector('th').textContent]));
      assert.ok(verdicts.some(([verdict, route]) => verdict === 'worse' && route.includes('/v1/search')), `${verdicts}`);
      const rank = ['worse', 'new', 'same', 'better', 'gone'];
      assert.deepEqual(verdicts.map(([verdict]) => verdict), verdicts.map(([verdict]) => verdict).toSorted((a, b) => rank.indexOf(a) - rank.indexOf(b)));
      const [before, after] = requestsTo(mock, 'summary').filter((params) => params.get('group_by') === 'method,route').slice(-2);
      const edges = [before, after].map((params) => [params.get('from'), params.get('to')].map((time) => Date.parse(time) / 60_000));
      edges.sort(([a], [b]) => a - b);
      assert.ok(edges.flat().every(Number.isInteger), `whole minutes: ${edges}`);
      assert.equal(edges[0][1] - edges[0][0], edges[1][1] - edges[1][0], 'equal lengths');
      assert.ok(edges[1][0] > edges[0][1], 'the rolling update lies between');
      assert.ok((await beyondTheEdge(page)) <= 0);
      assert.deepEqual(await seriousFindings(page), []);
      await picture(page, `releases-${look}`);
    });
  }

  check('mark percentiles that are estimates, and only those', { path: '/releases?refresh=off', prepare: (mock) => (mock.otherSenders = ['/v1/search']) }, async (page) => {
    const table = page.getByRole('region', { name: 'Routes before and after' });
    const p95 = (route) => table.locator('tbody tr', { hasText: route }).first().locator('td').last().textContent();
    await until(() => p95('/v1/search'), (text) => /^≈ \d.* → ≈ \d/.test(text ?? ''));
    assert.doesNotMatch(await p95('/v1/products'), /≈/);
    await page.getByText('≈: an estimate.').waitFor();
  });

  check('are listed, and another one is opened', { path: '/releases?refresh=off' }, async (page) => {
    const list = page.getByRole('region', { name: 'All releases' }).last();
    await list.getByRole('link', { name: 'configuration 03ee51b' }).click();
    await page.getByRole('heading', { name: 'shop configuration 03ee51b' }).waitFor();
    assert.equal(new URL(page.url()).searchParams.get('open'), '3');
    await page.getByRole('combobox', { name: 'Length of the stretches' }).click();
    await page.getByRole('option', { name: '1 day' }).click();
    await page.getByText('1,440 whole minutes each').waitFor();
    await filled(page);
  });

  check('are not compared again when both stretches have ended', { path: '/releases' }, async (page, mock) => {
    await page.clock.install();
    await page.reload();
    await page.getByRole('combobox', { name: 'Length of the stretches' }).click();
    await page.getByRole('option', { name: '15 minutes' }).click();
    await page.getByText('15 whole minutes each').waitFor();
    await filled(page);
    const releases = () => mock.seen.filter((path) => path === '/api/v1/releases').length;
    const compared = () => requestsTo(mock, 'summary').filter((params) => params.get('group_by') === 'method,route').length;
    mock.seen.length = 0;
    await until(async () => (await page.clock.fastForward(5_000), releases()), (count) => count >= 3);
    assert.equal(compared(), 0);
    await page.getByRole('button', { name: 'Refresh now' }).click();
    await until(compared, (count) => count >= 2);
  });

  check('are explained where there are none', { path: '/releases?refresh=off', mode: 'heartbeat' }, async (page) => {
    await page.getByText('No gateway has reported yet').waitFor();
  });

  check('come in pages', { path: '/releases?refresh=off', prepare: (mock) => (mock.most = 2) }, async (page) => {
    const list = page.getByRole('region', { name: 'All releases' }).last();
    await until(() => list.locator('tbody tr').count(), (count) => count === 2);
    await page.getByRole('button', { name: 'Load more' }).click();
    await until(() => list.locator('tbody tr').count(), (count) => count === 4);
  });
});
