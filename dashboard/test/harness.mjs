// What the tests of the page share: one browser for all of them (and one for touch), a page and an ingest of its own for each.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { inEachScheme, launch, open } from './browser.mjs';
import { startMock } from './mock-api.mjs';

/** By whether they take touch. */
const browsers = new Map();
after(() => Promise.all([...browsers.values()].map(async (started) => (await started).close())));

function browserFor({ hasTouch = false }) {
  if (!browsers.has(hasTouch)) browsers.set(hasTouch, launch({ hasTouch }));
  return browsers.get(hasTouch);
}

/**
 * Runs `body` on a page of its own before an ingest of its own; nothing may complain unless `complains` says so.
 * `prepare` is given the ingest before the page asks it anything.
 */
export function check(name, { path = '/', mode = 'data', complains = false, prepare = () => {}, ...look } = {}, body) {
  test(name, { timeout: 180_000 }, async () => {
    const mock = await startMock({ mode });
    prepare(mock);
    const page = await open(await browserFor(look), mock.url + path, look);
    const watch = setTimeout(() => report(name, page, mock), 120_000);
    try {
      await body(page, mock);
      if (!complains) assert.deepEqual(page.complaints, []);
    } finally {
      clearTimeout(watch);
      mock.mode = 'data';
      // An answer that a test holds back may come when the test has ended, and then nobody is there to get it.
      await page.unrouteAll({ behavior: 'ignoreErrors' });
      await page.context().close();
      await mock.close();
    }
  });
}

/** What a test that does not end is about: whether its page still runs, and what it asked last. */
async function report(name, page, mock) {
  const silent = new Promise((resolve) => setTimeout(resolve, 5_000, 'does not answer'));
  const state = await Promise.race([page.evaluate('document.title').then((title) => `answers as “${title}”`, String), silent]);
  console.error(`“${name}” still runs after two minutes. The page at ${page.url()} ${state}; asked last: ${mock.seen.slice(-3).join(' ')}; complaints: ${page.complaints.join('; ')}`);
}

export const paramsOf = (page) => Object.fromEntries(new URL(page.url()).searchParams);

/** The filters in force as the page shows them, as `key=value`. */
export const chips = (page) =>
  page.locator('.filter-bar-chip').evaluateAll((all) => all.map((chip) => chip.querySelector('.filter-bar-key').textContent + '=' + chip.querySelector('.filter-bar-value').getAttribute('title')));

/** The query strings that an endpoint was asked with. */
export const requestsTo = (mock, name) => mock.seen.filter((path) => path.startsWith(`/api/v1/${name}?`)).map((path) => new URL(path, 'http://mock').searchParams);

/** The later of two periods that were asked for: the one that is shown, and not the one before, which may have come first. */
export const latestOf = (questions) => questions.toSorted((a, b) => Date.parse(b.get('from')) - Date.parse(a.get('from')))[0];

/** The question for the figures of a view; other parts of the page ask for groups. Figures are compared with the period before. */
export const totalAsked = async (mock) => latestOf(await until(() => requestsTo(mock, 'summary').filter((params) => !params.has('group_by')), (all) => all.length >= 2));

/** Waits until what `look` gives satisfies `good`. The limit is for what never comes, far beyond any slow machine. */
export async function until(look, good) {
  const end = Date.now() + 60_000;
  for (;;) {
    const value = await look();
    if (good(value)) return value;
    assert.ok(Date.now() < end, `waited in vain, last saw ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** Refreshes the page by hand, and waits until a list has been answered anew. */
export async function refreshed(page, name) {
  const answered = page.waitForResponse((response) => response.url().includes(`/api/v1/${name}?`));
  await page.getByRole('button', { name: 'Refresh now' }).click();
  await (await answered).finished();
}

/** The view is there, and nothing is awaited any more. */
export async function filled(page) {
  await page.locator('main > *').first().waitFor({ state: 'attached' });
  await until(() => page.locator('[data-animate]').count(), (waiting) => waiting === 0);
}

/** A picture for people, in each colour scheme of the page, if SHOTS names a directory. */
export async function picture(page, name, what = page) {
  if (!process.env.SHOTS) return;
  await inEachScheme(page, (scheme) => what.screenshot({ path: `${process.env.SHOTS}/${name}-${scheme}.png`, ...(what === page && { fullPage: true }) }));
}

/** How far the page reaches beyond the right edge of the screen, in pixels. */
export const beyondTheEdge = (page) => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

/** The overview has asked its eight questions and the shell its three, and all are answered. */
export async function settled(page, mock) {
  await until(() => mock.seen.length, (count) => count >= 11);
  await filled(page);
}

/** The number that a text such as `1.3 s` stands for, in its smallest unit. */
export function quantity(text) {
  if (text.trim() === '–') return -1;
  const [, number, unit] = /^[<>]? ?([\d.,]+) ?(\D*)$/.exec(text.trim());
  return Number(number.replaceAll(',', '')) * ({ s: 1e6, min: 6e7, ms: 1000, µs: 1, k: 1000, kB: 1000, MB: 1e6, GB: 1e9 }[unit] ?? 1);
}
