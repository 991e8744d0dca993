// Seven tasks of an engineer on call, each from the overview on with at most three clicks. Typing and Enter do not count as clicks.
// GATELENS_TASKS names a running ingest whose gateway has had a release, GATELENS_REQUEST_ID a request of it;
// `tests/e2e/tasks.rs` makes both. docs/on-call.md has the table that this test prints.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { launch, open } from './browser.mjs';
import { until } from './harness.mjs';

const url = process.env.GATELENS_TASKS?.replace(/\/$/, '');
const id = process.env.GATELENS_REQUEST_ID;
const MOST = 3;
/** Milliseconds. For what never comes. */
const PATIENCE = 60_000;

const counted = [];

describe('an engineer on call', { skip: url ? false : 'GATELENS_TASKS is not set' }, () => {
  let browser;
  before(async () => {
    browser = await launch();
  });
  after(async () => {
    await browser.close();
    console.log(['task | clicks', ...counted.map(([name, clicks]) => `${name} | ${clicks}`)].join('\n'));
    assert.deepEqual(counted, await documented(), 'docs/on-call.md has this table');
  });

  const task = (name, body) =>
    test(name, { timeout: 2 * PATIENCE }, async () => {
      const page = await open(browser, `${url}/`);
      page.setDefaultTimeout(PATIENCE);
      const hand = handOn();
      await body(page, hand);
      assert.ok(hand.clicks <= MOST, `${hand.clicks} clicks`);
      counted.push([name, hand.clicks]);
      assert.deepEqual(page.complaints, []);
      await page.context().close();
    });

  const search = async (page, hand, text) => {
    await hand.click(page.getByRole('link', { name: 'Requests', exact: true }));
    await hand.click(page.getByRole('combobox', { name: 'Search' }));
    await page.keyboard.type(text);
    await page.keyboard.press('Enter');
    await until(() => new URL(page.url()).searchParams.get('q'), (q) => q === text);
  };
  const entry = (page, path) => page.locator('.expandable-entry', { has: page.locator(`[data-col=path][title="${path}"]`) });

  task('Find a request by its id', async (page, hand) => {
    await search(page, hand, id);
    await until(() => page.locator('.expandable-entry').count(), (count) => count === 1);
    await hand.click(page.locator('.expandable-entry').first());
    const detail = page.locator('.detail');
    await detail.getByText(id, { exact: true }).first().waitFor();
    await detail.getByText('globex').first().waitFor();
  });

  task('Which requests took over 500 ms, and was it the upstream or the gateway', async (page, hand) => {
    await search(page, hand, 'duration>500ms consumer:globex');
    const milliseconds = async (path, column) => quantity(await entry(page, path).locator(`[data-col=${column}]`).textContent());
    for (const path of ['/users/3', '/users/4']) {
      await entry(page, path).waitFor();
      assert.ok((await milliseconds(path, 'duration')) > 500, path);
    }
    assert.ok((await milliseconds('/users/3', 'upstream')) > 500, 'slow upstream');
    const upstream = await milliseconds('/users/4', 'upstream');
    assert.ok(upstream < (await milliseconds('/users/4', 'duration')) - 500, 'slow in the gateway');
    await hand.click(entry(page, '/users/4'));
    await page.locator('.detail').getByText(/^Gateway and transfer [\d.]+ (ms|s)$/).waitFor();
  });

  task('Be alerted of what I look at', async (page, hand) => {
    await hand.click(page.getByRole('button', { name: 'Show only GET /users/{id}' }).first());
    await until(() => new URL(page.url()).searchParams.get('route'), (route) => route === '/users/{id}');
    await hand.click(page.getByRole('link', { name: 'New alert rule: Error rate' }));
    const form = page.getByRole('form', { name: 'New rule' });
    await hand.click(form.getByRole('button', { name: 'Save' }));
    await form.waitFor({ state: 'detached' });
    await page.getByRole('row', { name: /^error-percent-get-users-id/ }).waitFor();
    const { rules } = await (await fetch(`${url}/api/v1/alerts`)).json();
    const made = rules.find(({ origin }) => origin === 'page');
    assert.deepEqual([made.measure, made.scope, made.enabled], ['error_percent', { method: 'GET', route: '/users/{id}' }, true]);
    assert.ok(made.above >= 1, `${made.above} %`);
  });

  task('Compare with yesterday', async (page, hand) => {
    await hand.click(page.getByRole('button', { name: 'Compare', exact: true }));
    await hand.click(page.getByRole('button', { name: 'Yesterday, the same time' }));
    const figure = page.locator('.figure', { hasText: 'Error rate' }).locator('strong');
    // A quarter of yesterday's requests failed.
    await until(() => figure.textContent(), (text) => /^25 % → \d/.test(text));
    await until(() => page.getByRole('slider', { name: 'Requests over time' }).getAttribute('aria-valuetext'), (text) => /, before \d/.test(text));
  });

  task('Two environments side by side', async (page, hand) => {
    await hand.click(page.getByRole('button', { name: /^Traffic shown/ }));
    await hand.choose(page.getByLabel('Side by side'), 'environment');
    const table = page.locator('section', { has: page.getByRole('heading', { name: 'Side by side, by environment' }) });
    const names = await until(() => table.locator('tbody th').allTextContents(), (all) => all.length === 2);
    assert.deepEqual(names.toSorted(), ['demo', 'staging']);
    const staging = table.locator('tbody tr', { hasText: 'staging' });
    await until(() => staging.locator('[data-col=errors]').textContent(), (text) => text === '25 %');
    await until(() => page.getByRole('slider', { name: 'Errors over time' }).getAttribute('aria-valuetext'), (text) => text?.includes('demo') && text.includes('staging'));
  });

  task('Who causes the errors: consumer, route, cause and an example', async (page, hand) => {
    await hand.click(page.getByRole('link', { name: 'Errors', exact: true }));
    const table = (title) => page.locator('section', { has: page.getByRole('heading', { name: title, exact: true }) });
    const first = (title) => table(title).locator('tbody tr').first();
    await until(() => first('By cause').textContent(), (text) => text.startsWith('503from the upstream'));
    await until(() => first('By route').textContent(), (text) => text.startsWith('GET/users/{id}'));
    await until(() => first('By consumer').textContent(), (text) => text.startsWith('initech') || text.startsWith('acme'));
    const initech = table('By consumer').locator('tbody tr', { hasText: 'initech' });
    await hand.click(initech.locator('td a'));
    await hand.click(entry(page, '/users/2').first());
    const detail = page.locator('.detail');
    for (const text of ['initech', '/users/{id}', '503']) await detail.getByText(text, { exact: true }).first().waitFor();
  });

  task('What a release changed, by route, and which statuses a route had', async (page, hand) => {
    await hand.click(page.locator('[data-releases]').getByRole('link', { name: '1.5.0' }));
    const route = page.getByRole('region', { name: 'Routes before and after' }).locator('tbody tr', { hasText: '/users/{id}' });
    await until(() => route.getAttribute('data-verdict'), (verdict) => verdict === 'worse');
    await until(() => route.locator('td').nth(2).textContent(), (text) => /^0 % → [1-9]/.test(text));
    await hand.click(route.getByRole('link'));
    const statuses = page.locator('.status-breakdown-statuses');
    for (const code of ['200', '503']) await statuses.getByRole('button', { name: `Show only status ${code}` }).waitFor();
  });
});

/** Clicks, and counts them. */
function handOn() {
  const hand = {
    clicks: 0,
    click: async (locator) => {
      hand.clicks += 1;
      await locator.click();
    },
    /** One click opens a list of the browser, and another one takes a value. */
    choose: async (list, value) => {
      hand.clicks += 2;
      await list.selectOption(value);
    },
  };
  return hand;
}

/** Milliseconds of a text such as `0.7 s`; 0 for none. */
function quantity(text) {
  const [, number, unit] = /^([\d.]+) (µs|ms|s)$/.exec(text.trim()) ?? [];
  return Number(number ?? 0) * ({ µs: 0.001, s: 1000 }[unit] ?? 1);
}

/** The rows of the table in docs/on-call.md. */
async function documented() {
  const text = await readFile(new URL('../../docs/on-call.md', import.meta.url), 'utf8');
  return [...text.matchAll(/^\| ([^|]+?) \|[^|]*\| (\d) \|$/gm)].map(([, name, clicks]) => [name, Number(clicks)]);
}
