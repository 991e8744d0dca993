// The page as people use it, in Chromium, on made-up traffic: views, states, filters, periods, refreshing.

import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { DESKTOP, launch, open, PHONE, seriousFindings } from './browser.mjs';
import { startMock } from './mock-api.mjs';

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser.close());

/** Runs `body` on a page of its own before an ingest of its own; nothing may complain unless `complains` says so. */
function check(name, { path = '/', mode = 'data', complains = false, ...look } = {}, body) {
  test(name, { timeout: 180_000 }, async () => {
    const mock = await startMock({ mode });
    const page = await open(browser, mock.url + path, look);
    try {
      await body(page, mock);
      if (!complains) assert.deepEqual(page.complaints, []);
    } finally {
      mock.mode = 'data';
      await page.context().close();
      await mock.close();
    }
  });
}

const paramsOf = (page) => Object.fromEntries(new URL(page.url()).searchParams);
const chips = (page) => page.locator('.chip').evaluateAll((all) => all.map((chip) => chip.querySelector('.chip-key').textContent + '=' + chip.querySelector('.chip-value').getAttribute('title')));
const requestsTo = (mock, name) => mock.seen.filter((path) => path.startsWith(`/api/v1/${name}?`)).map((path) => new URL(path, 'http://mock').searchParams);

