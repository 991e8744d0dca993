// The period, the zone of times, and refreshing.

import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { PHONE } from '../browser.mjs';
import { check, paramsOf, requestsTo, settled, totalAsked, until } from '../harness.mjs';

describe('the period', { concurrency: 2 }, () => {
  for (const [id, label, seconds] of [['15m', 'Last 15 minutes', 900], ['6h', 'Last 6 hours', 21600], ['24h', 'Last 24 hours', 86400], ['7d', 'Last 7 days', 604800], ['30d', 'Last 30 days', 2592000], ['90d', 'Last 90 days', 7776000], ['13mo', 'Last 13 months', 34214400]]) {
    check(`${label} is asked for and kept in the address`, { path: '/?refresh=off' }, async (page, mock) => {
      await settled(page, mock);
      mock.seen.length = 0;
      await page.getByRole('button', { name: /^Time range/ }).click();
      await page.getByRole('button', { name: label }).click();
      await until(() => requestsTo(mock, 'timeseries').length, (count) => count >= 2);
      assert.deepEqual(paramsOf(page), { range: id, refresh: 'off' });
      const params = requestsTo(mock, 'timeseries')[0];
      const asked = (Date.parse(params.get('to')) - Date.parse(params.get('from'))) / 1000;
      const step = Number(params.get('step'));
      assert.ok(asked >= seconds && asked < seconds + step, `${asked} s`);
      assert.ok(asked / step <= 100);
      assert.equal((Date.parse(params.get('from')) / 1000) % step, 0, 'the first point has its whole step');
      assert.equal((await totalAsked(mock)).get('from'), params.get('from'), 'figures and charts are of one period');
    });
  }

  check('of one’s own is shown, and does not move', { path: '/?from=2026-01-05T10:00Z&to=2026-01-05T11:30Z' }, async (page, mock) => {
    await page.locator('[data-figure=requests]').waitFor();
    const params = await totalAsked(mock);
    assert.equal(params.get('from'), '2026-01-05T10:00:00.000Z');
    assert.equal(params.get('to'), '2026-01-05T11:30:00.000Z');
    assert.ok(await page.getByRole('button', { name: /^Live off/ }).isDisabled());
  });

  check('before the minutes is drawn by half hours, and the page shows that', { path: '/?from=2026-01-05T10:00Z&to=2026-01-05T11:30Z', prepare: (mock) => Object.assign(mock, { kept_since: Date.parse('2026-02-01') / 1000 }) }, async (page, mock) => {
    await page.getByText('The charts show steps of half an hour.').first().waitFor();
    assert.equal(await page.getByText('No requests in this period').count(), 0);
    assert.equal(requestsTo(mock, 'timeseries')[0].get('step'), '60');
  });

  for (const [name, path, title] of [['causes of errors', '/errors?', 'Causes'], ['services side by side', '/?split=service&', 'Latency p95'], ['the data of a consumer', '/consumer?consumer=acme&', 'Data']]) {
    check(`before the minutes has one column for each half hour in the chart of ${name}`, { path: `${path}from=2026-01-05T10:00Z&to=2026-01-05T11:30Z`, prepare: (mock) => Object.assign(mock, { kept_since: Date.parse('2026-02-01') / 1000 }) }, async (page) => {
      const plot = page.getByRole('slider', { name: `${title} over time` });
      await until(() => plot.getAttribute('aria-valuemax'), (last) => last === '2');
      assert.doesNotMatch(await plot.getAttribute('aria-valuetext'), / none/);
    });
  }

  check('is chosen in the form', {}, async (page) => {
    await page.getByRole('button', { name: /^Time range/ }).click();
    await page.getByLabel('From').fill('2026-01-05T10:00');
    await page.getByLabel('To', { exact: true }).fill('2026-01-05T09:00');
    await page.getByText('The end must be after the start').waitFor();
    await page.getByLabel('To', { exact: true }).fill('2026-01-05T12:00');
    await page.getByRole('button', { name: 'Apply' }).click();
    assert.deepEqual(paramsOf(page), { from: '2026-01-05T10:00Z', to: '2026-01-05T12:00Z' });
  });

  check('is zoomed by dragging over a chart', {}, async (page) => {
    const plot = page.locator('.u-over').first();
    const { x, y, width, height } = await plot.boundingBox();
    await page.mouse.move(x + width * 0.25, y + height / 2);
    await page.mouse.down();
    await page.mouse.move(x + width * 0.75, y + height / 2, { steps: 5 });
    await page.mouse.up();
    const { from, to } = await until(() => paramsOf(page), (params) => params.from !== undefined);
    const minutes = (Date.parse(to) - Date.parse(from)) / 60000;
    assert.ok(minutes >= 30 && minutes <= 33, `${minutes} minutes`);
  });
});

