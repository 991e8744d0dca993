// Views beside another stretch of time: the choice, figures, charts and tables.

import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { LOOKS, seriousFindings } from '../browser.mjs';
import { beyondTheEdge, check, filled, paramsOf, quantity, requestsTo, until } from '../harness.mjs';

/** A range that has ended, so that nothing grows between two questions. */
const PERIOD = 'from=2026-11-10T10:00Z&to=2026-11-10T12:00Z';
const ARROW = ' → ';

describe('a view is compared', { concurrency: 2 }, () => {
  check('with yesterday, and the address knows', { path: `/?${PERIOD}` }, async (page, mock) => {
    await page.locator('[data-figure=requests]').waitFor();
    assert.equal(await page.locator('.figure').getByText(ARROW).count(), 0);
    await page.getByRole('button', { name: 'Compare', exact: true }).click();
    await page.getByRole('button', { name: 'Yesterday, the same time' }).click();
    assert.equal(paramsOf(page).compare, 'day');
    await page.getByRole('button', { name: 'Compared with the day before' }).waitFor();

    const { rows, compared_with: span } = await (await fetch(`${mock.url}/api/v1/summary?${PERIOD}&compare=day`)).json();
    assert.equal(span.from, '2026-11-09T10:00:00.000Z');
    const figure = page.locator('.figure', { hasText: 'Latency p95' }).locator('strong');
    const text = await until(() => figure.textContent(), (all) => all.includes(ARROW));
    const [before, now] = text.split(ARROW).map((each) => quantity(each) / 1000);
    assert.ok(Math.abs(before / rows[0].before.p95_ms - 1) < 0.1 && Math.abs(now / rows[0].p95_ms - 1) < 0.1, text);

    // The charts have the values of then at the crosshair, and more lines than before.
    const plot = page.getByRole('slider', { name: 'Latency over time' });
    await until(() => plot.getAttribute('aria-valuetext'), (words) => /p95 [^,]+, before \d/.test(words));
    await plot.focus();
    await page.keyboard.press('Home');
    await page.locator('.chart-tip .compared-before').first().waitFor();
    for (const name of ['summary', 'timeseries']) assert.ok(requestsTo(mock, name).some((params) => params.get('compare') === 'day'), name);
  });

  check('in its tables, sorted by what got worse, by change and by value', { path: `/routes?${PERIOD}&compare=previous` }, async (page, mock) => {
    const keys = 'group_by=method,route';
    const { rows } = await (await fetch(`${mock.url}/api/v1/summary?${PERIOD}&compare=previous&${keys}`)).json();
    const shown = (column) => page.locator(`tbody td[data-col=${column}]`).allTextContents();
    await until(() => shown('requests'), (all) => all.length === rows.length && all.every((text) => text.includes(ARROW)));
    const extra = ({ requests, errors, before }) => Math.round(errors - (before.requests === 0 ? 0 : (before.errors / before.requests) * requests));
    const names = () => page.locator('.entity-table-entities tbody th').allTextContents();
    const worst = rows.toSorted((a, b) => extra(b) - extra(a))[0];
    assert.ok((await names())[0].includes(worst.route), `${await names()}: ${worst.route}`);

    await page.getByLabel('Order of routes').selectOption('change');
    assert.equal(paramsOf(page).by, 'change');
    const change = (text) => text.split(ARROW).map(quantity).reduce((before, now) => now - before);
    const changes = await until(async () => (await shown('requests')).map(change), (all) => all[0] === Math.max(...all));
    assert.deepEqual(changes, changes.toSorted((a, b) => b - a));

    await page.getByLabel('Order of routes').selectOption('value');
    const now = (text) => quantity(text.split(ARROW)[1]);
    const values = await until(async () => (await shown('requests')).map(now), (all) => all[0] === Math.max(...all));
    assert.deepEqual(values, values.toSorted((a, b) => b - a));

    // Back to the first order; a click on a heading sorts by its change.
    await page.getByLabel('Order of routes').selectOption('worse');
    assert.equal(paramsOf(page).by, undefined);
    await page.getByRole('columnheader', { name: 'p95', exact: true }).getByRole('button').click();
    assert.deepEqual([paramsOf(page).by, paramsOf(page).sort], ['change', '-p95']);
  });

  check('with a stretch that a person chooses', { path: `/?${PERIOD}&tz=utc` }, async (page, mock) => {
    await page.getByRole('button', { name: 'Compare', exact: true }).click();
    await page.getByLabel('Another stretch, from').fill('2026-11-03T07:00');
    await page.getByRole('dialog').getByRole('button', { name: 'Compare', exact: true }).click();
    assert.equal(paramsOf(page).compare, '2026-11-03T07:00Z');
    await page.getByRole('button', { name: 'Compared with the stretch from Nov 3, 07:00' }).waitFor();
    await until(() => requestsTo(mock, 'summary').some((params) => params.get('compare')?.startsWith('2026-11-03T07:00')), Boolean);
    // The choice stays when the view changes.
    await page.getByRole('link', { name: 'Routes', exact: true }).click();
    assert.equal(paramsOf(page).compare, '2026-11-03T07:00Z');
  });

  check('with nothing', { path: `/?${PERIOD}` }, async (page, mock) => {
    await page.locator('.figure-change').first().waitFor();
    await page.getByRole('button', { name: 'Compare', exact: true }).click();
    await page.getByRole('button', { name: 'Nothing', exact: true }).click();
    await until(() => page.locator('.figure-change').count(), (count) => count === 0);
    assert.equal(paramsOf(page).compare, 'none');
    assert.ok(requestsTo(mock, 'summary').every((params) => params.get('compare') === null));
  });

  for (const [look, options] of Object.entries(LOOKS)) {
    for (const path of ['/', '/routes', '/consumers', '/hosts']) {
      check(`soundly: ${path} in ${look}`, { path: `${path}?${PERIOD}&compare=week`, ...options }, async (page) => {
        await page.getByText(ARROW).first().waitFor();
        await filled(page);
        assert.deepEqual(await seriousFindings(page), []);
        assert.equal(await beyondTheEdge(page), 0, 'the page scrolls sideways');
      });
    }
  }
});
