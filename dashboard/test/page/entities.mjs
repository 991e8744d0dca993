// Routes and consumers: the lists of all, and the views of one.

import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { check, chips, filled, latestOf, paramsOf, quantity, requestsTo, until } from '../harness.mjs';

const names = (page) => page.locator('.entity-table-entities tbody th .labels-name').allTextContents();

for (const { path, by, total, column, first, special, words } of [
  { path: '/routes', by: 'method,route', total: 11, column: 'p99', first: '/v1/reports/{uuid}/export', special: 'unmatched', words: /Requests that match no known route/ },
  { path: '/consumers', by: 'consumer', total: 7, column: 'Errors', first: 'hooli', special: 'anonymous', words: /Requests without a consumer/ },
]) {
  describe(`the list at ${path}`, { concurrency: 2 }, () => {
    check('has them all, with what the API counts', { path: `${path}?refresh=off` }, async (page, mock) => {
      await page.locator('.spark').nth(total - 1).waitFor();
      assert.equal((await names(page)).length, total);
      const asked = latestOf(requestsTo(mock, 'summary').filter((params) => params.get('group_by') === by && !params.has('status')));
      const { rows } = await (await fetch(`${mock.url}/api/v1/summary?${asked}`)).json();
      // The stand-in's running minute grows between the two questions.
      const shown = quantity(await page.locator('tbody td[data-col=requests]').first().textContent());
      const most = Math.max(...rows.map((row) => row.requests));
      assert.ok(shown <= most && shown > most * 0.97, `${shown}, API ${most}`);
      const shares = (await page.locator('td[data-col=share]').allTextContents()).map(quantity);
      assert.ok(Math.abs(shares.reduce((a, b) => a + b) - 100) < 1, `${shares}`);
    });

    check('is sorted by any column, both ways, and the address knows', { path: `${path}?refresh=off` }, async (page) => {
      await page.locator('.spark').first().waitFor();
      for (const heading of await page.locator('th[aria-sort]').all()) {
        for (let turn = 0; turn < 2; turn += 1) {
          await heading.getByRole('button').click();
          const id = await heading.getAttribute('data-col');
          const descending = (await heading.getAttribute('aria-sort')) === 'descending';
          assert.equal(paramsOf(page).sort, descending ? `-${id}` : id);
          if (['name', 'group', 'routes', 'first', 'last'].includes(id)) continue;
          const values = (await page.locator(`tbody td[data-col=${id}]`).allTextContents()).map(quantity);
          assert.deepEqual(values, values.toSorted((a, b) => (descending ? b - a : a - b)), `${id}: ${values}`);
        }
      }
      await page.getByRole('columnheader', { name: column, exact: true }).getByRole('button').click();
      await page.reload();
      await page.locator('.spark').first().waitFor();
      assert.equal((await names(page))[0], first);
    });

    if (path === '/consumers') {
      check('has names and groups beside the IDs, and a click on a group filters by it', { path }, async (page, mock) => {
        const acme = page.locator('.entity-table-entities tbody tr', { hasText: 'acme' });
        assert.equal(await acme.locator('.labels-alias').textContent(), 'Acme Inc.');
        await page.getByRole('searchbox').fill('HOOLI');
        assert.deepEqual(await until(() => names(page), (all) => all.length === 1), ['hooli']);
        await page.getByRole('searchbox').fill('');
        await acme.getByRole('button', { name: 'Show only group enterprise' }).click();
        await until(() => chips(page), (all) => all.includes('group=enterprise'));
        await until(() => requestsTo(mock, 'summary').some((params) => params.get('group') === 'enterprise'), Boolean);
      });
    }

    check('is searched, and the address knows', { path }, async (page) => {
      await page.locator('.entity-table-entities tbody th').first().waitFor();
      await page.getByRole('searchbox').fill(first.toUpperCase());
      assert.deepEqual(await until(() => names(page), (all) => all.length === 1), [first]);
      assert.equal(paramsOf(page).q, first.toUpperCase());
      await page.getByRole('searchbox').fill('there is none');
      await page.getByText('No match for “there is none”.').waitFor();
    });

    check('says what its special names mean', { path }, async (page) => {
      await page.locator('.card-note', { hasText: words }).waitFor();
      // The one that changed most may have this name, too.
      await page.getByRole('table').getByRole('link', { name: special }).click();
      await page.locator('.entity-head p', { hasText: words }).waitFor();
    });

    check('marks new and inactive ones', { path }, async (page, mock) => {
      await page.route('**/api/v1/summary?**', async (route) => {
        const answer = await (await fetch(route.request().url().replace(/^http:\/\/[^/]*/, mock.url))).json();
        // Of two questions about an hour the earlier one is about the time before, also when a minute has passed meanwhile.
        if (Date.parse(answer.to) < Date.now() - 50 * 60_000 && answer.rows.length > 1) {
          const [one, ...others] = answer.rows;
          answer.rows = [...others.slice(1), { ...one, consumer: 'gone-by', route: '/gone-by' }];
        }
        await route.fulfill({ json: answer });
      });
      await page.locator('.spark').first().waitFor();
      await page.getByRole('button', { name: 'Refresh now' }).click();
      // A consumer that was counted a month ago comes back.
      await page.locator('.tag', { hasText: path === '/consumers' ? 'returning' : 'new' }).first().waitFor();
      await page.locator('.entity-table-inactive', { hasText: 'gone-by' }).waitFor();
    });

    check('is empty in words', { path, mode: 'heartbeat' }, async (page) => {
      await page.getByText('No requests in this period').waitFor();
    });

    check('says when the ingest fails', { path, mode: 'error', complains: true }, async (page) => {
      await page.getByRole('alert').waitFor();
      await page.getByText('No data yet').waitFor();
    });
  });
}

