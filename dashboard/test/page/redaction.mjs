// What was captured of requests, and what gateways report of redaction.

import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { LOOKS, seriousFindings } from '../browser.mjs';
import { beyondTheEdge, check, until } from '../harness.mjs';
import { CAPTURED } from '../mock-redaction.mjs';

const captured = (more = {}) => ({
  time: new Date().toISOString(), consumer: 'acme', method: 'POST', route: '/v1/captured', path: '/v1/captured', status: 201, duration_ms: 4, upstream_ms: 3,
  request_bytes: 612, response_bytes: 1_234_567, request_id: 'captured-1', gateway: 'edge-1', ...CAPTURED.bodies, ...more,
});
const log = (more) => ({ path: '/requests?refresh=off', prepare: (mock) => mock.extra.push(captured(more)) });

/** Opens the request that was captured and gives its detail. */
async function opened(page) {
  await page.locator('.expandable-entry', { hasText: '/v1/captured' }).locator('.expandable-expand').click();
  const detail = page.locator('.detail');
  await detail.waitFor();
  return detail;
}

describe('a captured request', { concurrency: 2 }, () => {
  check('shows headers and query with what is masked set apart', log({ grpc_status: 7 }), async (page) => {
    const detail = await opened(page);
    const headers = await detail.getByRole('group', { name: 'Request headers' }).locator('dl > div').evaluateAll((all) => all.map((row) => [...row.children].map((each) => each.textContent)));
    assert.deepEqual(headers, Object.entries(CAPTURED.bodies.request_headers).map(([name, values]) => [name, ...values]));
    assert.equal(await detail.getByRole('group', { name: 'Response headers' }).locator('.masked-mask').count(), 2);
    assert.equal(await detail.locator('dl > div', { hasText: 'Query' }).locator('.masked-mask').count(), 1);
    assert.equal(await page.locator('.expandable-entry.expandable-open .masked-mask').count(), 1);
    assert.match(await detail.textContent(), /gRPC status7 PERMISSION_DENIED/);
    assert.doesNotMatch(await detail.textContent(), /omitted|Grpc/, 'what has its place is not listed again');
  });

  check('shows its body for reading, every digit of it, and copies it as it came', log(), async (page) => {
    const detail = await opened(page);
    const body = detail.getByRole('group', { name: 'Request body' });
    const text = await body.textContent();
    for (const part of ['\n  "order": 12345678901234567890,', '\n  "total": 1.50,', '"quantity": 1e3', '\n    "email": "[CLIENT_REDACTED]",', '"tags": [],']) assert.ok(text.includes(part), part);
    assert.equal(await body.locator('.masked-mask').count(), 3);
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await detail.getByRole('button', { name: 'Copy', exact: true }).click();
    await detail.getByRole('button', { name: 'Copied' }).waitFor();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), CAPTURED.bodies.request_body);
  });

  check('shows what looks like a page as text', log({ response_headers: { 'x-note': ['<img src=x onerror="window.hit=1">'] }, response_body_omitted: '<b>bold</b>' }), async (page) => {
    const detail = await opened(page);
    const text = await detail.textContent();
    for (const part of ["<script>window.hit=1</script><img src=x onerror='window.hit=1'>", '<img src=x onerror="window.hit=1">', '<b>bold</b>']) assert.ok(text.includes(part), part);
    assert.equal(await detail.locator('.detail-messages :is(script, img)').count(), 0);
    assert.equal(await page.evaluate('window.hit'), undefined);
  });

  const omissions = [
    ['too_large', /Omitted: too large\. The body exceeds capture\.max_body_bytes.* Its size is 1\.23 MB\./],
    ['not_seen', /Omitted: not seen\. The filter did not see the body/],
    ['solar_flare', /Omitted: solar_flare\. No part of the body was sent\. Its size is 1\.23 MB\./],
  ];
  for (const [reason, words] of omissions) {
    check(`says why a body is not there: ${reason}`, log({ response_body_omitted: reason }), async (page) => {
      assert.match(await (await opened(page)).getByRole('region', { name: 'Response as captured' }).textContent(), words);
    });
  }

  check('of which nothing was captured has no place for it', log({ ...CAPTURED.nothing }), async (page) => {
    const detail = await opened(page);
    assert.equal(await detail.locator('.captured-message-message').count(), 0);
  });

  const lines = 'a line of a long body\n'.repeat(40_000);
  const wide = JSON.stringify({ token: 'x'.repeat(5000), list: Array.from({ length: 3000 }, () => '[CLIENT_REDACTED]') });
  check('stays within its box however long its body', log({ request_body: lines, response_body: wide, response_body_omitted: null }), async (page) => {
    const detail = await opened(page);
    for (const name of ['Request body', 'Response body']) {
      const body = detail.getByRole('group', { name });
      assert.ok((await body.boundingBox()).height <= 400, name);
      assert.ok(await body.evaluate((box) => box.scrollHeight > 4 * box.clientHeight && box.scrollWidth === box.clientWidth), name);
    }
    assert.equal((await detail.getByRole('group', { name: 'Response body' }).textContent()).split('[CLIENT_REDACTED]').length, 3001);
    assert.equal(await beyondTheEdge(page), 0);
  });

  for (const [look, options] of Object.entries(LOOKS)) {
    check(`is sound in ${look}`, { ...log(), ...options }, async (page) => {
      await opened(page);
      assert.deepEqual(await seriousFindings(page), []);
      assert.equal(await beyondTheEdge(page), 0, 'the page scrolls sideways');
    });
  }
});

