// Sign-in, roles, and the way back to the same view.

import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { LOOKS, seriousFindings } from '../browser.mjs';
import { beyondTheEdge, check, until } from '../harness.mjs';

const asks = (mock) => (mock.session = { required: true, methods: ['password'], provider: null, person: null });
const asksProvider = (methods, provider) => (mock) => (mock.session = { required: true, methods, provider, person: null });
const signedIn = (role) => (mock) => (mock.session = { required: true, methods: ['password'], provider: null, person: { name: 'ada', role, expires_in: 43_200 } });

async function signIn(page, password) {
  await page.getByLabel('Name').fill('ada');
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

describe('a person', { concurrency: 2 }, () => {
  for (const [name, look] of Object.entries(LOOKS)) {
    check(`is asked to sign in, ${name}`, { path: '/', prepare: asks, ...look }, async (page, mock) => {
      await page.getByRole('heading', { name: 'Sign in' }).waitFor();
      assert.deepEqual(await seriousFindings(page), []);
      assert.equal(await beyondTheEdge(page), 0);
      assert.deepEqual(mock.seen, ['/api/v1/session'], 'nothing else is asked before');
    });
  }

  for (const [name, look] of Object.entries(LOOKS)) {
    check(`is sent to the provider, or gives a password, ${name}`, { path: '/routes?range=6h&status=5xx', prepare: asksProvider(['password', 'oidc'], 'Example'), ...look }, async (page) => {
      const link = page.getByRole('link', { name: 'Sign in with Example' });
      await link.waitFor();
      assert.equal(await page.getByRole('button', { name: 'Sign in', exact: true }).count(), 1);
      const href = new URL(await link.getAttribute('href'), page.url());
      assert.equal(href.pathname, '/auth/start');
      assert.equal(href.searchParams.get('return'), '/routes?range=6h&status=5xx');
      assert.deepEqual(await seriousFindings(page), []);
      assert.equal(await beyondTheEdge(page), 0);
    });
  }

  check('has the provider alone, whose name may be long and is text', { path: '/', prepare: asksProvider(['oidc'], `<i>${'long'.repeat(30)}</i>`), ...LOOKS.phone }, async (page) => {
    const link = page.getByRole('link', { name: /^Sign in with <i>long/ });
    await link.waitFor();
    assert.equal(await page.getByLabel('Password').count(), 0);
    assert.equal(await page.getByText('gatelens user add').count(), 0);
    assert.equal(await beyondTheEdge(page), 0);
  });

  // The browser itself complains about a response with 401.
  check('signs in and is at the view that the address names', { path: '/requests?status=503', prepare: asks, complains: true }, async (page, mock) => {
    await signIn(page, 'wrong password');
    await page.getByText('The name or the password is wrong.').waitFor();
    assert.equal(mock.session.person, null);
    await page.keyboard.type('correct horse battery');
    await page.keyboard.press('Enter');
    await page.locator('.expandable-entry').first().waitFor();
    assert.equal(new URL(page.url()).search, '?status=503');
    await page.getByRole('button', { name: 'ada analyst' }).waitFor();
  });

  check('whose session ends signs in again at the same place', { path: '/routes?range=6h', prepare: signedIn('viewer'), complains: true }, async (page, mock) => {
    await page.getByRole('button', { name: 'ada viewer' }).waitFor();
    mock.session = { ...mock.session, person: null };
    // The page also refreshes by itself, and may be faster than the click.
    await page.getByRole('button', { name: 'Refresh now' }).click({ timeout: 2_000 }).catch(() => {});
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    assert.equal(await page.locator('table').count(), 0, 'nothing stays on the page');
    await signIn(page, 'correct horse battery');
    await page.locator('table').first().waitFor();
    assert.equal(new URL(page.url()).pathname + new URL(page.url()).search, '/routes?range=6h');
  });

  check('signs out', { path: '/', prepare: signedIn('analyst') }, async (page, mock) => {
    await page.getByRole('button', { name: /^ada / }).click();
    assert.deepEqual(await seriousFindings(page), []);
    assert.equal(await page.getByRole('link', { name: 'Audit log' }).count(), 0);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    assert.equal(mock.session.person, null);
  });

  check('who is a viewer sees which fields are withheld', { path: '/requests', prepare: signedIn('viewer') }, async (page) => {
    await page.locator('.expandable-entry .expandable-expand').nth(1).click();
    const text = await page.locator('[data-withheld]').textContent();
    assert.match(text, /^Withheld from your role: .*client address.*An analyst sees them\.$/);
    assert.equal(await page.locator('.detail dl > div', { hasText: 'Address' }).locator('dd').first().textContent(), 'withheld');
    assert.deepEqual(await seriousFindings(page), []);
  });

  check('who is an admin reads the audit log page by page', { path: '/', prepare: (mock) => {
    signedIn('admin')(mock);
    const entry = (number) => ({ time: `2026-06-20T12:00:${String(number % 60).padStart(2, '0')}Z`, actor: `person ${number}`, role: 'analyst', peer: '192.0.2.7', action: 'captured_read', detail: 'rows: 12, query: status=500' });
    mock.audit = Array.from({ length: 60 }, (_, number) => entry(number));
    mock.audit[59] = { ...mock.audit[59], actor: '<b>mallory</b>', role: null, action: 'sign_in_failed', detail: 'the name or the password is wrong' };
  } }, async (page) => {
    await page.getByRole('button', { name: /^ada / }).click();
    await page.getByRole('link', { name: 'Audit log' }).click();
    await page.getByText('<b>mallory</b>').waitFor();
    assert.equal(await page.locator('tbody tr').count(), 50);
    assert.deepEqual(await seriousFindings(page), []);
    await page.getByRole('button', { name: 'Older' }).click();
    await until(() => page.locator('tbody tr').count(), (count) => count === 10);
    await page.getByRole('button', { name: 'Newer' }).click();
    await until(() => page.locator('tbody tr').count(), (count) => count === 50);
  });
});