/** Waits until what `look` gives satisfies `good`. The limit is for what never comes, far beyond any slow machine. */
async function until(look, good) {
  const end = Date.now() + 60_000;
  for (;;) {
    const value = await look();
    if (good(value)) return value;
    assert.ok(Date.now() < end, `waited in vain, last saw ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** The overview has asked its seven questions and the shell its one, and all are answered. */
async function settled(page, mock) {
  await until(() => mock.seen.length, (count) => count >= 8);
  await until(() => page.locator('[data-animate]').count(), (waiting) => waiting === 0);
}

describe('every view is sound in every look', () => {
  const looks = {
    light: { viewport: DESKTOP, colorScheme: 'light' },
    dark: { viewport: DESKTOP, colorScheme: 'dark' },
    phone: { viewport: PHONE, colorScheme: 'light' },
    'dark phone': { viewport: PHONE, colorScheme: 'dark' },
  };
  const views = { '/': '.u-over', '/requests': '.entry', '/gateways': 'tbody th', '/nowhere': 'text=There is no such page' };
  for (const [look, options] of Object.entries(looks)) {
    for (const [path, sign] of Object.entries(views)) {
      check(`${path} in ${look}`, { path, ...options }, async (page) => {
        await page.locator(sign).first().waitFor();
        await until(() => page.locator('[data-animate]').count(), (waiting) => waiting === 0);
        assert.deepEqual(await seriousFindings(page), []);
        const beyond = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        assert.equal(beyond, 0, 'the page scrolls sideways');
      });
    }
  }
});

describe('the overview', () => {
  check('shows the figures of the API', {}, async (page, mock) => {
    const shown = await page.locator('[data-figure=requests]').textContent();
    const [from, to] = ['from', 'to'].map((name) => requestsTo(mock, 'summary')[0].get(name));
    const { rows } = await (await fetch(`${mock.url}/api/v1/summary?from=${from}&to=${to}`)).json();
    // The stand-in's running minute grows between the two questions.
    const requests = Number(shown.replace(/\D/g, ''));
    assert.ok(requests > 0 && requests <= rows[0].requests && requests > rows[0].requests * 0.97, `${shown}, API ${rows[0].requests}`);
  });

  check('draws three charts that are not blank', {}, async (page) => {
    await until(() => page.locator('.plot canvas').count(), (count) => count === 3);
    const colours = await page.locator('.plot canvas').evaluateAll((all) =>
      all.map((canvas) => {
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        return new Set(new Uint32Array(data.buffer)).size;
      }),
    );
    for (const count of colours) assert.ok(count > 5);
  });

  check('tells the values under the crosshair, moved by keyboard', {}, async (page) => {
    const plot = page.getByRole('img', { name: /^Latency/ });
    await plot.focus();
    await page.keyboard.press('ArrowLeft');
    await page.keyboard.press('ArrowLeft');
    const tip = page.locator('.chart', { hasText: 'Latency' }).locator('.tip');
    assert.match(await tip.textContent(), /^\d\d:\d\dp50.*ms.*p95.*p99/);
  });

  check('hides a series by its legend', {}, async (page) => {
    const button = page.getByRole('button', { name: 'p99', exact: true }).and(page.locator('.legend button'));
    await button.click();
    assert.equal(await button.getAttribute('aria-pressed'), 'false');
  });

  check('sorts by every column, both ways', {}, async (page) => {
    const table = page.locator('.rank').first();
    await table.locator('tbody th').first().waitFor();
    await table.getByRole('button', { name: /^Show all/ }).click();
    for (const [column, at] of [['Requests', 0], ['Errors', 1], ['p50', 2], ['p95', 3], ['p99', 4]]) {
      const heading = table.getByRole('columnheader', { name: column });
      if ((await heading.getAttribute('aria-sort')) === 'none') await heading.getByRole('button').click();
      for (const direction of ['descending', 'ascending']) {
        assert.equal(await heading.getAttribute('aria-sort'), direction);
        const values = await table.locator(`tbody td:nth-of-type(${at + 1})`).allTextContents();
        const numbers = values.map(quantity);
        const sorted = numbers.toSorted((a, b) => (direction === 'ascending' ? a - b : b - a));
        assert.deepEqual(numbers, sorted, `${column} ${direction}: ${values}`);
        await heading.getByRole('button').click();
      }
    }
  });

  check('says what the period is compared with', {}, async (page, mock) => {
    await page.locator('[data-figure=requests]').waitFor();
    const [now, before] = requestsTo(mock, 'summary').filter((params) => !params.has('group_by'));
    assert.equal(before.get('to'), now.get('from'));
    assert.ok(await page.getByText('compared with the hour before').isVisible());
  });
});

/** The number that a text such as `1.3 s` stands for, in its smallest unit. */
function quantity(text) {
  const [, number, unit] = /^[<>]? ?([\d.,]+) ?(\D*)$/.exec(text.trim());
  return Number(number.replaceAll(',', '')) * ({ s: 1000, min: 60000, k: 1000 }[unit] ?? 1);
}

describe('filters', () => {
  const clicks = [
    ['a consumer', '.rank tbody .name >> text="acme"', { consumer: 'acme' }],
    ['a route', '.rank tbody .name >> text="/v1/search"', { method: 'GET', route: '/v1/search' }],
    ['a method', '.rank tbody .method >> text="POST"', { method: 'POST' }],
    ['a status', '.log .status >> nth=0', null],
  ];
  for (const [what, target, expected] of clicks) {
    check(`a click on ${what} filters by it`, {}, async (page, mock) => {
      const element = page.locator(target).first();
      const wanted = expected ?? { status: await element.textContent() };
      await settled(page, mock);
      mock.seen.length = 0;
      await element.click();
      await until(() => requestsTo(mock, 'timeseries').length, (count) => count >= 2);
      assert.deepEqual(paramsOf(page), wanted);
      assert.deepEqual((await chips(page)).sort(), Object.entries(wanted).map(([key, value]) => `${key}=${value}`).sort());
      for (const name of ['summary', 'timeseries', 'requests']) {
        for (const params of requestsTo(mock, name)) for (const [key, value] of Object.entries(wanted)) assert.equal(params.get(key), value);
      }
    });
  }

  check('are added by keyboard alone, and taken away', { path: '/requests' }, async (page, mock) => {
    await page.locator('.entry').first().waitFor();
    await page.getByRole('button', { name: 'Filter' }).focus();
    await page.keyboard.press('Enter');
    await page.getByLabel('is', { exact: true }).waitFor();
    await page.getByLabel('Where').selectOption('status');
    await page.getByLabel('is', { exact: true }).fill('404');
    await page.keyboard.press('Enter');
    assert.deepEqual(await until(() => chips(page), (all) => all.length > 0), ['status=404']);
    await until(() => page.locator('.entry .status').allTextContents(), (all) => all.length > 0 && all.every((code) => code === '404'));
    assert.equal(requestsTo(mock, 'requests').at(-1).get('status'), '404');
    await page.getByRole('button', { name: 'Remove the filter status 404' }).click();
    assert.deepEqual(paramsOf(page), {});
  });

  check('stay when the view changes, and go with the back button', { path: '/?consumer=acme' }, async (page) => {
    await page.getByRole('link', { name: 'Requests', exact: true }).click();
    assert.equal(new URL(page.url()).pathname, '/requests');
    assert.deepEqual(await chips(page), ['consumer=acme']);
    await page.locator('.entry .method').first().click();
    assert.equal((await chips(page)).length, 2);
    await page.goBack();
    assert.deepEqual(await until(() => chips(page), (all) => all.length === 1), ['consumer=acme']);
    await page.goBack();
    assert.equal(new URL(page.url()).pathname, '/');
  });

  check('by class and by error are understood', { path: '/requests?status=5xx' }, async (page) => {
    await until(() => page.locator('.entry .status').allTextContents(), (all) => all.length > 0 && all.every((code) => code.startsWith('5')));
    await page.getByRole('link', { name: 'Overview', exact: true }).click();
    await page.getByRole('link', { name: /\d errors$/ }).click();
    assert.deepEqual(paramsOf(page), { status: '5xx', errors: 'true' });
    assert.deepEqual(await chips(page), ['status=5xx', 'errors=true']);
  });

  check('that match nothing say so, and are cleared', { path: '/?consumer=nobody&status=200' }, async (page) => {
    await page.getByText('No request matches these filters').waitFor();
    await page.getByRole('button', { name: 'Clear the filters' }).click();
    await page.locator('[data-figure=requests]').waitFor();
    assert.deepEqual(paramsOf(page), {});
  });
});

describe('the period', () => {
  for (const [id, label, seconds] of [['15m', 'Last 15 minutes', 900], ['6h', 'Last 6 hours', 21600], ['24h', 'Last 24 hours', 86400], ['7d', 'Last 7 days', 604800]]) {
    check(`${label} is asked for and kept in the address`, {}, async (page, mock) => {
      await settled(page, mock);
      mock.seen.length = 0;
      await page.getByRole('button', { name: /^Time range/ }).click();
      await page.getByRole('button', { name: label }).click();
      await until(() => requestsTo(mock, 'timeseries').length, (count) => count >= 2);
      assert.deepEqual(paramsOf(page), { range: id });
      const params = requestsTo(mock, 'timeseries')[0];
      const asked = (Date.parse(params.get('to')) - Date.parse(params.get('from'))) / 1000;
      assert.ok(asked >= seconds && asked < seconds + 60, `${asked} s`);
      assert.ok(asked / Number(params.get('step')) <= 100);
    });
  }

  check('of one’s own is shown, and does not move', { path: '/?from=2026-01-05T10:00Z&to=2026-01-05T11:30Z' }, async (page, mock) => {
    await page.locator('[data-figure=requests]').waitFor();
    const params = requestsTo(mock, 'summary')[0];
    assert.equal(params.get('from'), '2026-01-05T10:00:00.000Z');
    assert.equal(params.get('to'), '2026-01-05T11:30:00.000Z');
    assert.ok(await page.getByRole('button', { name: /^Live off/ }).isDisabled());
  });

  check('is chosen in the form', {}, async (page) => {
    await page.getByRole('button', { name: /^Time range/ }).click();
    await page.getByLabel('From').fill('2026-01-05T10:00');
    await page.getByLabel('To', { exact: true }).fill('2026-01-05T09:00');
    await page.getByText('The end must come after the start').waitFor();
    await page.getByLabel('To', { exact: true }).fill('2026-01-05T12:00');
    await page.getByRole('button', { name: 'Show this period' }).click();
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

describe('refreshing', () => {
  const news = { time: '2026-11-20T12:00:00.000Z', consumer: 'newcomer', method: 'GET', route: '/new', path: '/new', status: 200, duration_ms: 1, upstream_ms: 1, request_id: 'new-1' };

  check('shows new requests by itself', { path: '/requests' }, async (page, mock) => {
    await page.clock.install();
    await page.reload();
    await page.locator('.entry').first().waitFor();
    mock.extra.push(news);
    await page.clock.fastForward(5_000);
    await page.locator('.entry', { hasText: 'newcomer' }).waitFor();
  });

  check('asks nothing when off, and at once by hand', { path: '/requests?refresh=off' }, async (page, mock) => {
    await page.clock.install();
    await page.reload();
    await page.locator('.entry').first().waitFor();
    mock.extra.push(news);
    mock.seen.length = 0;
    await page.clock.fastForward(600_000);
    assert.deepEqual(mock.seen, []);
    await page.getByRole('button', { name: 'Refresh now' }).click();
    await page.locator('.entry', { hasText: 'newcomer' }).waitFor();
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

describe('a request', () => {
  check('opens to all of its fields, and the list stands still', { path: '/requests?status=503' }, async (page, mock) => {
    await page.locator('.entry .expand').nth(1).click();
    const answer = await (await fetch(mock.url + mock.seen.findLast((path) => path.includes('/requests?')))).json();
    const id = await page.locator('.detail dl > div', { hasText: 'Request id' }).locator('dd').textContent();
    const row = answer.rows.find((each) => each.request_id === id);
    const text = await page.locator('.detail').textContent();
    for (const field of ['time', 'consumer', 'method', 'route', 'path', 'status', 'client_address', 'user_agent', 'request_id', 'code_details', 'error_type', 'gateway']) {
      assert.ok(text.includes(String(row[field])), `${field}: ${row[field]}`);
    }
    assert.match(text, /UF upstream connection failure/);
    assert.deepEqual(await seriousFindings(page), []);

    mock.extra.push({ ...row, time: new Date().toISOString(), request_id: 'newer', consumer: 'newcomer' });
    await page.getByRole('button', { name: 'Refresh now' }).click();
    await page.getByRole('button', { name: /^Close it and show \d+ newer/ }).click();
    await page.locator('.entry', { hasText: 'newcomer' }).waitFor();
    assert.equal(await page.locator('.detail').count(), 0);
  });

  check('pushes the others down, on a phone too', { path: '/requests', viewport: PHONE }, async (page) => {
    await page.locator('.entry .expand').first().click();
    const detail = await page.locator('.detail').boundingBox();
    const next = await page.locator('.entry').nth(1).boundingBox();
    assert.ok(detail.height > 300 && detail.y + detail.height <= next.y, `${JSON.stringify({ detail, next })}`);
  });

  check('shows fields that the page does not know, headers and bodies', { path: '/requests' }, async (page, mock) => {
    mock.extra.push({
      time: new Date().toISOString(), consumer: 'a', method: 'GET', route: '/r', path: '/r', query: 'page=2', status: 0, duration_ms: 3, upstream_ms: null,
      novelty: 'unheard of', request_headers: [['user-agent', 'x']], response_body: '{"a":[1]}',
    });
    await page.getByRole('button', { name: 'Refresh now' }).click();
    await page.locator('.entry', { hasText: '/r?page=2' }).locator('.expand').click();
    const text = await page.locator('.detail').textContent();
    for (const part of ['Novelty', 'unheard of', 'user-agent: x', '"a": [']) assert.ok(text.includes(part), part);
  });

  check('is found further back page by page', { path: '/requests' }, async (page, mock) => {
    await page.locator('.entry').first().waitFor();
    await page.getByRole('button', { name: 'Load older' }).click();
    await until(() => page.locator('.entry').count(), (count) => count === 200);
    assert.ok(requestsTo(mock, 'requests').some((params) => params.has('cursor')));
    await page.getByRole('button', { name: 'Back to the latest' }).click();
    await until(() => page.locator('.entry').count(), (count) => count === 100);
  });
});

describe('without data', () => {
  check('it says how to begin', { mode: 'empty' }, async (page) => {
    await page.getByText('Waiting for the first gateway').waitFor();
    assert.match(await page.locator('main').textContent(), /"cluster": "gatelens_ingest"/);
    assert.deepEqual(await seriousFindings(page), []);
  });

  check('it tells the gateway’s heartbeat', { mode: 'heartbeat' }, async (page) => {
    await page.getByText('No requests in this period').waitFor();
    assert.match(await page.locator('main').textContent(), /Gateway edge-1 is connected \(just now\)/);
  });

  check('it fills when the first request comes', { mode: 'empty' }, async (page, mock) => {
    await page.getByText('Waiting for the first gateway').waitFor();
    mock.mode = 'data';
    await page.getByRole('button', { name: 'Refresh now' }).click();
    await page.locator('[data-figure=requests]').waitFor();
  });

  check('it keeps the places while waiting', { mode: 'hang' }, async (page, mock) => {
    await page.locator('.figure [data-animate]').first().waitFor();
    const place = () => page.locator('.charts').boundingBox();
    const waiting = await place();
    mock.mode = 'data';
    await page.locator('.u-over').nth(2).waitFor();
    await page.locator('[data-figure=requests]').waitFor();
    assert.deepEqual(await place(), waiting);
  });
});

describe('when the ingest fails', () => {
  const ways = {
    error: /The ingest answered 503. the store is read-only/,
    garbled: /The ingest answered 502/,
    reset: /The ingest cannot be reached/,
  };
  for (const [mode, words] of Object.entries(ways)) {
    check(`(${mode}) the old data stays, and trying again helps`, { complains: true }, async (page, mock) => {
      await page.locator('[data-figure=requests]').waitFor();
      mock.mode = mode;
      await page.getByRole('button', { name: 'Refresh now' }).click();
      const banner = page.getByRole('alert');
      await banner.waitFor();
      assert.match(await banner.textContent(), words);
      assert.ok(await page.locator('[data-figure=requests]').isVisible());
      assert.deepEqual(await seriousFindings(page), []);
      mock.mode = 'data';
      await banner.getByRole('button', { name: 'Try again' }).click();
      await banner.waitFor({ state: 'detached' });
    });

    check(`(${mode}) from the start, it says so`, { mode, complains: true }, async (page, mock) => {
      assert.match(await page.getByRole('alert').textContent(), words);
      await page.getByText('Nothing to show yet').waitFor();
      mock.mode = 'data';
      await page.getByRole('button', { name: 'Try again' }).click();
      await page.locator('[data-figure=requests]').waitFor();
    });
  }
});

describe('the colours', () => {
  const schemeOf = (page) => page.evaluate(() => document.documentElement.getAttribute('data-mantine-color-scheme'));
  check('follow the system, until a person chooses', { colorScheme: 'dark' }, async (page) => {
    assert.equal(await schemeOf(page), 'dark');
    await page.emulateMedia({ colorScheme: 'light' });
    await until(() => schemeOf(page), (scheme) => scheme === 'light');
    const button = page.getByRole('button', { name: /^Colours/ });
    await button.click();
    await button.click();
    assert.equal(await schemeOf(page), 'dark');
    await page.reload();
    assert.equal(await schemeOf(page), 'dark');
  });
});

describe('gateways', () => {
  check('are listed with their state', { path: '/gateways' }, async (page) => {
    await page.locator('tbody th').nth(2).waitFor();
    const rows = await page.locator('tbody tr').allTextContents();
    assert.equal(rows.length, 3, 'a restarted gateway is one gateway');
    assert.match(rows[0], /^edge-1live, .*shop prod0\.1\.09f1c62d05 d ago2/);
    assert.match(rows[1], /2,0001,8400$/);
    assert.match(rows[2], /^edge-canarysilent, 48 min ago/);
  });
});

test('the page weighs less than 250 kB, compressed', async () => {
  const assets = new URL('../dist/assets/', import.meta.url);
  const names = await readdir(assets);
  const sizes = await Promise.all(names.map(async (name) => gzipSync(await readFile(new URL(name, assets))).length));
  assert.ok(sizes.reduce((a, b) => a + b) < 250_000, `${sizes}`);
});
