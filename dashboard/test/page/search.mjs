// The search of the request log: completion, mistakes, saved searches.

import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { LOOKS, seriousFindings } from '../browser.mjs';
import { beyondTheEdge, check, paramsOf, picture, requestsTo, until } from '../harness.mjs';

describe('the search of the log', { concurrency: 2 }, () => {
  const box = (page) => page.getByRole('combobox', { name: 'Search' });
  const list = (page) => page.getByRole('listbox').getByRole('option');
  const options = (page) => list(page).allTextContents();

  check('offers keys, then their values, where the caret is', { path: '/requests?refresh=off' }, async (page, mock) => {
    await box(page).pressSequentially('sta');
    await until(() => options(page), (all) => all[0]?.startsWith('status:'));
    await list(page).first().click();
    await until(() => box(page).inputValue(), (text) => text === 'status:');
    await until(() => options(page), (all) => all.includes('5xx'));
    assert.deepEqual(await seriousFindings(page), []);
    await list(page).filter({ hasText: '5xx' }).click();
    await until(() => box(page).inputValue(), (text) => text === 'status:5xx ');
    // Values that occur come from the counts.
    await box(page).pressSequentially('-consumer:');
    const consumer = await until(() => list(page).first().textContent(), (text) => text !== '' && !text.includes(':'));
    await list(page).first().click();
    const text = await until(() => box(page).inputValue(), (value) => value.includes(consumer));
    assert.equal(text, `status:5xx -consumer:${consumer} `);
    await page.keyboard.press('Escape');
    await page.keyboard.press('Enter');
    await until(() => requestsTo(mock, 'requests').at(-1).get('q'), (q) => q === text.trim());
    assert.equal(paramsOf(page).q, text.trim());
  });

  check('marks a mistake at its place, and shows nothing else', { path: '/requests?refresh=off&q=acme+statsu%3A5xx+x', complains: true }, async (page) => {
    await page.getByText('did you mean status?').waitFor();
    assert.equal(await page.locator('mark').textContent(), 'statsu:5xx');
    assert.equal(await page.getByText('Nothing to show').count(), 0);
    assert.equal(await page.getByRole('alert').count(), 0);
    assert.deepEqual(await seriousFindings(page), []);
    await box(page).fill('status:5xx');
    await until(() => page.locator('mark').count(), (count) => count === 0);
    await page.getByRole('button', { name: 'Search' }).click();
    await page.getByRole('heading', { name: 'Latest requests' }).waitFor();
  });

  check('saves searches in the browser, and forgets them', { path: '/requests?refresh=off&q=status%3A5xx' }, async (page) => {
    await page.getByRole('button', { name: 'Save' }).click();
    const saved = page.getByRole('list', { name: 'Saved searches' });
    await saved.getByRole('button', { name: 'status:5xx', exact: true }).waitFor();
    await page.getByRole('button', { name: 'Clear', exact: true }).click();
    await until(() => paramsOf(page).q, (q) => q === undefined);
    await page.reload();
    await saved.getByRole('button', { name: 'status:5xx', exact: true }).click();
    await until(() => paramsOf(page).q, (q) => q === 'status:5xx');
    await saved.getByRole('button', { name: 'Forget status:5xx' }).click();
    await until(() => saved.count(), (count) => count === 0);
  });

  check('understands the links of before', { path: '/requests?refresh=off&path=%2Fv1%2Forders%2F*&min_duration_ms=20&request_id=r' }, async (page) => {
    await until(() => box(page).inputValue(), (text) => text === 'path:/v1/orders/* request_id:r duration>=20ms');
    await page.getByRole('button', { name: 'Clear', exact: true }).click();
    await until(() => new URL(page.url()).search, (search) => search === '?refresh=off');
  });

  for (const [name, look] of Object.entries(LOOKS)) {
    check(`is readable, with a mistake and saved searches: ${name}`, { path: '/requests?refresh=off&q=status%3A5xx+path%3A%2Fv1%2F*', complains: true, ...look }, async (page) => {
      await page.getByRole('button', { name: 'Save' }).click();
      await box(page).fill('acme statsu:5xx duration>500ms');
      await page.getByRole('button', { name: 'Search' }).click();
      await page.getByText('did you mean status?').waitFor();
      await picture(page, `mistake-${name}`);
      assert.deepEqual(await seriousFindings(page), []);
      await box(page).fill('status:5xx -con');
      await until(() => options(page), (all) => all.length > 0);
      await picture(page, `completion-${name}`);
      assert.deepEqual(await seriousFindings(page), []);
      assert.equal(await beyondTheEdge(page), 0);
    });
  }
});
