// What the browser tests share: Chromium, a page that keeps a record of what went wrong on it, and axe.

import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const AXE = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Chromium without a user interface, which takes half the processor time of the whole browser. */
const SHELL = '/usr/bin/chromium-headless-shell';
const WHOLE = '/usr/bin/chromium';

/** `hasTouch`: the shell follows a tap by a mouse that leaves, which no phone does, so that touch needs the whole browser. */
export function launch({ hasTouch = false } = {}) {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? (existsSync(SHELL) && !hasTouch ? SHELL : WHOLE),
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
}

export const DESKTOP = { width: 1440, height: 900 };
export const PHONE = { width: 390, height: 844 };

/** What every view is looked at in. The colours change on the page that is there, because a page of its own for each would be most of the time. */
export const LOOKS = {
  desktop: { viewport: DESKTOP, schemes: ['light', 'dark'] },
  phone: { viewport: PHONE, schemes: ['light', 'dark'] },
};

/**
 * A page of its own profile. `page.complaints` lists console errors and uncaught exceptions as they come. `schemes` are the
 * colours that the page is looked at in, the first of them from the start.
 */
export async function open(browser, url, { viewport = DESKTOP, schemes = ['light'], timezoneId = 'UTC', hasTouch = false } = {}) {
  const [colorScheme] = schemes;
  const context = await browser.newContext({ viewport, colorScheme, timezoneId, hasTouch, reducedMotion: 'reduce' });
  const page = await context.newPage();
  page.schemes = schemes;
  page.complaints = [];
  page.on('console', (message) => message.type() === 'error' && page.complaints.push(message.text()));
  page.on('pageerror', (error) => page.complaints.push(String(error)));
  await page.goto(url);
  return page;
}

/** Runs `body` in each colour scheme of the page, and leaves it in the first one. */
export async function inEachScheme(page, body) {
  const [first, ...others] = page.schemes;
  await body(first);
  for (const scheme of others) {
    await turn(page, scheme);
    await body(scheme);
  }
  if (others.length > 0) await turn(page, first);
}

/** Changes the colours, and waits until no colour is on its way. */
async function turn(page, colorScheme) {
  await page.emulateMedia({ colorScheme });
  const isDone = (scheme) => document.documentElement.dataset.mantineColorScheme === scheme && !document.getAnimations().some((animation) => animation instanceof CSSTransition);
  while (!(await page.evaluate(isDone, colorScheme))) await new Promise((resolve) => setTimeout(resolve, 20));
}

/** The serious and critical findings of axe on the page as it is, in each of its colour schemes, each with the element it is about. */
export async function seriousFindings(page) {
  const found = [];
  await inEachScheme(page, async (scheme) => {
    if (!(await page.evaluate('"axe" in window'))) await page.evaluate(AXE);
    const { violations } = await page.evaluate('axe.run(document, { resultTypes: ["violations"] })');
    const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
    found.push(...serious.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id} in ${scheme}: ${html}\n  ${failureSummary}`)));
  });
  return found;
}
