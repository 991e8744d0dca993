// How long each view takes to be drawn with all its answers, on a running ingest: `npm run drawn http://127.0.0.1:4318`.
// The time begins with the navigation, so that it includes loading the page.

import { launch, open } from '../test/browser.mjs';

const ROUNDS = 5;
const VIEWS = ['/', '/requests', '/errors', '/issues', '/routes', '/consumers', '/hosts', '/alerts', '/status', '/releases', '/drift', '/gateways', '/redaction'];

const url = (process.argv[2] ?? 'http://127.0.0.1:4318').replace(/\/$/, '');
const browser = await launch();
const page = await open(browser, `${url}/?refresh=off`);
await page.waitForLoadState('networkidle');
console.log('view | median ms | longest ms');
for (const view of VIEWS) {
  const times = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    await page.goto(`${url}${view}?refresh=off`, { waitUntil: 'commit' });
    times.push(await page.evaluate(drawn));
    await page.waitForLoadState('networkidle');
  }
  const [median, longest] = [times.toSorted((a, b) => a - b)[Math.floor(ROUNDS / 2)], Math.max(...times)];
  console.log(`${view} | ${Math.round(median)} | ${Math.round(longest)}`);
}
await browser.close();

/** Runs in the page: waits for the first frame in which nothing is awaited, for at most a minute. */
async function drawn() {
  const frame = () => new Promise(requestAnimationFrame);
  const waits = () => document.querySelector('main > *') === null || document.querySelector('[data-animate], [aria-busy=true]') !== null;
  while (waits() && performance.now() < 60_000) await frame();
  await frame();
  return performance.now();
}