const rulesIn = (scope) => scope.locator('.rule-table-rules tbody tr').evaluateAll((all) => all.map((row) => [...row.children].map((each) => each.textContent.trim()).join(' | ')));

describe('redaction of one gateway', { concurrency: 2 }, () => {
  check('is summed over its starts, rules that never matched first', { path: '/gateways?refresh=off' }, async (page) => {
    await page.getByRole('button', { name: 'Details of edge-1' }).click();
    const section = page.getByRole('region', { name: 'Redaction' });
    assert.deepEqual(await rulesIn(section), [
      '$.costumer.phone request body | never matched', '$.users[*].email response body | never matched', 'x-internal-* headers | 48,213', '$.customer.email request body | 4,000',
      'password built-in | 3,911', 'session_* query | 907', '$.items[*].note request body | 120', 'card detector | 12', 'token built-in | 5', 'passport_no any key | 4',
    ]);
    const text = await section.textContent();
    for (const part of [
      '2 of 10 rules never matched. Check the spelling', '42,000 captured, 364 omitted; 120,400 requests had none', '310 media type: The content type is missing', '50 too large: ',
      '0 captured, 19 omitted', '17 not seen: The filter did not see the body', '2 solar_flare',
    ]) assert.ok(text.includes(part), part);
    await section.getByRole('link', { name: 'Test rules in the preview' }).click();
    await page.getByRole('heading', { name: 'Preview' }).waitFor();
  });

  check('is absent for a gateway that does not report it', { path: '/gateways?refresh=off' }, async (page) => {
    await page.getByRole('button', { name: 'Details of edge-canary' }).click();
    await page.locator('.detail').waitFor();
    assert.equal(await page.getByRole('region', { name: 'Redaction' }).count(), 0);
  });

  const many = Array.from({ length: 1500 }, (_, index) => ({ rule: `request_body:$.member_${index}.with_a_long_name.and_another[*].that_goes_on_and_on`, hits: index % 3 }));
  const bodies = { request: { captured: 0, omitted: {} }, response: { captured: 0, omitted: {} } };
  for (const [look, options] of Object.entries(LOOKS)) {
    check(`holds 1,500 rules in ${look}`, { path: '/gateways?refresh=off', prepare: (mock) => Object.assign(mock.gateways, { 'edge-2': { redaction: { rules: many, bodies } } }), ...options }, async (page) => {
      await page.getByRole('button', { name: 'Details of edge-2' }).click();
      const section = page.getByRole('region', { name: 'Redaction' });
      assert.ok((await section.boundingBox()).height < 900);
      assert.equal(await beyondTheEdge(page), 0, 'the page scrolls sideways');
      assert.match(await section.textContent(), /500 of 1,500 rules never matched/);
      assert.ok((await rulesIn(section)).slice(0, 500).every((row) => row.endsWith('never matched')));
      await section.getByRole('searchbox', { name: 'Search rules' }).fill('member_149');
      assert.equal((await rulesIn(section)).length, 11);
      await section.getByRole('button', { name: 'Rule', exact: true }).click();
      assert.match((await rulesIn(section))[0], /^\$\.member_149\./);
      assert.deepEqual(await seriousFindings(page), []);
    });
  }
});

describe('redaction of all gateways', { concurrency: 2 }, () => {
  check('is summed up', { path: '/redaction?refresh=off' }, async (page) => {
    const rules = page.getByRole('region', { name: 'Rules' });
    await rules.locator('.rule-table-never').waitFor();
    assert.deepEqual((await rulesIn(rules)).slice(0, 4), ['$.costumer.phone request body | never matched | 1', 'x-internal-* headers | 99,233 | 2', '$.customer.email request body | 8,000 | 2', 'password built-in | 3,911 | 1']);
    assert.match(await rules.textContent(), /1 of 10 rules never matched\. Check the spelling/);
    const text = await page.getByRole('region', { name: 'Bodies' }).textContent();
    for (const part of ['82,120 captured, 414 omitted', '100 too large', '9 captured, 25 omitted', '6 memory limit']) assert.ok(text.includes(part), part);

    await rules.getByRole('button', { name: 'Hits' }).click();
    assert.match((await rulesIn(rules))[0], /^x-internal/);
    assert.equal(await rules.locator('th[aria-sort=descending]').textContent(), 'Hits');
  });

  check('is kept fresh', { path: '/redaction?refresh=off' }, async (page, mock) => {
    await page.getByRole('region', { name: 'Rules' }).locator('.rule-table-never').waitFor();
    mock.gateways['edge-1'] = { redaction: null };
    await page.getByRole('button', { name: 'Refresh now' }).click();
    await until(() => page.getByRole('region', { name: 'Rules' }).textContent(), (text) => text.includes('1 gateway reports'));
  });

  check('without a gateway that reports it says what to do', { path: '/redaction', mode: 'heartbeat' }, async (page) => {
    await page.getByText('No gateway reports redaction yet').waitFor();
    await page.getByRole('heading', { name: 'Preview' }).waitFor();
    assert.deepEqual(await seriousFindings(page), []);
  });
});
