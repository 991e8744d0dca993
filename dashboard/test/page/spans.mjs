// What applications did for a request.

import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { LOOKS, seriousFindings } from '../browser.mjs';
import { beyondTheEdge, check, picture, requestsTo, until } from '../harness.mjs';
import { exampleSpans } from '../mock-spans.mjs';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const TIME = Date.parse('2026-11-10T11:00:00.250Z');
const PATH = '/requests?from=2026-11-10T10:00:00Z&to=2026-11-10T12:00:00Z';
const REQUEST = { time: '2026-11-10T11:00:00.250000Z', consumer: 'a', method: 'POST', route: '/v1/orders', path: '/v1/orders', query: 'traced=1', status: 503, duration_ms: 320, upstream_ms: 310, direction: 'inbound', service: 'shop', trace_id: TRACE };

const withSpans = (more = {}) => (mock) => {
  mock.extra.push(REQUEST);
  mock.spans[TRACE] = exampleSpans(TIME, more);
};
const trace = (page) => page.getByRole('region', { name: 'Spans of applications' });
const lines = (page) => trace(page).getByRole('listitem');

async function opened(page) {
  await page.locator('.expandable-entry', { hasText: 'traced=1' }).locator('.expandable-expand').click();
  await until(() => lines(page).count(), (count) => count === 5);
}

describe('the trace of a request', { concurrency: 2 }, () => {
  for (const [look, options] of Object.entries(LOOKS)) {
    check(`(${look}) is a waterfall below the gateway's own span`, { path: PATH, ...options, prepare: withSpans() }, async (page, mock) => {
      await opened(page);
      const names = await lines(page).evaluateAll((all) => all.map((line) => line.querySelector('.mono').textContent));
      assert.deepEqual(names, ['Gateway', 'POST /v1/orders', 'INSERT orders', 'reserve', 'stock.Reserve'], 'each below the one that caused it, by start');
      const shares = await lines(page).evaluateAll((all) => all.map((line) => ['left', 'width'].map((side) => Number.parseFloat(line.querySelector('i').style[side]))));
      const expected = [[0, 100], [10 / 3.2, 300.25 / 3.2], [20 / 3.2, 42.5 / 3.2], [120 / 3.2, 180 / 3.2], [130 / 3.2, 0.02 / 3.2]];
      expected.forEach((pair, line) => pair.forEach((share, side) => assert.ok(Math.abs(shares[line][side] - share) < 0.05, `${names[line]}: ${shares[line]} is not ${pair}`)));
      assert.deepEqual(await lines(page).evaluateAll((all) => all.map((line) => line.dataset.look)), ['gateway', 'application', 'application', 'error', 'application']);
      const text = await trace(page).textContent();
      for (const part of ['4 spans of 2 services', 'orders-api · client · postgresql INSERT orders', 'stock · server · grpc stock Reserve', 'no stock for <b>A-17</b>', 'nothing is corrected']) assert.ok(text.includes(part), `${part} is not in ${text}`);
      assert.ok(!text.includes('before the gateway received the request'), text);
      assert.deepEqual(requestsTo(mock, 'spans').map(String), [`trace_id=${TRACE}`]);
      assert.ok((await beyondTheEdge(page)) <= 0);
      assert.deepEqual(await seriousFindings(page), []);
      await picture(page, `spans-${look}`, trace(page));
    });
  }

  check('does not hide that clocks differ', { path: PATH, prepare: withSpans({ early_ms: 100 }) }, async (page) => {
    await opened(page);
    await trace(page).getByText('2 spans begin up to 90 ms before the gateway received the request.').waitFor();
    const left = await lines(page).evaluateAll((all) => all.map((line) => Number.parseFloat(line.querySelector('i').style.left)));
    assert.ok(left[1] === 0 && Math.abs(left[0] - 90 / 4.1) < 0.05, `${left}`);
  });

  check('is without messages for a viewer', {
    path: PATH,
    prepare: (mock) => {
      withSpans()(mock);
      mock.spansLeftOut = 12;
      mock.session = { required: true, methods: ['password'], provider: null, person: { name: 'eve', role: 'viewer', expires_in: null } };
    },
  }, async (page) => {
    await page.locator('.expandable-entry').first().waitFor();
    await page.locator('.expandable-entry', { hasText: '/v1/orders' }).first().locator('.expandable-expand').click();
    await until(() => lines(page).count(), (count) => count === 5);
    const text = await trace(page).textContent();
    assert.ok(!text.includes('no stock') && text.includes('withheld from your role') && text.includes('12 more spans of this trace were not kept'), text);
  });

  check('is not there where applications send none', { path: PATH, prepare: (mock) => mock.extra.push(REQUEST) }, async (page, mock) => {
    await page.locator('.expandable-entry', { hasText: 'traced=1' }).locator('.expandable-expand').click();
    await until(() => requestsTo(mock, 'spans').length, (count) => count === 1);
    await page.getByRole('button', { name: 'Find calls made by this request' }).waitFor();
    assert.equal(await trace(page).count(), 0);
  });
});

describe('percentiles of other senders', { concurrency: 2 }, () => {
  check('are marked as estimates, and only those', { path: '/routes?from=2026-11-10T10:00:00Z&to=2026-11-10T12:00:00Z', prepare: (mock) => Object.assign(mock, { otherSenders: ['/v1/search'] }) }, async (page) => {
    const cell = (route) => page.locator('.entity-table-entities tbody tr', { hasText: route }).locator('td[data-col=p95]').textContent();
    await until(() => cell('/v1/search'), (text) => /^≈ \d/.test(text ?? ''));
    assert.match(await cell('/v1/payments'), /^\d/);
    await page.getByText('≈: an estimate.').waitFor();
  });

  check('are marked among the figures, too', { path: '/?from=2026-11-10T10:00:00Z&to=2026-11-10T12:00:00Z', prepare: (mock) => Object.assign(mock, { otherSenders: ['*'] }) }, async (page) => {
    await page.getByText('1 in 20 slower, an estimate').waitFor();
    if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/estimated.png` });
  });
});
