// Alerts: what fires, the rules, and changes.

import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { LOOKS, PHONE, seriousFindings } from '../browser.mjs';
import { beyondTheEdge, check, until } from '../harness.mjs';

const firing = (mock) => (mock.alerts = undefined);

describe('alerts', { concurrency: 2 }, () => {
  for (const [name, look] of Object.entries(LOOKS)) {
    check(`are readable, ${name}`, { path: '/alerts?refresh=off', prepare: firing, ...look }, async (page) => {
      const alert = page.getByRole('article', { name: 'errors: shop · production' });
      await alert.waitFor();
      const text = await alert.textContent();
      for (const part of ['firing', '3.4 %', 'threshold above 1 %']) assert.ok(text.includes(part), `${part} in ${text}`);
      // It began on the minute, twelve minutes before the one that is running, and ages are rounded.
      assert.match(text, /1[23] min ago/);
      assert.ok(await alert.getByRole('img', { name: 'The last 7 minutes: 3.4 % now, threshold above 1 %' }).isVisible());
      assert.equal(await alert.getByRole('link', { name: 'Show this traffic' }).getAttribute('href'), '/?environment=production&service=shop&range=1h');
      assert.match(await page.getByRole('row', { name: /slow-checkout/ }).textContent(), /muted.*the query took too long/);
      assert.match(await page.getByRole('row', { name: /ops.*webhook/ }).textContent(), /waiting after 4 attempts it responded with 503/);
      assert.ok((await beyondTheEdge(page)) <= 0);
      assert.deepEqual(await seriousFindings(page), []);
    });
  }

  check('are counted at the top of every view', { path: '/?refresh=off', prepare: firing }, async (page) => {
    await page.getByRole('link', { name: 'Alerts: 1 alert fires' }).click();
    await page.getByRole('heading', { name: '1 firing' }).waitFor();
  });

  check('are quiet while nothing fires', { path: '/alerts?refresh=off' }, async (page) => {
    await page.getByRole('heading', { name: 'Nothing fires' }).waitFor();
    assert.equal(await page.getByRole('link', { name: /alert fires/ }).count(), 0);
  });

  check('have rules that are made, refused, muted and switched off', { path: '/alerts?refresh=off', complains: true }, async (page, mock) => {
    const changes = (count) => until(() => mock.changes, (all) => all.length === count);
    await page.getByRole('button', { name: 'New rule' }).click();
    await page.getByLabel('Name').fill('mine');
    await page.getByLabel('Threshold').fill('500');
    mock.refuseChange = 'the threshold is wrong';
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByRole('alert').getByText('the threshold is wrong').waitFor();
    mock.refuseChange = undefined;
    await page.getByRole('button', { name: 'Save' }).click();
    const [, made] = await changes(2);
    assert.deepEqual([made.method, made.path, made.csrf], ['POST', '/api/v1/alerts/rules', '1']);
    assert.deepEqual([made.body.name, made.body.measure, made.body.above, made.body.below], ['mine', 'p95_ms', 500, undefined]);
    await page.getByRole('form', { name: 'New rule' }).waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'Mute 4 h: latency' }).click();
    const muted = (await changes(3))[2];
    assert.equal(muted.path, '/api/v1/alerts/rules/latency/mute');
    assert.ok(Date.parse(muted.body.until) > Date.now() + 3 * 3_600_000);
    await page.getByRole('button', { name: 'Edit errors' }).click();
    await page.getByRole('button', { name: 'Switch off' }).click();
    const off = (await changes(4))[3];
    assert.deepEqual([off.method, off.path, off.body.enabled, off.body.origin], ['PUT', '/api/v1/alerts/rules/errors', false, undefined]);
    assert.equal(await page.getByRole('button', { name: 'Edit slow-checkout' }).count(), 0, 'that is in the file');
  });

  check('have rules that are tried on the past', { path: '/alerts?refresh=off&tz=utc', complains: true }, async (page, mock) => {
    await page.getByRole('button', { name: 'New rule' }).click();
    await page.getByLabel('Threshold').fill('500');
    await page.getByLabel('Days of the past').fill('3');
    await page.getByRole('button', { name: 'Try on the past' }).click();
    const found = page.getByRole('status').filter({ hasText: 'It would have fired 2 times, with 3 messages to each receiver' });
    await found.waitFor();
    const items = await found.getByRole('listitem').allTextContents();
    assert.match(items[0], /10:05 – .*10:40: shop, worst 813 ms/);
    assert.match(items[1], /11:05 – still firing/);
    const [asked] = mock.changes;
    assert.deepEqual([asked.path, asked.csrf, asked.body.days, asked.body.rule.above, asked.body.rule.exists], ['/api/v1/alerts/try', '1', 3, 500, undefined]);
    assert.deepEqual(await seriousFindings(page), []);
    mock.refuseChange = 'the trial takes longer than a query may';
    await page.getByRole('button', { name: 'Try on the past' }).click();
    await page.getByRole('alert').getByText('the trial takes longer').waitFor();
  });

  check('have a form that fits a phone', { path: '/alerts?refresh=off', viewport: PHONE, prepare: firing }, async (page) => {
    await page.getByRole('button', { name: 'New rule' }).click();
    assert.ok((await beyondTheEdge(page)) <= 0);
    assert.deepEqual(await seriousFindings(page), []);
  });
});