describe('percentiles', () => {
  check('say whose they are: those of the upstream are of fewer requests, and can be higher', { path: '/routes?refresh=off' }, async (page) => {
    await page.locator('.spark').first().waitFor();
    const payments = page.locator('.entity-table-entities tbody tr', { hasText: '/v1/orders' }).filter({ hasText: 'POST' });
    const [p95, upstream] = (await Promise.all(['p95', 'upstream'].map((id) => payments.locator(`[data-col=${id}]`).textContent()))).map(quantity);
    assert.ok(upstream > p95, `${upstream} µs, ${p95} µs`);
    assert.match(await payments.locator('[data-col=upstream]').getAttribute('title'), /^[\d,]+ of [\d,]+ requests reached an upstream$/);
    const heading = page.getByRole('columnheader', { name: 'Upstream p95' }).getByRole('button');
    assert.match(await heading.getAttribute('title'), /of requests that reached an upstream/);
    const note = page.locator(`[id="${await heading.getAttribute('aria-describedby')}"]`);
    assert.match(await note.textContent(), /^Upstream p95: of requests that reached an upstream\..* is not a part of p95 and can be higher\.$/);
    assert.ok(await note.isVisible());
  });
});

describe('names', () => {
  check('that stand for something else are explained, and others are not taken for them', { path: '/consumers?refresh=off' }, async (page) => {
    await page.locator('.spark').first().waitFor();
    const names = ['__overflow__', 'constructor', '__proto__', '<b>bold</b>', 'x'.repeat(128)];
    await page.route('**/api/v1/summary?**', (route) => {
      const row = { requests: 5, errors: 0, request_bytes: 0, response_bytes: 0, p50_ms: 0.049, p75_ms: 0.049, p95_ms: 0.049, p99_ms: 0.049, upstream_p95_ms: null };
      return route.fulfill({ json: { from: '', to: '', rows: names.map((consumer) => ({ consumer, route: '/', ...row })) } });
    });
    await page.getByRole('button', { name: 'Refresh now' }).click();
    await page.locator('.card-note', { hasText: /^overflow: Requests beyond the limit on series/ }).waitFor();
    const shown = await page.locator('.entity-table-entities tbody th .labels-name').allTextContents();
    assert.deepEqual(shown.toSorted(), ['overflow', ...names.slice(1)].toSorted());
    assert.equal(await page.locator('.labels-name.labels-special').count(), 1);
    assert.equal(await page.locator('td[data-col=p95]').first().textContent(), '49 µs');
    const beyond = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.equal(beyond, 0, 'the page scrolls sideways');
  });
});