describe('a column of a chart', { concurrency: 2 }, () => {
  const minutesOf = ({ from, to }) => (Date.parse(to) - Date.parse(from)) / 60_000;

  check('is opened by a click, beside the drag', { path: '/?refresh=off' }, async (page, mock) => {
    await settled(page, mock);
    const plot = page.locator('.u-over').first();
    const { width, height } = await plot.boundingBox();
    await plot.click({ position: { x: width * 0.5, y: height / 2 } });
    await page.getByText('Latest requests').waitFor();
    assert.equal(new URL(page.url()).pathname, '/requests');
    assert.equal(minutesOf(paramsOf(page)), 1);
    const [start, asked] = [Date.parse(paramsOf(page).from), Date.now()];
    assert.ok(asked - start > 28 * 60_000 && asked - start < 34 * 60_000, 'the middle of an hour');
    await until(() => requestsTo(mock, 'requests').some((params) => Date.parse(params.get('from')) === start), Boolean);
  });

  check('is opened by Enter, and the slowest requests come first', { path: '/?refresh=off' }, async (page, mock) => {
    await settled(page, mock);
    await page.getByRole('slider', { name: 'Latency over time' }).focus();
    for (const key of ['Home', 'ArrowRight', 'Enter']) await page.keyboard.press(key);
    await page.getByText('Slowest requests').waitFor();
    assert.deepEqual([minutesOf(paramsOf(page)), paramsOf(page).sort], [1, 'duration']);
  });

  check('shows its values to a finger first', { path: '/?refresh=off', viewport: PHONE, hasTouch: true }, async (page, mock) => {
    await settled(page, mock);
    const plot = page.locator('.u-over').first();
    const { width, height } = await plot.boundingBox();
    const touch = () => plot.tap({ position: { x: width * 0.3, y: height / 2 } });
    await touch();
    await page.locator('.chart-tip').first().waitFor();
    assert.equal(new URL(page.url()).pathname, '/');
    await touch();
    await until(() => new URL(page.url()).pathname, (path) => path === '/requests');
  });
});

describe('an address that asks too much', { concurrency: 2 }, () => {
  for (const search of ['from=0001-01-01T00:00Z&to=9999-12-31T23:59Z', 'from=1970-01-01&to=%2B275760-09-13T00:00:00Z', 'from=2026-01-05T10:00Z&to=2026-01-05T10:00:01Z', 'from=x&to=y', 'from=2000-01-01&to=2026-01-01&step=1']) {
    check(search, { path: `/?${search}`, complains: true }, async (page, mock) => {
      await page.locator('[data-figure=requests], .empty-blank').first().waitFor();
      for (const params of requestsTo(mock, 'timeseries')) {
        const [from, to] = ['from', 'to'].map((name) => Date.parse(params.get(name)) / 1000);
        assert.ok((to - from) / Number(params.get('step')) <= 100, `${params}`);
      }
    });
  }
});

