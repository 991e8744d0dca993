// The preview of redaction: what is asked, shown, refused, and kept.

import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { LOOKS, seriousFindings } from '../browser.mjs';
import { beyondTheEdge, check, paramsOf, until } from '../harness.mjs';

const path = '/redaction?refresh=off';
const config = (page) => page.getByLabel('Filter configuration');
const body = (page) => page.getByLabel('Body, as the gateway receives it');
const sent = (page) => page.getByRole('group', { name: 'Body as sent' });
const result = (page) => page.locator('.redaction-preview-result:not(.outdated)');
const selection = (page) => config(page).evaluate((area) => area.value.slice(area.selectionStart, area.selectionEnd));

describe('the preview', { concurrency: 2 }, () => {
  check('begins with an example, and says that nothing is stored', { path }, async (page, mock) => {
    await result(page).waitFor();
    assert.match(await sent(page).textContent(), /"order": 12345678901234567890,\n.*\n {4}"name": "Ada",\n {4}"email": "\[CLIENT_REDACTED\]"/);
    assert.equal(await sent(page).locator('.masked-mask').count(), 5);
    const rows = await page.locator('.redaction-preview-preview .rule-table-rules tbody tr').evaluateAll((all) => all.map((row) => row.textContent));
    assert.equal(rows[0], '$.costumer.phone request bodynever matched');
    assert.equal(rows.length, 6);
    assert.match(await page.locator('.redaction-preview-preview').textContent(), /Nothing is stored/);
    assert.deepEqual(Object.keys(mock.asked[0]), ['config', 'direction', 'content_type', 'body']);
  });

  check('follows what is typed, and asks once it rests', { path }, async (page, mock) => {
    await result(page).waitFor();
    await page.clock.install();
    // The clock stands still, however long the typing takes.
    await page.clock.pauseAt(await page.evaluate(() => Date.now() + 1000));
    mock.asked.length = 0;
    await body(page).fill('');
    await body(page).pressSequentially('{"password":"x","n":1.0}');
    assert.equal(mock.asked.length, 0);
    await page.clock.fastForward(1000);
    await until(() => sent(page).textContent(), (text) => text === '{\n  "password": "[CLIENT_REDACTED]",\n  "n": 1.0\n}');
    assert.equal(mock.asked.length, 1);
    assert.match(await result(page).textContent(), /5 never matched/);
  });

  check('is asked for at once by hand', { path }, async (page, mock) => {
    await result(page).waitFor();
    await page.clock.install();
    mock.asked.length = 0;
    await page.getByRole('button', { name: 'Preview', exact: true }).click();
    await page.clock.runFor(1);
    await until(() => mock.asked.length, (count) => count === 1);
  });

  check('takes both messages and any content type', { path }, async (page, mock) => {
    await result(page).waitFor();
    await page.getByLabel('Message').selectOption('response');
    await until(() => mock.asked.at(-1).direction, (direction) => direction === 'response');
    await page.getByText('This configuration does not capture response bodies').waitFor();
    await page.getByLabel('Content type', { exact: true }).selectOption('text/plain');
    await until(() => mock.asked.at(-1).content_type, (type) => type === 'text/plain');
    await page.getByLabel('Content type', { exact: true }).selectOption('other …');
    await page.getByLabel('Other content type').fill('text/html');
    await until(() => mock.asked.at(-1).content_type, (type) => type === 'text/html');
    await page.getByText('The body would not be sent.').waitFor();
    assert.match(await result(page).textContent(), /Omitted: media type\. The content type is missing, or redaction does not support it\. .*Its size is \d+ B/);
    assert.deepEqual(await seriousFindings(page), []);
  });

  check('shows what looks like a page as text', { path }, async (page) => {
    const hostile = '<script>window.hit=1</script><img src=x onerror="window.hit=1">';
    await body(page).fill(JSON.stringify({ note: hostile }));
    await until(() => sent(page).textContent(), (text) => text.includes(JSON.stringify(hostile)));
    assert.equal(await sent(page).locator('script, img').count(), 0);
    assert.equal(await page.evaluate('window.hit'), undefined);
  });

  check('marks where a configuration is refused, without taking the keyboard away', { path, complains: true }, async (page) => {
    await result(page).waitFor();
    const text = (await config(page).inputValue()).replace('"$.items', '"items');
    await config(page).fill(text);
    await page.getByRole('alert').filter({ hasText: 'The gateway would refuse this configuration. redact.request_body[1]: a path begins with $' }).waitFor();
    assert.equal(await page.locator('.config-editor-editor mark').textContent(), '"items[*].note"');
    assert.equal(await selection(page), '', 'nothing is selected while somebody types');
    assert.equal(await page.locator('.redaction-preview-result').count(), 0);
    assert.equal(await config(page).getAttribute('aria-invalid'), 'true');

    await page.getByRole('button', { name: /^Go to line 6, column \d+/ }).click();
    assert.equal(await selection(page), '"items[*].note"');
    await body(page).click();
    await page.getByRole('button', { name: 'Preview', exact: true }).click();
    await until(() => config(page).evaluate((area) => document.activeElement === area), (focused) => focused);
    assert.equal(await selection(page), '"items[*].note"');

    await config(page).fill(text.replace('"items', '"$.items'));
    await result(page).waitFor();
    assert.equal(await page.locator('.config-editor-editor mark').count(), 0);
  });

  check('brings the place of a defect into sight', { path, complains: true }, async (page) => {
    await config(page).fill(`{"redact": {${'\n'.repeat(80)}${' '.repeat(400)}"request_body": ["wrong"]${'\n'.repeat(80)}}}`);
    await page.getByRole('button', { name: /^Go to line 81/ }).click();
    await until(
      async () => {
        const [mark, box] = await Promise.all([page.locator('.config-editor-editor mark').boundingBox(), config(page).boundingBox()]);
        return { mark, box };
      },
      ({ mark, box }) => mark.x >= box.x && mark.x + mark.width <= box.x + box.width && mark.y >= box.y && mark.y + mark.height <= box.y + box.height,
    );
  });

  check('shows other refusals and failures as everywhere', { path, complains: true }, async (page, mock) => {
    await result(page).waitFor();
    mock.redact = () => ({ status: 400, body: { error: { code: 'invalid_parameter', message: 'not a media type', field: 'content_type' } } });
    await page.getByRole('button', { name: 'Preview', exact: true }).click();
    await page.getByRole('alert').filter({ hasText: 'The ingest responded with 400. not a media type (content_type)' }).waitFor();
    mock.redact = undefined;
    mock.mode = 'reset';
    await page.getByRole('alert').getByRole('button', { name: 'Try again' }).click();
    await page.getByRole('alert').filter({ hasText: 'The ingest cannot be reached' }).waitFor();
    assert.ok(await page.locator('.redaction-preview-result.outdated').isVisible());
    mock.mode = 'data';
    await page.getByRole('alert').getByRole('button', { name: 'Try again' }).click();
    await page.getByRole('alert').waitFor({ state: 'detached' });
    await result(page).waitFor();
  });

  check('keeps the configuration in this tab, the body nowhere, and neither in the address', { path }, async (page) => {
    const [mine, hers] = ['{"version": 1, "ingest": {"cluster": "my-own"}}', '{"secret": "of-hers"}'];
    await config(page).fill(mine);
    await body(page).fill(hers);
    await page.getByLabel('Message').selectOption('response');
    await result(page).waitFor();
    assert.deepEqual(paramsOf(page), { refresh: 'off' });
    const stored = await page.evaluate(() => JSON.stringify([{ ...sessionStorage }, { ...localStorage }, document.cookie]));
    assert.ok(stored.includes('my-own') && !stored.includes('of-hers'), stored);
    assert.ok(!(await page.evaluate(() => JSON.stringify({ ...localStorage }))).includes('my-own'));

    await page.getByRole('link', { name: 'Gateways', exact: true }).click();
    await page.getByRole('navigation', { name: 'Views' }).getByRole('button', { name: 'More' }).click();
    await page.getByRole('link', { name: 'Redaction', exact: true }).click();
    assert.equal(await body(page).inputValue(), hers, 'a look elsewhere loses nothing');
    await page.reload();
    assert.equal(await config(page).inputValue(), mine);
    assert.equal(await page.getByLabel('Message').inputValue(), 'response');
    assert.doesNotMatch(await body(page).inputValue(), /of-hers/);
  });

  check('survives what somebody else wrote into its place', { path }, async (page) => {
    for (const value of ['null', '7', 'not JSON', '{"config": 7, "message": [], "contentType": {}}']) {
      await page.evaluate((text) => sessionStorage.setItem('gatelens-preview', text), value);
      await page.reload();
      assert.match(await config(page).inputValue(), /"version": 1/, value);
    }
  });

  for (const [look, options] of Object.entries(LOOKS)) {
    check(`is sound in ${look} where a configuration is refused`, { path, complains: true, ...options }, async (page) => {
      await config(page).fill('{"redact": {"request_body": ["wrong"]}}');
      await page.locator('.redaction-preview-refused').waitFor();
      assert.deepEqual(await seriousFindings(page), []);
      assert.equal(await beyondTheEdge(page), 0, 'the page scrolls sideways');
    });
  }
});
