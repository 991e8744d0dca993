// Consumers as people know them: who moved, who is new, and the directory.

import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { LOOKS, seriousFindings } from '../browser.mjs';
import { beyondTheEdge, check, filled, picture, until } from '../harness.mjs';

const ACME = { name: 'Acme Corporation', group: 'platinum', note: 'renews in May' };
const withEntries = (mock) => (mock.directory = { acme: ACME, 'a/b': { name: '=SUM(1)', group: '', note: '' } });

describe('consumers', { concurrency: 2 }, () => {
  check('that are new, come back or are gone are told apart, and the words are defined', {
    path: '/consumers?refresh=off',
    prepare: (mock) => (mock.consumers = { hooli: { first_seen: new Date().toISOString() } }),
  }, async (page, mock) => {
    await page.route('**/api/v1/summary?**', async (route) => {
      const answer = await (await fetch(route.request().url().replace(/^http:\/\/[^/]*/, mock.url))).json();
      // In the hour before, two consumers had no requests, another one had, and one had ten times as many.
      if (Date.parse(answer.to) < Date.now() - 50 * 60_000) {
        answer.rows = answer.rows.filter(({ consumer }) => !['hooli', 'initech'].includes(consumer)).map((row) => (row.consumer === 'globex' ? { ...row, requests: row.requests * 10 } : row));
        answer.rows.push({ ...answer.rows[0], consumer: 'gone-by', requests: 500 });
      }
      await route.fulfill({ json: answer });
    });
    await page.reload();
    const row = (name) => page.locator('.entity-table-entities tbody tr', { has: page.getByRole('link', { name, exact: true }) });
    for (const [name, word] of [['hooli', 'new'], ['initech', 'returning'], ['gone-by', 'gone']]) await row(name).locator('.tag', { hasText: new RegExp(`^${word}$`) }).waitFor();
    await page.getByText('returning: counted before, not in the previous period, and now again.').waitFor();
    const movers = page.getByRole('region', { name: 'Top movers' });
    await movers.getByRole('listitem').filter({ hasText: 'globex' }).filter({ hasText: /−[\d,.k]+ \(↓ \d+(\.\d+)? %\)/ }).waitFor();
    await movers.getByRole('listitem').filter({ hasText: 'gone-by' }).filter({ hasText: '(gone)' }).waitFor();
  });

  check('have a card with their times, data over time, and an entry that is edited', { path: '/consumer?consumer=acme&refresh=off' }, async (page, mock) => {
    const card = page.getByRole('region', { name: 'About this consumer' });
    await card.getByText('First seen').waitFor();
    await page.getByRole('slider', { name: 'Data over time' }).waitFor();
    await card.getByRole('button', { name: 'Edit name, group and note' }).click();
    const form = page.getByRole('form', { name: 'Entry of acme' });
    assert.equal(await form.getByLabel('Name').getAttribute('placeholder'), 'Acme Inc.');
    await form.getByLabel('Group').fill('platinum');
    await form.getByLabel('Note').fill('renews in May');
    await form.getByRole('button', { name: 'Save' }).click();
    const [change] = await until(() => mock.changes, (all) => all.length === 1);
    assert.deepEqual([change.method, change.path, change.csrf, change.body], ['PUT', '/api/v1/consumers/acme', '1', { name: '', group: 'platinum', note: 'renews in May' }]);
    await card.getByText('platinum (gateways report enterprise)').waitFor();
    assert.deepEqual(await seriousFindings(page), []);
  });
});

describe('the directory', { concurrency: 2 }, () => {
  check('is edited, and says why a change was refused', { path: '/consumers?refresh=off', complains: true, prepare: withEntries }, async (page, mock) => {
    await page.getByRole('link', { name: 'Names and groups of consumers' }).click();
    await page.getByRole('button', { name: 'New entry' }).click();
    const form = page.getByRole('form', { name: 'New entry' });
    await form.getByLabel('Consumer (ID)').fill('new/one');
    await form.getByLabel('Name').fill('New One');
    mock.refuseChange = 'name has a control character';
    await form.getByRole('button', { name: 'Save' }).click();
    await page.getByRole('alert').getByText('name has a control character').waitFor();
    mock.refuseChange = undefined;
    await form.getByRole('button', { name: 'Save' }).click();
    await form.waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'Edit new/one' }).waitFor();
    assert.equal(mock.changes.at(-1).path, '/api/v1/consumers/new%2Fone');
    await page.getByRole('button', { name: 'Remove acme' }).click();
    await page.getByRole('button', { name: 'Remove acme' }).waitFor({ state: 'detached' });
    assert.deepEqual(Object.keys(mock.directory), ['a/b', 'new/one']);
  });

  for (const [look, options] of Object.entries(LOOKS)) {
    check(`(${look}) takes a table, after it has shown what changes`, { path: '/directory?refresh=off', ...options, prepare: withEntries }, async (page, mock) => {
      await page.getByRole('button', { name: 'Import' }).click();
      const part = page.getByRole('region', { name: 'Import a table' });
      await part.getByLabel('or paste it here').fill('id,name,group\nacme,Acme Inc.,gold\n,Nobody,\nglobex,Globex,\n');
      await part.getByRole('button', { name: 'Show the changes' }).click();
      await part.getByText('Line 3: id is empty: write the ID of the consumer').waitFor();
      assert.equal(await part.getByRole('button', { name: /^Make/ }).count(), 0);
      assert.deepEqual(await seriousFindings(page), []);
      await picture(page, `directory-${look}`);
      await part.getByLabel('or paste it here').fill('id,name,group\nacme,Acme Inc.,gold\nglobex,Globex,\n');
      await part.getByRole('button', { name: 'Show the changes' }).click();
      await part.getByText('1 new, 1 changed, 0 as they are.').waitFor();
      await part.getByRole('row').filter({ hasText: 'Acme Corporation → Acme Inc.' }).waitFor();
      assert.equal(mock.directory.globex, undefined);
      await part.getByRole('button', { name: 'Make 2 changes' }).click();
      await part.getByText('Done.').waitFor();
      await page.getByRole('button', { name: 'Edit globex' }).waitFor();
      assert.ok((await beyondTheEdge(page)) <= 0);
    });
  }

  check('is exported so that a spreadsheet runs nothing', { path: '/directory?refresh=off', prepare: withEntries }, async (page) => {
    const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Export' }).click()]);
    const chunks = [];
    for await (const chunk of await file.createReadStream()) chunks.push(chunk);
    assert.equal(Buffer.concat(chunks).toString(), "id,name,group,note\r\nacme,Acme Corporation,platinum,renews in May\r\na/b,'=SUM(1),,\r\n");
  });

  check('cannot be changed by those who only read', {
    path: '/directory?refresh=off',
    prepare: (mock) => {
      withEntries(mock);
      mock.session = { required: true, methods: ['password'], provider: null, person: { name: 'eve', role: 'viewer', expires_in: null } };
    },
  }, async (page) => {
    await page.getByRole('link', { name: 'acme' }).waitFor();
    await filled(page);
    assert.equal(await page.getByRole('button', { name: /^(Edit|Remove|Import|New entry)/ }).count(), 0);
  });
});