describe('the zone of times', { concurrency: 2 }, () => {
  const abroad = { timezoneId: 'Asia/Kolkata' };
  const period = 'from=2026-01-05T10:00Z&to=2026-01-05T11:30Z';
  const label = (page) => page.getByRole('button', { name: /^Time range/ }).getAttribute('aria-label');

  check('is the browser’s own, and UTC on request', { path: `/requests?${period}`, ...abroad }, async (page) => {
    assert.equal(await label(page), 'Time range: Jan 5, 15:30 – Jan 5, 17:00');
    await page.getByRole('button', { name: 'Times in local time, UTC+5:30. Switch to UTC' }).click();
    assert.equal(paramsOf(page).tz, 'utc');
    assert.equal(await label(page), 'Time range: Jan 5, 10:00 – Jan 5, 11:30');
    await until(() => page.locator('.expandable-entry time').first().textContent(), (text) => text.startsWith('Jan 5 11:29'));
    await page.getByRole('link', { name: 'Overview', exact: true }).click();
    assert.equal(paramsOf(page).tz, 'utc');
    await until(() => page.getByRole('slider', { name: 'Latency over time' }).getAttribute('aria-valuetext'), (text) => text.includes('Jan 5, 11:29'));
  });

  check('holds for the form as well', { path: '/?tz=utc', ...abroad }, async (page) => {
    await page.getByRole('button', { name: /^Time range/ }).click();
    await page.getByLabel('From').fill('2026-01-05T10:00');
    await page.getByLabel('To', { exact: true }).fill('2026-01-05T12:00');
    await page.getByRole('button', { name: 'Apply' }).click();
    assert.deepEqual(paramsOf(page), { tz: 'utc', from: '2026-01-05T10:00Z', to: '2026-01-05T12:00Z' });
  });
});

describe('refreshing', { concurrency: 2 }, () => {
  const news = { time: '2026-11-20T12:00:00.000Z', consumer: 'newcomer', method: 'GET', route: '/new', path: '/new', status: 200, duration_ms: 1, upstream_ms: 1, request_id: 'new-1' };

  check('shows new requests by itself', { path: '/requests' }, async (page, mock) => {
    await page.locator('.expandable-entry').first().waitFor();
    await until(() => mock.followers.size, (count) => count > 0);
    mock.stream([{ ...news, time: new Date().toISOString() }]);
    await page.locator('.expandable-entry', { hasText: 'newcomer' }).waitFor();
  });

  check('follows the log again after a refusal', { path: '/requests', complains: true, prepare: (mock) => Object.assign(mock, { refuseStream: true }) }, async (page, mock) => {
    await page.clock.install();
    const refused = page.waitForResponse((response) => response.url().includes('/stream') && response.status() === 503);
    await page.reload();
    await refused;
    mock.refuseStream = false;
    // The page learns of the refusal a moment later than this test does.
    await until(async () => (await page.clock.fastForward(10_000), mock.followers.size), (count) => count > 0);
    await page.locator('.expandable-entry').first().waitFor();
    mock.stream([{ ...news, time: new Date().toISOString() }]);
    await page.locator('.expandable-entry', { hasText: 'newcomer' }).waitFor();
  });

  check('asks nothing when off, and at once by hand', { path: '/requests?refresh=off' }, async (page, mock) => {
    await page.clock.install();
    await page.reload();
    await page.locator('.expandable-entry').first().waitFor();
    mock.extra.push(news);
    mock.seen.length = 0;
    await page.clock.fastForward(600_000);
    assert.deepEqual(mock.seen, []);
    await page.getByRole('button', { name: 'Refresh now' }).click();
    await page.locator('.expandable-entry', { hasText: 'newcomer' }).waitFor();
  });

  check('is set in the menu and kept in the address', {}, async (page) => {
    await page.getByRole('button', { name: /^Live 5 s/ }).click();
    await page.getByRole('menuitem', { name: 'Off' }).click();
    await page.getByRole('button', { name: /^Live off/ }).waitFor();
    assert.deepEqual(paramsOf(page), { refresh: 'off' });
  });

  check('asks no second time before the first answer', {}, async (page, mock) => {
    await page.clock.install();
    await page.reload();
    await settled(page, mock);
    mock.mode = 'hang';
    mock.seen.length = 0;
    await page.getByRole('button', { name: 'Refresh now' }).click();
    const asked = await until(() => mock.seen.length, (count) => count >= 6);
    await page.clock.fastForward(20_000);
    assert.ok(mock.seen.length <= Math.max(asked, 8), `${mock.seen.length} questions`);
  });
});
