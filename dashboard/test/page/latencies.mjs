// Durations over time: the heatmap, the distribution of a route, and the parts of the time.

import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { check, paramsOf, requestsTo, until } from '../harness.mjs';

/** A range that has ended, so that nothing grows between two questions. */
const PERIOD = 'from=2026-11-10T10:00:00Z&to=2026-11-10T12:00:00Z';
const ROUTE = `method=POST&route=${encodeURIComponent('/v1/orders')}`;

const answerOf = async (mock, query) => (await fetch(`${mock.url}/api/v1/latencies?${query}`)).json();
const plotOf = (page) => page.getByRole('application', { name: /^Heatmap of durations/ });
const countOf = (text) => Number(/([\d,]+) requests?$/.exec(text)[1].replaceAll(',', ''));

/** The criteria of an address, as the search of the log has them. */
const criteriaOf = (page) => {
  const { from, to, min_duration_ms: min, max_duration_ms: max } = paramsOf(page);
  return { from: Date.parse(from), to: Date.parse(to), min: min === undefined ? 0 : Number(min), max: Number(max) };
};

describe('durations that are compared', { concurrency: 2 }, () => {
  check('have the heatmap of before beside that of now', { path: `/?${PERIOD}&compare=day` }, async (page, mock) => {
    const before = page.getByRole('application', { name: /^Heatmap of durations before/ });
    await before.waitFor();
    const { columns } = await answerOf(mock, 'from=2026-11-09T10:00:00Z&to=2026-11-09T12:00:00Z');
    await before.focus();
    await page.keyboard.press('ArrowLeft');
    const words = await until(() => before.locator('output').textContent(), (text) => text !== '');
    assert.match(words, /^Nov 9, /);
    assert.ok(columns.some(({ counts }) => counts.includes(countOf(words))), words);
    await page.getByRole('slider', { name: 'Upstream and gateway over time' }).waitFor();
  });

  check('have the distribution of before as dotted lines', { path: `/route?${PERIOD}&${ROUTE}&compare=day` }, async (page, mock) => {
    const bars = page.getByRole('group', { name: 'Requests by duration' });
    await bars.locator('s').first().waitFor();
    const { columns } = await answerOf(mock, `from=2026-11-09T10:00:00Z&to=2026-11-09T12:00:00Z&${ROUTE}`);
    const words = await bars.getByRole('link').evaluateAll((all) => all.map((bar) => bar.getAttribute('aria-label')));
    const counted = words.reduce((sum, text) => sum + Number(/, before ([\d,]+)$/.exec(text)[1].replaceAll(',', '')), 0);
    assert.equal(counted, columns.reduce((sum, { counts }) => sum + counts.reduce((a, b) => a + b, 0), 0));
  });
});

