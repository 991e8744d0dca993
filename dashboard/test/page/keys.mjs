// The keys of the page, and values that leave it by a click.

import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { PHONE, seriousFindings } from '../browser.mjs';
import { beyondTheEdge, check, filled, paramsOf, until } from '../harness.mjs';

describe('the keys', { concurrency: 2 }, () => {
  check('search, close and list themselves', { path: '/?range=24h' }, async (page) => {
    await filled(page);
    await page.keyboard.press('/');
    const box = page.getByRole('search', { name: 'Search the request log' }).getByLabel('Search', { exact: true });
    await until(() => box.evaluate((input) => input === document.activeElement), Boolean);
    assert.equal(new URL(page.url()).pathname, '/requests');
    assert.equal(paramsOf(page).range, '24h');
    // In a box they are text.
    await page.keyboard.type('/?x');
    assert.equal(await box.inputValue(), '/?x');

    await page.locator('.expandable-entry .expandable-expand').first().click();
    await page.locator('.detail').waitFor();
    await page.keyboard.press('?');
    const list = page.getByRole('dialog', { name: 'Keys' });
    await list.waitFor();
    assert.match(await list.textContent(), /\/Search the request log/);
    assert.deepEqual(await seriousFindings(page), []);
    // It closes what is on top, and only that.
    await page.keyboard.press('Escape');
    await list.waitFor({ state: 'hidden' });
    assert.equal(await page.locator('.detail').count(), 1);
    await page.keyboard.press('Escape');
    await page.locator('.detail').waitFor({ state: 'detached' });
    assert.equal(paramsOf(page).open, undefined);
  });

  check('leave a menu that is open to itself', { path: '/requests' }, async (page) => {
    await page.locator('.expandable-entry .expandable-expand').first().click();
    await page.locator('.detail').waitFor();
    await page.getByRole('button', { name: /^Time range/ }).click();
    await page.getByRole('dialog', { name: 'Time range' }).waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog', { name: 'Time range' }).waitFor({ state: 'hidden' });
    assert.equal(await page.locator('.detail').count(), 1);
  });
});

describe('a trace ID', () => {
  const links = [{ name: 'Jaeger', url: 'https://jaeger.example.com/trace/{trace_id}?uiFind={trace_id}' }];

  check('is copied, and leads to where traces are kept', { path: '/requests?refresh=off', prepare: (mock) => { mock.links = links; } }, async (page, mock) => {
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    const id = '4bf92f3577b34da6a3ce929d0e0e4736';
    mock.extra.push({ time: new Date().toISOString(), consumer: 'a', method: 'GET', route: '/r', path: '/r', query: 'traced=1', status: 200, duration_ms: 3, upstream_ms: 2, direction: 'inbound', trace_id: id, request_id: 'one' });
    await page.getByRole('button', { name: 'Refresh now' }).click();
    await page.locator('.expandable-entry', { hasText: '/r?traced=1' }).locator('.expandable-expand').click();
    const link = page.getByRole('link', { name: 'Open in Jaeger' });
    await link.waitFor();
    assert.equal(await link.getAttribute('href'), `https://jaeger.example.com/trace/${id}?uiFind=${id}`);
    await page.getByRole('button', { name: 'Copy the trace id' }).click();
    await page.getByRole('button', { name: 'Copied' }).waitFor();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), id);
    await page.getByRole('button', { name: 'Copy the request id' }).click();
    await until(() => page.evaluate(() => navigator.clipboard.readText()), (text) => text === 'one');
    assert.deepEqual(await seriousFindings(page), []);
  });
});

describe('the navigation', { concurrency: 2 }, () => {
  const views = (page) => page.getByRole('navigation', { name: 'Views' });

  check('has all views within a phone’s width', { path: '/gateways', viewport: PHONE }, async (page) => {
    await filled(page);
    assert.ok((await beyondTheEdge(page)) <= 0);
    // The menu is named after the view that it holds.
    await views(page).getByRole('button', { name: 'Gateways' }).click();
    assert.deepEqual(await seriousFindings(page), []);
    await page.getByRole('link', { name: 'Hosts', exact: true }).click();
    await views(page).getByRole('button', { name: 'Hosts' }).waitFor();
    assert.equal(new URL(page.url()).pathname, '/hosts');
    await page.getByRole('link', { name: 'Hosts', exact: true }).waitFor({ state: 'detached' });
  });

  check('opens its menu by keys, and gives the focus back', { path: '/' }, async (page) => {
    await filled(page);
    const more = views(page).getByRole('button', { name: 'More' });
    await more.focus();
    await page.keyboard.press('Enter');
    await until(() => page.evaluate(() => document.activeElement.textContent), (text) => text === 'Hosts');
    await page.keyboard.press('Escape');
    await until(() => more.evaluate((button) => button === document.activeElement), Boolean);
  });

  check('keeps what is chosen, and the menu marks the view', { path: '/?range=24h' }, async (page) => {
    await filled(page);
    await page.evaluate(() => Object.assign(window, { sameLoad: true }));
    await views(page).getByRole('button', { name: 'More' }).click();
    await page.getByRole('link', { name: 'Redaction' }).click();
    await page.getByRole('heading', { name: 'Redaction', level: 1 }).waitFor();
    assert.equal(paramsOf(page).range, '24h');
    assert.ok(await page.evaluate(() => window.sameLoad), 'a link loads no page');
    await views(page).getByRole('button', { name: 'Redaction' }).click();
    assert.equal(await page.getByRole('link', { name: 'Redaction' }).getAttribute('aria-current'), 'page');
  });

  check('says so when a view cannot be loaded', { path: '/', complains: true }, async (page) => {
    await filled(page);
    await page.route('**/assets/gateways-*.js', (route) => route.abort());
    await views(page).getByRole('link', { name: 'Gateways' }).click();
    await page.getByRole('heading', { name: 'This view could not be loaded' }).waitFor();
  });
});
