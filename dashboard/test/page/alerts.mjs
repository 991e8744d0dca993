// Alerts: what fires, the rules, and changes.

import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { LOOKS, PHONE, seriousFindings } from '../browser.mjs';
import { beyondTheEdge, check, paramsOf, quantity, requestsTo, until } from '../harness.mjs';

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

  for (const [name, look] of Object.entries(LOOKS)) {
    check(`have a history, ${name}`, { path: '/alerts?refresh=off&tz=utc', prepare: firing, ...look }, async (page, mock) => {
      const history = page.getByRole('region', { name: 'History' }).last();
      const row = (text) => history.getByRole('row').filter({ hasText: text });
      const lost = await row('gateway-lost').textContent();
      for (const part of ['critical', 'shop · production · edge-7', '09:50', '11:00', '1 h 10 min', '960 s', 'above 300 s', 'the gateway was replaced']) assert.ok(lost.includes(part), `${part} in ${lost}`);
      assert.match(await row('errors').textContent(), /still firing2 d 3 h3.4 %/);
      assert.equal(await row('errors').getByRole('link').count(), 0, 'its view is not known');
      await page.getByRole('button', { name: 'Load more' }).click();
      await row('latency').waitFor();
      assert.match(await row('latency').getByRole('link', { name: 'Show it' }).getAttribute('href'), /^\/\?environment=production&service=shop&from=2026-06-19/);
      assert.ok((await beyondTheEdge(page)) <= 0);
      assert.deepEqual(await seriousFindings(page), []);
      await page.getByRole('combobox', { name: 'Period of the history' }).click();
      await page.getByRole('option', { name: 'Last 30 days' }).click();
      const days = (params) => (Date.parse(params.get('to')) - Date.parse(params.get('from'))) / 86_400_000;
      await until(() => requestsTo(mock, 'alerts/history'), (all) => all.some((params) => days(params) === 30));
    });
  }

  check('have receivers that are made, tested and removed', { path: '/alerts?refresh=off', complains: true }, async (page, mock) => {
    const changes = (count) => until(() => mock.changes, (all) => all.length === count);
    await page.getByRole('button', { name: 'New receiver' }).click();
    const form = page.getByRole('form', { name: 'New receiver' });
    await form.getByRole('textbox', { name: 'Name', exact: true }).fill('mail');
    await form.getByLabel('Mail server').fill('mail.example.com');
    await form.getByLabel('Port').fill('2525');
    await form.getByLabel('User name').fill('gatelens');
    await form.getByLabel('Password').fill('a secret');
    await form.getByLabel('From').fill('alerts@example.com');
    await form.getByLabel('To, separated by commas').fill('a@example.com, b@example.com');
    assert.deepEqual(await seriousFindings(page), []);
    mock.refuseChange = 'it is not an address';
    await form.getByRole('button', { name: 'Save' }).click();
    await page.getByRole('alert').getByText('it is not an address').waitFor();
    mock.refuseChange = undefined;
    await form.getByRole('button', { name: 'Save' }).click();
    const [, made] = await changes(2);
    assert.deepEqual([made.method, made.path, made.csrf], ['POST', '/api/v1/alerts/receivers', '1']);
    assert.deepEqual(made.body, {
      name: 'mail',
      smtp: { host: 'mail.example.com', port: 2525, username: 'gatelens', password: 'a secret', from: 'alerts@example.com', to: ['a@example.com', 'b@example.com'], tls: 'starttls' },
    });
    await form.waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'Send a test to post' }).click();
    assert.equal((await changes(3))[2].path, '/api/v1/alerts/receivers/post/test');
    await page.getByRole('button', { name: 'Remove post' }).click();
    const removed = (await changes(4))[3];
    assert.deepEqual([removed.method, removed.path], ['DELETE', '/api/v1/alerts/receivers/post']);
    assert.equal(await page.getByRole('button', { name: 'Remove ops' }).count(), 0, 'that is in the file');
  });

  check('have receivers that are changed, and keep their secrets', { path: '/alerts?refresh=off', complains: true }, async (page, mock) => {
    const changes = (count) => until(() => mock.changes, (all) => all.length === count);
    await page.getByRole('button', { name: 'Edit post' }).click();
    const form = page.getByRole('form', { name: 'Receiver post' });
    await form.waitFor();
    assert.equal(await page.getByRole('button', { name: 'Edit ops' }).count(), 0, 'that is in the file');
    assert.equal(await form.getByRole('textbox', { name: 'Name', exact: true }).isDisabled(), true);
    const shown = await Promise.all(['Mail server', 'Port', 'User name', 'Password', 'From', 'To, separated by commas'].map((label) => form.getByLabel(label).inputValue()));
    assert.deepEqual(shown, ['mail.example.com', '2525', 'gatelens', '', 'alerts@example.com', 'a@example.com, b@example.com']);
    assert.equal(await form.getByLabel('Password').getAttribute('placeholder'), 'kept, unless you write another one');
    assert.deepEqual(await seriousFindings(page), []);
    await form.getByLabel('To, separated by commas').fill('c@example.com');
    await form.getByRole('button', { name: 'Save' }).click();
    const smtp = { host: 'mail.example.com', port: 2525, tls: 'implicit', allow_plain_text: false, username: 'gatelens', from: 'alerts@example.com', to: ['c@example.com'] };
    const [changed] = await changes(1);
    assert.deepEqual([changed.method, changed.path, changed.csrf], ['PUT', '/api/v1/alerts/receivers/post', '1']);
    assert.deepEqual(changed.body, { name: 'post', send_resolved: false, smtp });
    await form.waitFor({ state: 'detached' });

    // Without a user name there must be no password.
    await page.getByRole('button', { name: 'Edit post' }).click();
    await form.getByLabel('User name').fill('');
    await form.getByRole('button', { name: 'Remove: Password' }).click();
    await form.getByRole('button', { name: 'Remove: Password' }).waitFor({ state: 'detached' });
    mock.refuseChange = 'the server would not take it';
    await form.getByRole('button', { name: 'Save' }).click();
    await page.getByRole('alert').getByText('the server would not take it').waitFor();
    const { password, username } = (await changes(2))[1].body.smtp;
    assert.deepEqual([password, username], [null, undefined]);

    // Another kind begins with nothing.
    await form.getByRole('combobox', { name: 'Kind' }).click();
    await page.getByRole('option', { name: 'Slack' }).click();
    mock.refuseChange = undefined;
    await form.getByLabel('Address of the incoming webhook').fill('https://hooks.slack.com/services/T/B/x');
    await form.getByRole('button', { name: 'Save' }).click();
    assert.deepEqual((await changes(3))[2].body, { name: 'post', send_resolved: false, slack: { url: 'https://hooks.slack.com/services/T/B/x' } });
    await form.waitFor({ state: 'detached' });
  });

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

  check('have rules that are made of what is looked at', { path: '/?refresh=off&range=24h&method=GET&route=%2Fv1%2Fproducts%2F%7Bid%7D' }, async (page, mock) => {
    const changes = (count) => until(() => mock.changes, (all) => all.length === count);
    const form = page.getByRole('form', { name: 'New rule' });
    const p95 = page.locator('.figure', { hasText: 'Latency p95' });
    const now = quantity(await p95.locator('strong').textContent()) / 1000;
    await p95.getByRole('link', { name: 'New alert rule: Latency p95' }).click();
    await form.getByRole('button', { name: 'Save' }).click();
    const [{ body: slow }] = await changes(1);
    assert.deepEqual([slow.name, slow.measure, slow.below, slow.scope], ['p95-ms-get-v1-products-id', 'p95_ms', undefined, { method: 'GET', route: '/v1/products/{id}' }]);
    assert.ok(Math.abs(slow.above / (1.5 * now) - 1) < 0.1, `${slow.above} for ${now}`);
    await form.waitFor({ state: 'detached' });
    assert.deepEqual(paramsOf(page), { refresh: 'off', range: '24h', method: 'GET', route: '/v1/products/{id}' }, 'the proposal is gone, the traffic stays');

    await page.goBack();
    await page.getByRole('link', { name: 'New alert rule: Requests per minute' }).click();
    await form.getByRole('button', { name: 'Save' }).click();
    const [, { body: few }] = await changes(2);
    assert.deepEqual([few.measure, few.above], ['requests_per_minute', undefined]);
    assert.ok(few.below > 0 && few.min_requests === undefined, JSON.stringify(few));
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

  check('have trials that go on piece by piece, or are cancelled', { path: '/alerts?refresh=off&tz=utc' }, async (page, mock) => {
    await page.getByRole('button', { name: 'New rule' }).click();
    mock.piece = 'more';
    await page.getByRole('button', { name: 'Try on the past' }).click();
    await page.getByRole('status').filter({ hasText: 'It would have fired 2 times' }).waitFor();
    assert.deepEqual(mock.changes.map(({ body }) => [body.days, body.resume]), [[7, undefined], [7, 7]]);
    mock.piece = 'endless';
    await page.getByRole('button', { name: 'Try on the past' }).click();
    await page.getByRole('status').filter({ hasText: 'It would not have fired from Jun 14, 08:00 to Jun 15, 00:00' }).waitFor();
    assert.equal(Number(await page.getByRole('progressbar', { name: 'Progress of the trial' }).getAttribute('value')).toFixed(2), '0.21');
    await page.getByRole('button', { name: 'Cancel the trial' }).click();
    await page.getByRole('progressbar').waitFor({ state: 'detached' });
    assert.equal(await page.getByRole('alert').count(), 0, 'what was cancelled did not fail');
    assert.equal(await page.getByRole('status').filter({ hasText: 'to Jun 15, 00:00' }).count(), 1);
  });

  check('have a form that fits a phone', { path: '/alerts?refresh=off', viewport: PHONE, prepare: firing }, async (page) => {
    await page.getByRole('button', { name: 'New rule' }).click();
    assert.ok((await beyondTheEdge(page)) <= 0);
    assert.deepEqual(await seriousFindings(page), []);
  });
});
