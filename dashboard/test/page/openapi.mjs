// An OpenAPI document, compared with what was seen.

import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { LOOKS, seriousFindings } from '../browser.mjs';
import { beyondTheEdge, check, picture, until } from '../harness.mjs';

const DOCUMENT = 'openapi: 3.0.3\npaths:\n  /v1/orders:\n    post: {}\n';
const card = (page) => page.locator('[data-openapi]');
const rows = (page) => card(page).locator('tbody tr');
const changesOf = (page) => rows(page).evaluateAll((all) => all.map((row) => row.dataset.change));
const choose = (page, text, name = 'api.yaml') => card(page).getByLabel('OpenAPI document').setInputFiles({ name, mimeType: 'application/yaml', buffer: Buffer.from(text) });

describe('an OpenAPI document', { concurrency: 2 }, () => {
  for (const [look, options] of Object.entries(LOOKS)) {
    check(`(${look}) is compared with what was seen`, { path: '/drift?refresh=off', ...options }, async (page, mock) => {
      await card(page).getByRole('button', { name: 'Choose a file' }).waitFor();
      await choose(page, DOCUMENT);
      await until(() => changesOf(page), (changes) => changes.length === 5);
      await card(page).getByText('shop, prod, inbound: 11 operations were seen, 4 are in the document.').waitFor();
      assert.deepEqual(mock.documents, [{ query: '', text: DOCUMENT }]);
      const cells = await rows(page).nth(2).locator('td').allTextContents();
      assert.deepEqual(cells, ['Changed', 'POST/v1/orders', 'response 201 /items/[]/price', 'values are string, and the document has number', '41']);
      assert.deepEqual(await seriousFindings(page), []);
      assert.ok((await beyondTheEdge(page)) <= 0);
      await picture(page, `openapi-${look}`);
      await card(page).getByRole('button', { name: 'Never called 1' }).click();
      await until(() => changesOf(page), (changes) => changes.join() === 'never_called');
      await card(page).getByRole('button', { name: 'All 5' }).click();
      await until(() => changesOf(page), (changes) => changes.length === 5);
      await rows(page).nth(2).getByRole('link', { name: '/v1/orders' }).click();
      await until(() => new URL(page.url()), (url) => url.pathname === '/route' && url.searchParams.get('route') === '/v1/orders');
    });
  }

  check('that cannot be read is refused with its line', { path: '/drift?refresh=off', complains: true }, async (page) => {
    await choose(page, 'first: 1\nb: c: d\n', 'broken.yaml');
    const alert = card(page).getByRole('alert');
    await alert.getByText('broken.yaml cannot be compared. Line 2, column 5: this is not YAML').waitFor();
    assert.equal(await alert.locator('pre').textContent(), 'b: c: d');
    if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/openapi-refused.png`, fullPage: true });
    // The corrected file takes its place.
    await choose(page, `${DOCUMENT}# all`, 'broken.yaml');
    await card(page).getByText('broken.yaml describes all of it.').waitFor();
    assert.equal(await alert.count(), 0);
    assert.equal(await rows(page).count(), 0);
  });

  check('that is too large is not sent', { path: '/drift?refresh=off' }, async (page, mock) => {
    await choose(page, 'x'.repeat(8 * 1024 * 1024 + 1), 'large.yaml');
    await card(page).getByRole('alert').getByText('large.yaml has 8.39 MB, and a document may have 8.39 MB').waitFor();
    assert.deepEqual(mock.documents, []);
  });

  check('is of the API that the filters choose', { path: '/drift?refresh=off&consumer=acme', complains: true, prepare: (mock) => Object.assign(mock, { several: true }) }, async (page, mock) => {
    await choose(page, DOCUMENT);
    await card(page).getByRole('alert').getByText('choose one of them (service)').waitFor();
    await page.goto(`${mock.url}/drift?refresh=off&consumer=acme&service=shop&environment=prod`);
    await card(page).getByLabel('Base path at the gateway').fill('/api');
    await card(page).getByLabel('Base path at the gateway').press('Enter');
    await choose(page, DOCUMENT);
    await until(() => changesOf(page), (changes) => changes.length === 5);
    assert.ok(mock.documents.some(({ query }) => query === '?service=shop&environment=prod&base_path=%2Fapi'), JSON.stringify(mock.documents));
  });

  check('may be dropped', { path: '/drift?refresh=off' }, async (page, mock) => {
    await card(page).waitFor();
    const data = await page.evaluateHandle((text) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([text], 'dropped.json', { type: 'application/json' }));
      return transfer;
    }, '{"openapi": "3.0.3", "paths": {}}');
    await card(page).dispatchEvent('dragover', { dataTransfer: data });
    await card(page).dispatchEvent('drop', { dataTransfer: data });
    await card(page).getByText('dropped.json').waitFor();
    await until(() => changesOf(page), (changes) => changes.length === 5);
    assert.equal(mock.documents.length, 1);
  });
});
