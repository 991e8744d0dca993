// The time range of a view, and how often it is refreshed. Times are Unix seconds.

import { useEffect, useMemo, useState } from 'react';
import { pendingCount } from './query';
import type { Span } from './span';

export const RANGES = [
  { id: '15m', seconds: 900, label: 'Last 15 minutes', previous: 'the previous 15 min' },
  { id: '1h', seconds: 3600, label: 'Last hour', previous: 'the previous hour' },
  { id: '6h', seconds: 21_600, label: 'Last 6 hours', previous: 'the previous 6 h' },
  { id: '24h', seconds: 86_400, label: 'Last 24 hours', previous: 'the previous day' },
  { id: '7d', seconds: 604_800, label: 'Last 7 days', previous: 'the previous week' },
  { id: '30d', seconds: 2_592_000, label: 'Last 30 days', previous: 'the previous 30 days' },
  { id: '90d', seconds: 7_776_000, label: 'Last 90 days', previous: 'the previous 90 days' },
  { id: '13mo', seconds: 34_214_400, label: 'Last 13 months', previous: 'the previous 13 months' },
] as const;
export type Range = (typeof RANGES)[number];

/** Seconds between two refreshes that a person may choose. */
export const INTERVALS = [5, 15, 60] as const;
const DEFAULT_INTERVAL = 5;
const DEFAULT_RANGE: Range = RANGES[1];

/** The choice in the address bar. */
export type Choice = { kind: 'range'; range: Range } | { kind: 'custom'; from: number; to: number };

export interface Period {
  choice: Choice;
  /** Inclusive. The start of a step, so that figures and charts count the same requests. */
  from: number;
  /** Exclusive. Now for a range that ends now, otherwise the end of a step. */
  to: number;
  /** The range as chosen, for the request log, which is not counted by steps. */
  exact: Span;
  /** Seconds per point of a chart. */
  step: number;
  /** Grows with each refresh, even if the times stay the same. */
  refreshTick: number;
  /** Grows with each refresh that a person asks for. */
  asked: number;
  /** The range of the same length just before. */
  previous: { from: number; to: number; label: string };
}

export interface Live {
  /** `null` when refreshing is off. */
  interval: number | null;
  /** False for a custom range, which has a fixed end. */
  possible: boolean;
  refresh: () => void;
}

/** The end of the year 9999, the latest time that the API accepts. */
const LATEST = 253_402_300_799;

/** Reads the address. An invalid range is ignored; a range longer than a chart can hold begins later. */
export function choiceOf(params: URLSearchParams): Choice {
  const from = Date.parse(params.get('from') ?? '') / 1000;
  const to = Date.parse(params.get('to') ?? '') / 1000;
  if (from < to && from >= 0 && to <= LATEST) return { kind: 'custom', from: Math.max(from, to - LONGEST), to };
  const range = RANGES.find((each) => each.id === params.get('range')) ?? DEFAULT_RANGE;
  return { kind: 'range', range };
}

export function intervalOf(params: URLSearchParams): number | null {
  const text = params.get('refresh');
  if (text === 'off') return null;
  return INTERVALS.find((each) => String(each) === text) ?? DEFAULT_INTERVAL;
}

/** The period of the address bar. A range that ends now moves with each refresh. */
export function usePeriod(params: URLSearchParams): [Period, Live] {
  const interval = intervalOf(params);
  const key = ['range', 'from', 'to'].map((name) => params.get(name) ?? '').join('|');
  const [clock, setClock] = useState<Clock>(() => ({ key, asked: 0, ...readClock(-1) }));

  // A new choice reads the clock, as a refresh does; everything that shows the period then agrees on one `to`.
  const read = clock.key === key ? clock : { key, asked: clock.asked, ...readClock(clock.refreshTick) };
  if (read !== clock) setClock(read);

  const { now, refreshTick, asked } = read;
  const choice = useMemo(() => choiceOf(params), [params]);
  const [kind, from, to, range] = choice.kind === 'range' ? (['range', 0, 0, choice.range] as const) : (['custom', choice.from, choice.to, DEFAULT_RANGE] as const);
  // Other parameters of the address do not make a new period: a click on a filter must not move the time.
  const period = useMemo(() => periodAt(kind === 'range' ? { kind, range } : { kind, from, to }, now, refreshTick, asked), [kind, from, to, range, now, refreshTick, asked]);

  const possible = kind === 'range';
  useEffect(() => {
    if (interval === null || !possible) return undefined;
    const timer = window.setInterval(() => {
      // Do not query again before the last response has arrived, nor while the tab is hidden.
      if (pendingCount() === 0 && document.visibilityState === 'visible') setClock(refreshed);
    }, interval * 1000);
    return () => window.clearInterval(timer);
  }, [interval, possible]);

  return [period, { interval, possible, refresh: () => setClock((last) => ({ ...refreshed(last), asked: last.asked + 1 })) }];
}

interface Clock {
  /** The choice that the clock was read for. */
  key: string;
  now: number;
  refreshTick: number;
  asked: number;
}

function refreshed({ key, refreshTick, asked }: Clock): Clock {
  return { key, asked, ...readClock(refreshTick) };
}

function readClock(lastTick: number): { now: number; refreshTick: number } {
  return { now: Date.now() / 1000, refreshTick: lastTick + 1 };
}

export function periodAt(choice: Choice, now: number, refreshTick: number, asked = 0): Period {
  const end = choice.kind === 'range' ? now : choice.to;
  const start = choice.kind === 'range' ? now - choice.range.seconds : choice.from;
  const step = stepFor(end - start);
  const from = Math.floor(start / step) * step;
  const to = choice.kind === 'range' ? Math.max(end, from + 1) : Math.ceil(end / step) * step;
  return {
    choice,
    from,
    to,
    exact: { from: start, to: Math.max(end, start + 1) },
    step,
    refreshTick,
    asked,
    previous: {
      from: Math.max(0, from - Math.max(1, Math.round((to - from) / 60)) * 60),
      to: from,
      label: choice.kind === 'range' ? choice.range.previous : 'the previous period',
    },
  };
}

/** In seconds, whole minutes only. */
const STEPS = [60, 120, 300, 900, 1800, 3600, 7200, 21_600, 86_400, 604_800, 2_678_400];
const MOST_POINTS = 96;
const LONGEST = MOST_POINTS * 2_678_400;

/** The step that divides `length` seconds into about `most` points or fewer. */
export function stepFor(length: number, most: number = MOST_POINTS): number {
  return STEPS.find((step) => length / step <= most) ?? 2_678_400;
}
