// The page on a running ingest with real data: GATELENS_URL says where; screenshots go to GATELENS_SHOTS if that is set.

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { DESKTOP, launch, open, PHONE, seriousFindings } from './browser.mjs';

const url = process.env.GATELENS_URL?.replace(/\/$/, '');
const shots = process.env.GATELENS_SHOTS;

const groupedBy = (path) => new URLSearchParams(path.slice(path.indexOf('?'))).get('group_by');

describe('on a running ingest', { skip: url ? false : 'GATELENS_URL is not set' }, () => {
  let browser;
  before(async () => {
    browser = await launch();
    if (shots) await mkdir(shots, { recursive: true });
  });
  after(() => browser.close());

  const save = async (page, name) => shots && page.screenshot({ path: join(shots, `${name}.png`) });

  test('the overview shows the requests that the API counts', async () => {
    const page = await openWithAnswers(browser, `${url}/?refresh=off`);
    const shown = await page.locator('[data-figure=requests]').textContent();
    // The period before is asked for too, and its answer may come first.
    const totals = page.answers.filter(([each]) => each.includes('/summary?') && !each.includes('group_by'));
    const [path, body] = totals.toSorted(([, a], [, b]) => Date.parse(b.from) - Date.parse(a.from))[0];
    assert.equal(Number(shown.replace(/\D/g, '')), body.rows[0].requests);
    assert.ok(body.rows[0].requests > 0, `no requests: ${path}`);
    await page.locator('.u-over').nth(2).waitFor();
    await page.locator('.rank tbody th').first().waitFor();

    const byRoute = page.answers.find(([each]) => each.includes('/summary?') && each.includes('group_by=method'));
    // Asked a moment later, so that under traffic there may be more.
    assert.ok(byRoute[1].rows.reduce((sum, row) => sum + row.requests, 0) >= body.rows[0].requests);
    assert.deepEqual(await seriousFindings(page), []);
    assert.deepEqual(page.complaints, []);
    await save(page, 'overview');
    await page.context().close();
  });

  test('the latest requests are listed, and open', async () => {
    const page = await openWithAnswers(browser, `${url}/requests?refresh=off`);
    await page.locator('.expandable-entry').first().waitFor();
    const [, { rows }] = page.answers.find(([each]) => each.includes('/requests?'));
    assert.deepEqual(await page.locator('.expandable-entry time').evaluateAll((all) => all.map((time) => time.dateTime)), rows.map((row) => row.time));
    assert.deepEqual(await page.locator('.expandable-entry [data-col=path] .mono:first-child').allTextContents(), rows.map((row) => row.path));
    await page.locator('.expandable-entry .expandable-expand').first().click();
    assert.ok((await page.locator('.detail').textContent()).includes(rows[0].path));
    assert.deepEqual(page.complaints, []);
    await save(page, 'requests');
    await page.context().close();
  });

  for (const [name, keys] of [['routes', 'method,route'], ['consumers', 'consumer']]) {
    test(`all ${name} that the API counts are listed, and one opens`, async () => {
      const page = await openWithAnswers(browser, `${url}/${name}?refresh=off`);
      await page.locator('.entity-table-entities tbody th').first().waitFor();
      // Asked are this period and the one before; the later one is listed.
      const answers = page.answers.filter(([each]) => each.includes('/summary?') && groupedBy(each) === keys && !each.includes('status='));
      const { rows } = answers.map(([, body]) => body).toSorted((a, b) => Date.parse(b.from) - Date.parse(a.from))[0];
      assert.equal(await page.locator('.entity-table-entities tbody tr:not(.entity-table-inactive)').count(), rows.length);
      assert.deepEqual(await seriousFindings(page), []);
      await save(page, name);
      await page.locator('.entity-table-entities tbody th a').first().click();
      await page.locator('.status-breakdown-statuses li').first().waitFor();
      await page.locator('.u-over').nth(2).waitFor();
      assert.deepEqual(page.complaints, []);
      await save(page, name.slice(0, -1));
      await page.context().close();
    });
  }

  test('a link to a request opens it, whatever the period', async () => {
    const page = await openWithAnswers(browser, `${url}/requests?refresh=off`);
    await page.locator('.expandable-entry .expandable-expand').first().click();
    const key = new URL(page.url()).searchParams.get('open');
    await page.goto(`${url}/requests?from=2026-01-01T00:00Z&to=2026-01-01T01:00Z&open=${encodeURIComponent(key)}`);
    await page.getByRole('region', { name: 'Linked request' }).locator('.detail').waitFor();
    assert.deepEqual(page.complaints, []);
    await page.context().close();
  });

  test('the preview is the filter’s own: it masks, marks a defect, and leaves out', async () => {
    const page = await open(browser, `${url}/redaction?refresh=off`);
    const sent = page.getByRole('group', { name: 'Body as sent' });
    await sent.waitFor();
    const text = await sent.textContent();
    for (const part of ['"order": 12345678901234567890,', '"email": "[CLIENT_REDACTED]"', '"password": "[CLIENT_REDACTED]"', '"passport_no": "[CLIENT_REDACTED]"', '+44 20 7946 0018']) assert.ok(text.includes(part), `${part} in ${text}`);
    assert.ok(!text.includes('4111'), text);
    assert.equal(await page.locator('.redaction-preview-preview .rule-table-rules .rule-table-never .mono').textContent(), '$.costumer.phone');
    assert.deepEqual(await seriousFindings(page), []);
    assert.deepEqual(page.complaints, []);
    await save(page, 'redaction');

    const config = page.getByLabel('Filter configuration');
    await config.fill((await config.inputValue()).replace('"$.items', '"items'));
    await page.locator('.redaction-preview-refused').waitFor();
    assert.equal(await page.locator('.config-editor-editor mark').textContent(), '"items[*].note"');
    await config.fill((await config.inputValue()).replace('"items', '"$.items').slice(0, -1));
    await page.locator('.config-editor-editor mark', { hasText: /^\}$/ }).waitFor();
    await config.fill('{"version": 1, "ingest": {"cluster": "c"}}');
    await page.getByLabel('Content type', { exact: true }).selectOption('other …');
    await page.getByLabel('Other content type').fill('text/html');
    await page.getByText('Omitted: media type.').waitFor();
    await page.context().close();
  });

  for (const [name, path, look] of [
    ['overview-dark', '/', { viewport: DESKTOP, schemes: ['dark'] }],
    ['overview-phone', '/', { viewport: PHONE }],
    ['gateways', '/gateways', {}],
  ]) {
    test(`${name} loads without a complaint`, async () => {
      const page = await open(browser, url + path, look);
      await page.locator(path === '/' ? '.u-over >> nth=2' : 'tbody th >> nth=0').waitFor();
      assert.deepEqual(page.complaints, []);
      await save(page, name);
      await page.context().close();
    });
  }
});

/** A page whose `answers` are the API's, as pairs of address and body, so that page and API are compared at one moment. */
async function openWithAnswers(browser, address) {
  const page = await open(browser, 'about:blank');
  page.answers = [];
  page.on('response', (response) => {
    if (!response.url().includes('/api/v1/') || !response.ok()) return;
    // An answer may still be on its way when a test closes its page.
    response.json().then((body) => page.answers.push([response.url(), body]), () => {});
  });
  await page.goto(address);
  await page.waitForLoadState('networkidle');
  return page;
}
