// Which stretch of time a view shows, and how often it is asked for anew. Times are Unix seconds throughout.

import { useEffect, useMemo, useState } from 'react';
import { pendingCount } from './query';

export const RANGES = [
  { id: '15m', seconds: 900, label: 'Last 15 minutes', previous: 'the 15 min before' },
  { id: '1h', seconds: 3600, label: 'Last hour', previous: 'the hour before' },
  { id: '6h', seconds: 21_600, label: 'Last 6 hours', previous: 'the 6 h before' },
  { id: '24h', seconds: 86_400, label: 'Last 24 hours', previous: 'the day before' },
  { id: '7d', seconds: 604_800, label: 'Last 7 days', previous: 'the week before' },
] as const;
export type Range = (typeof RANGES)[number];

/** Seconds between two refreshes that a person may choose. */
export const INTERVALS = [5, 15, 60] as const;
const DEFAULT_INTERVAL = 5;
const DEFAULT_RANGE: Range = RANGES[1];

export interface Span {
  from: number;
  to: number;
}

/** The choice as the address bar holds it. */
export type Choice = { kind: 'range'; range: Range } | { kind: 'custom'; from: number; to: number };

export interface Period {
  choice: Choice;
  /** Inclusive, at the start of a step, so that figures and charts count the same requests. */
  from: number;
  /** Exclusive; the present moment for a range that ends now, else at the end of a step. */
  to: number;
  /** The stretch as it was chosen, for the request log, which need not be counted by steps. */
  exact: Span;
  /** Seconds a point of a chart stands for. */
  step: number;
  /** Grows with each refresh, also where the times stay the same. */
  turn: number;
  /** The stretch of the same length just before. */
  previous: { from: number; to: number; label: string };
}

export interface Live {
  /** `null` when refreshing is off. */
  interval: number | null;
  /** False for a custom period: it lies in the past and does not move. */
  possible: boolean;
  refresh: () => void;
}

/** The end of the year 9999, beyond which the API reads no time. */
const LATEST = 253_402_300_799;

/** Reads the address. What cannot be shown is no choice; what is longer than a chart can hold begins later. */
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

/** The period of the address bar, moving along with the clock while live. */
export function usePeriod(params: URLSearchParams): [Period, Live] {
  const interval = intervalOf(params);
  const query = ['range', 'from', 'to'].map((name) => params.get(name) ?? '').join('|');
  const [turn, setTurn] = useState(0);
  const possible = choiceOf(params).kind === 'range';

  // A new choice or a new turn reads the clock; everything that shows the period then agrees on one `to`.
  const period = useMemo(() => periodAt(choiceOf(params), Date.now() / 1000, turn), [query, turn]);

  useEffect(() => {
    if (interval === null || !possible) return undefined;
    const timer = window.setInterval(() => {
      // An ingest slower than the interval is not asked again before it has answered, nor is one nobody looks at.
      if (pendingCount() === 0 && document.visibilityState === 'visible') setTurn((before) => before + 1);
    }, interval * 1000);
    return () => window.clearInterval(timer);
  }, [interval, possible]);

  return [period, { interval, possible, refresh: () => setTurn((before) => before + 1) }];
}

export function periodAt(choice: Choice, now: number, turn: number): Period {
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
    turn,
    previous: {
      from: Math.max(0, from - Math.max(1, Math.round((to - from) / 60)) * 60),
      to: from,
      label: choice.kind === 'range' ? choice.range.previous : 'the same time before',
    },
  };
}

/** In seconds, whole minutes only. */
const STEPS = [60, 120, 300, 900, 1800, 3600, 7200, 21_600, 86_400, 604_800, 2_678_400];
const MOST_POINTS = 96;
const LONGEST = MOST_POINTS * 2_678_400;

/** The step that gives a stretch of `length` seconds no more than about `most` points. */
export function stepFor(length: number, most: number = MOST_POINTS): number {
  return STEPS.find((step) => length / step <= most) ?? 2_678_400;
}