describe('the view of one', { concurrency: 2 }, () => {
  check('is reached by keyboard, and left to the list', { path: '/routes?refresh=off' }, async (page, mock) => {
    await page.locator('.spark').first().waitFor();
    await page.getByRole('link', { name: 'POST /v1/orders' }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'POST /v1/orders' }).waitFor();
    assert.equal(new URL(page.url()).pathname, '/route');
    assert.deepEqual(await chips(page), ['route=/v1/orders', 'method=POST']);
    assert.match(await page.title(), /^POST \/v1\/orders/);
    await filled(page);
    for (const name of ['summary', 'timeseries', 'requests']) {
      const asked = requestsTo(mock, name).at(-1);
      assert.deepEqual([asked.get('route'), asked.get('method')], ['/v1/orders', 'POST'], name);
    }
    await page.getByRole('navigation', { name: 'Breadcrumb' }).getByRole('link').click();
    assert.equal(new URL(page.url()).pathname + new URL(page.url()).search, '/routes?refresh=off');
  });

  check('of a route breaks down statuses, and lists consumers and errors', { path: '/route?method=POST&route=%2Fv1%2Forders&refresh=off' }, async (page) => {
    const errors = page.getByRole('region', { name: 'Latest errors' });
    await errors.locator('.expandable-entry').first().waitFor();
    await filled(page);
    const codes = await page.locator('.status-breakdown-statuses .labels-status').allTextContents();
    assert.deepEqual(codes.toSorted(), ['201', '409', '422', '503']);
    assert.ok((await errors.locator('.expandable-entry .labels-status').allTextContents()).every((code) => code === '503'));
    assert.equal(await page.locator('.rank tbody tr').count(), 7);
    await page.locator('.rank').getByRole('link', { name: 'hooli' }).click();
    await page.getByRole('heading', { name: 'hooli' }).waitFor();
    assert.deepEqual(paramsOf(page), { method: 'POST', route: '/v1/orders', consumer: 'hooli', refresh: 'off' });
  });

  check('of a consumer lists its routes, and leads to its requests', { path: '/consumer?consumer=hooli' }, async (page) => {
    await page.locator('.rank .labels-route').first().waitFor();
    await page.locator('.status-breakdown-statuses a').first().click();
    await page.locator('.expandable-entry').first().waitFor();
    assert.equal(new URL(page.url()).pathname, '/requests');
    assert.deepEqual(paramsOf(page), { consumer: 'hooli', status: '200' });
  });

  check('without its filter is the list of all', { path: '/route?route=%2Fv1%2Fsearch' }, async (page) => {
    await page.getByRole('button', { name: /^Remove filter route/ }).click();
    await page.locator('.entity-table-entities tbody th').nth(10).waitFor();
  });

  check('of what does not exist says so', { path: '/consumer?consumer=nobody' }, async (page) => {
    await page.getByText('No requests match these filters').waitFor();
  });
});

describe('learned routes', { concurrency: 2 }, () => {
  check('are marked, listed and ready to paste', { path: '/routes' }, async (page, mock) => {
    await page.locator('.entity-table-entities tbody th').first().waitFor();
    assert.equal(await page.locator('[data-learned]').count(), 0);
    mock.learned = '/v1/shops/{param}';
    await page.reload();
    const card = page.getByRole('region', { name: 'Learned routes of shop, prod' });
    await card.getByText('1 parameter from 3,500 requests').waitFor();
    assert.deepEqual(await card.locator('tbody th .labels-name').allTextContents(), ['/v1/shops/search', '/v1/shops/{param}']);
    // The mark is on routes that have traffic.
    assert.equal(await page.locator('.entity-table-entities .tag-tag', { hasText: 'learned' }).count(), 0);
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await card.getByRole('button', { name: 'Copy as templates' }).click();
    await card.getByRole('button', { name: 'Copied' }).waitFor();
    const pasted = JSON.parse(await page.evaluate(() => navigator.clipboard.readText()));
    assert.deepEqual(pasted, ['GET /v1/shops/search', 'GET /v1/shops/{param}']);
  });
});
