// Every view in every look: findings of axe, and nothing beyond the edge of the screen.

import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { LOOKS, seriousFindings } from '../browser.mjs';
import { beyondTheEdge, check, filled, until } from '../harness.mjs';

describe('every view is sound in every look', { concurrency: 2 }, () => {
  const views = {
    '/': '.u-over',
    '/routes': '.entity-table-entities tbody th',
    '/route?method=POST&route=%2Fv1%2Forders': '.status-breakdown-statuses li',
    '/consumers': '.entity-table-entities tbody th',
    '/consumer?consumer=anonymous': '.status-breakdown-statuses li',
    '/hosts': 'tbody th',
    '/drift': '[data-drift] tbody tr',
    '/errors': '.error-table-errors tbody th',
    '/errors?kind=client': '.error-table-errors tbody th',
    '/requests': '.expandable-entry',
    '/issues': '.issues tbody th a',
    '/issues?open=0000000000000004': '.issues-detail tbody td',
    '/gateways': 'tbody th',
    [`/gateways?open=${encodeURIComponent('["edge-1","shop","prod"]')}`]: '.detail-redaction .rule-table-never',
    '/redaction': '.redaction-preview-result .rule-table-never',
    '/nowhere': 'text=Page not found',
  };
  for (const [look, options] of Object.entries(LOOKS)) {
    for (const [path, sign] of Object.entries(views)) {
      check(`${path} in ${look}`, { path, ...options }, async (page) => {
        await page.locator(sign).first().waitFor();
        await filled(page);
        assert.deepEqual(await seriousFindings(page), []);
        assert.equal(await beyondTheEdge(page), 0, 'the page scrolls sideways');
      });
    }
  }
});

describe('the colours', { concurrency: 2 }, () => {
  const schemeOf = (page) => page.evaluate(() => document.documentElement.getAttribute('data-mantine-color-scheme'));
  check('follow the system, until a person chooses', { schemes: ['dark'] }, async (page) => {
    assert.equal(await schemeOf(page), 'dark');
    await page.emulateMedia({ colorScheme: 'light' });
    await until(() => schemeOf(page), (scheme) => scheme === 'light');
    const button = page.getByRole('button', { name: /^Colour scheme/ });
    await button.click();
    await button.click();
    assert.equal(await schemeOf(page), 'dark');
    await page.reload();
    assert.equal(await schemeOf(page), 'dark');
  });
});