describe('the heatmap', { concurrency: 2 }, () => {
  check('is drawn, and a click opens exactly the requests of a cell', { path: `/?${PERIOD}` }, async (page, mock) => {
    const { bounds_ms: bounds, columns, step } = await answerOf(mock, PERIOD);
    const plot = plotOf(page);
    const box = await plot.boundingBox();
    const [column, row] = [Math.floor(columns.length / 2), Math.floor((bounds.length - 1) / 2)];
    const at = { x: ((column + 0.5) / columns.length) * box.width, y: (1 - (row + 0.5) / (bounds.length - 1)) * box.height };
    const pixels = await plot.locator('canvas').evaluate((canvas) => {
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      return new Set(new Uint32Array(data.buffer)).size;
    });
    assert.ok(pixels > 10, `${pixels} colours`);
    await plot.hover({ position: at });
    const words = await until(() => plot.locator('output').textContent(), (text) => text !== '');
    assert.equal(countOf(words), columns[column].counts[row], words);
    await plot.click({ position: at });
    await until(() => new URL(page.url()).pathname, (path) => path === '/requests');
    const { from, to, min, max } = criteriaOf(page);
    assert.deepEqual([from, to], [Date.parse(columns[column].time), Date.parse(columns[column].time) + step * 1000]);
    assert.deepEqual([min, max], [Number((bounds[row] + 0.000001).toFixed(6)), bounds[row + 1]]);
    const asked = await until(() => requestsTo(mock, 'requests').findLast((params) => params.get('q')), Boolean);
    assert.equal(asked.get('q'), `duration>=${min}ms duration<=${max}ms`);
  });

  check('opens the cells that are dragged over', { path: `/?${PERIOD}` }, async (page, mock) => {
    const { bounds_ms: bounds, columns, step } = await answerOf(mock, PERIOD);
    const rows = bounds.length - 1;
    const box = await plotOf(page).boundingBox();
    const at = (column, row) => [box.x + ((column + 0.5) / columns.length) * box.width, box.y + (1 - (row + 0.5) / rows) * box.height];
    await page.mouse.move(...at(10, 2));
    await page.mouse.down();
    await page.mouse.move(...at(20, 5), { steps: 4 });
    await page.mouse.up();
    await until(() => new URL(page.url()).pathname, (path) => path === '/requests');
    const { from, to, min, max } = criteriaOf(page);
    assert.deepEqual([from, to], [Date.parse(columns[10].time), Date.parse(columns[20].time) + step * 1000]);
    assert.deepEqual([min, max], [Number((bounds[2] + 0.000001).toFixed(6)), bounds[6]]);
  });

  check('is read and opened by keyboard alone', { path: `/route?${PERIOD}&${ROUTE}` }, async (page, mock) => {
    const { bounds_ms: bounds, columns } = await answerOf(mock, `${PERIOD}&${ROUTE}`);
    const plot = plotOf(page);
    const words = () => plot.locator('output').textContent();
    await plot.focus();
    await page.keyboard.press('ArrowLeft');
    await page.keyboard.press('Home');
    for (let press = 0; press < bounds.length; press += 1) await page.keyboard.press('ArrowDown');
    const first = await until(words, (text) => text !== '');
    assert.equal(countOf(first), columns[0].counts[0]);
    await page.keyboard.press('Shift+ArrowRight');
    await page.keyboard.press('Shift+ArrowUp');
    const sum = columns[0].counts[0] + columns[0].counts[1] + columns[1].counts[0] + columns[1].counts[1];
    assert.equal(countOf(await until(words, (text) => text !== first)), sum);
    await page.keyboard.press('Enter');
    await until(() => new URL(page.url()).pathname, (path) => path === '/requests');
    assert.equal(criteriaOf(page).max, bounds[2]);
    assert.equal(paramsOf(page).route, '/v1/orders');
  });
});

describe('the view of a route', { concurrency: 2 }, () => {
  check('has the distribution with its percentiles, whose bars open requests', { path: `/route?${PERIOD}&${ROUTE}` }, async (page, mock) => {
    const { bounds_ms: bounds, columns } = await answerOf(mock, `${PERIOD}&${ROUTE}`);
    const bars = page.getByRole('group', { name: 'Requests by duration' }).getByRole('link');
    await until(() => bars.count(), (count) => count === bounds.length - 1);
    const sums = bounds.slice(1).map((_, row) => columns.reduce((sum, { counts }) => sum + counts[row], 0));
    const most = sums.indexOf(Math.max(...sums));
    assert.match(await bars.nth(most).getAttribute('aria-label'), new RegExp(`: ${sums[most].toLocaleString('en')} requests`));
    await page.locator('[data-mark=p95]').waitFor();
    const left = (name) => page.locator(`[data-mark=${name}]`).evaluate((mark) => Number.parseFloat(mark.style.left));
    const [p50, p95, p99] = await Promise.all(['p50', 'p95', 'p99'].map(left));
    assert.ok(p50 < p95 && p95 < p99, `${[p50, p95, p99]}`);
    await bars.first().focus();
    for (let press = 0; press < most; press += 1) await page.keyboard.press('ArrowRight');
    await page.keyboard.press('Enter');
    await until(() => new URL(page.url()).pathname, (path) => path === '/requests');
    assert.equal(criteriaOf(page).max, bounds[most + 1]);
  });

  check('has the slowest requests, and the parts of the time', { path: `/route?${PERIOD}&${ROUTE}` }, async (page, mock) => {
    const slowest = page.locator('section', { has: page.getByRole('heading', { name: 'Slowest requests' }) });
    await slowest.locator('.expandable-entry').first().waitFor();
    assert.ok(requestsTo(mock, 'requests').some((params) => params.get('sort') === 'duration' && params.get('route') === '/v1/orders'));
    const parts = page.getByRole('slider', { name: 'Upstream and gateway over time' });
    assert.match(await until(() => parts.getAttribute('aria-valuetext'), (text) => text !== null), /upstream \d.* %, gateway \d.* %, other \d.* %$/);
    await slowest.getByRole('link', { name: 'All by duration' }).click();
    assert.equal(paramsOf(page).sort, 'duration');
  });
});
