// Uptime in words and colours.

import type { Uptime, UptimeRow } from './api';

export type Kind = 'service' | 'route' | 'gateway' | 'probe';
type Minutes = Pick<UptimeRow, 'minutes' | 'bad' | 'silent' | 'uptime'>;

/** The colour of a bar: `good` without a bad or silent minute, `some` while those are at most 5 % of the minutes, else `many`. */
export type Level = 'nothing' | 'good' | 'some' | 'many';

const SOME = 0.05;

export function levelOf({ minutes, bad, silent }: Minutes): Level {
  const all = minutes + silent;
  if (all === 0) return 'nothing';
  if (bad + silent === 0) return 'good';
  return (bad + silent) / all <= SOME ? 'some' : 'many';
}

/** A share that is rounded down, so that only what is whole is 100 %. */
export function shareText(uptime: number | null): string {
  if (uptime === null) return '–';
  const percent = Math.floor(uptime * 100_000) / 1000;
  return `${percent === 100 ? '100' : percent.toFixed(percent >= 99 ? 3 : 1)} %`;
}

/** The minutes of a bar or a row in words. */
export function minutesText({ minutes, bad, silent }: Minutes, kind: Kind): string {
  if (minutes + silent === 0) return 'nothing known';
  const of = { service: 'with traffic', route: 'with traffic', gateway: 'with a heartbeat', probe: 'with a probe' }[kind];
  const parts = [`${count(minutes)} ${of}`];
  if (bad > 0) parts.push(`${count(bad)} bad`);
  if (silent > 0) parts.push(`${count(silent)} without a heartbeat`);
  return parts.join(', ');
}

function count(minutes: number): string {
  return `${minutes.toLocaleString('en')} min`;
}

/** The state of all together: that of the worst. */
export function worstOf(rows: Uptime['rows']): UptimeRow['state'] {
  const order = ['down', 'degraded', 'up', 'unknown'] as const;
  return order.find((state) => rows.some((row) => row.state === state)) ?? 'unknown';
}

export const STATES: Record<UptimeRow['state'], { word: string; tone: 'plain' | 'warning' | 'incident' | 'inactive' }> = {
  up: { word: 'up', tone: 'plain' },
  degraded: { word: 'degraded', tone: 'warning' },
  down: { word: 'down', tone: 'incident' },
  unknown: { word: 'no data', tone: 'inactive' },
};
