// The page's sign-in at a provider of OpenID Connect, with a running ingest (GATELENS_SIGN_IN), one that refuses the person
// (GATELENS_REFUSED) and the issuer of the provider (GATELENS_PROVIDER), whose page has the links `Continue` and `Cancel`.
// Screenshots go to GATELENS_SHOTS if that is set.

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { launch, open, seriousFindings } from './browser.mjs';
import { until } from './harness.mjs';

const { GATELENS_SIGN_IN: url, GATELENS_REFUSED: refusing, GATELENS_PROVIDER: issuer, GATELENS_SHOTS: shots } = process.env;
const PERSON = 'ada@example.com';

describe('a person at a provider', { skip: url && refusing && issuer ? false : 'GATELENS_SIGN_IN, GATELENS_REFUSED and GATELENS_PROVIDER are not set' }, () => {
  let browser;
  before(async () => {
    browser = await launch();
    if (shots) await mkdir(shots, { recursive: true });
  });
  after(() => browser?.close());

  const save = async (page, name) => shots && page.screenshot({ path: join(shots, `${name}.png`) });
  const names = async (page) => (await page.context().cookies()).map(({ name }) => name).toSorted();
  /** From the page to the provider. */
  async function leave(page) {
    await page.getByRole('link', { name: 'Sign in with Example' }).click();
    await page.waitForURL((at) => at.href.startsWith(`${issuer}/authorize?`));
  }

  test('signs in, stays so, and signs out', async () => {
    const page = await open(browser, `${url}/routes?range=6h`);
    await leave(page);
    const [begun] = await page.context().cookies();
    assert.deepEqual([begun.name, begun.path, begun.httpOnly, begun.sameSite], ['gatelens-sign-in', '/auth', true, 'Lax']);
    assert.equal((await page.context().cookies()).length, 1, 'nobody is signed in yet');
    await page.getByRole('link', { name: 'Continue' }).click();

    // Back at the view that was asked for, and without the parameters of the provider.
    await page.waitForURL(`${url}/routes?range=6h`);
    const menu = page.getByRole('button', { name: `${PERSON} admin` });
    await menu.waitFor();
    const [session] = await page.context().cookies();
    assert.deepEqual(await names(page), ['gatelens-session'], 'the cookie of the sign-in is gone');
    assert.deepEqual([session.path, session.httpOnly, session.sameSite], ['/', true, 'Strict']);
    assert.equal(await page.evaluate('document.cookie'), '', 'no script reads the cookie');
    await save(page, 'signed-in');

    // A link on another site leads to the page, and the session holds.
    await page.goto(`${issuer}/authorize`, { waitUntil: 'commit' });
    await page.evaluate((to) => { window.location.href = to; }, `${url}/consumers?range=6h`);
    await page.waitForURL(`${url}/consumers?range=6h`);
    await menu.waitFor();

    // The audit log knows the way.
    await menu.click();
    await page.getByRole('link', { name: 'Audit log' }).click();
    await page.getByText('with OpenID Connect at Example, subject person-1').waitFor();

    await menu.click();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    await until(() => names(page), (all) => all.length === 0);
    const answer = await page.request.get(`${url}/api/v1/audit`, { headers: { cookie: `${session.name}=${session.value}` } });
    assert.equal(answer.status(), 401, 'the old cookie is worth nothing');
    // The browser's button "back" shows nothing of before.
    await page.goBack();
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    assert.equal(await page.locator('table').count(), 0);
    await page.context().close();
  });

  test('who cancels is sent back, and can begin anew', async () => {
    const page = await open(browser, `${url}/`);
    await leave(page);
    await page.getByRole('link', { name: 'Cancel' }).click();
    await page.getByRole('heading', { name: 'Sign-in failed' }).waitFor();
    await page.getByText('The provider refused the sign-in with the error `access_denied`.').waitFor();
    assert.deepEqual(await names(page), []);
    assert.deepEqual(await seriousFindings(page), []);
    await page.getByRole('link', { name: 'Back to the sign-in' }).click();
    await leave(page);
    await page.context().close();
  });

  test('who is refused reads why, and is not signed in', async () => {
    const page = await open(browser, `${refusing}/gateways`);
    await leave(page);
    await page.getByRole('link', { name: 'Continue' }).click();
    await page.getByRole('heading', { name: 'Sign-in failed' }).waitFor();
    await page.getByText('Addresses of your e-mail domain may not sign in here.').waitFor();
    assert.deepEqual(await names(page), []);
    await save(page, 'sign-in-refused');
    await page.getByRole('link', { name: 'Back to the sign-in' }).click();
    await page.getByRole('heading', { name: 'Sign in', exact: true }).waitFor();
    assert.equal(await page.getByRole('button', { name: /^ada/ }).count(), 0);
    await page.context().close();
  });

  test('an answer of another browser is worth nothing', async () => {
    const victim = await open(browser, `${url}/`);
    await leave(victim);
    // The provider's answer for the victim, opened by somebody else.
    const answer = await victim.request.get(victim.url() + '&consent=yes', { maxRedirects: 0 });
    const other = await open(browser, `${url}/`);
    await other.goto(answer.headers().location);
    await other.getByText('began in another browser').waitFor();
    assert.deepEqual(await names(other), []);
    await other.context().close();
    await victim.context().close();
  });
});
