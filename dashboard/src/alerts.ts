// Alerts: what fires, the rules, and changes to both.

import type { Alert, AlertRule } from './api';
import { useChanges } from './change';

/** A value with its unit, as people read it. */
export function amount(value: number | null, unit: string): string {
  if (value === null) return '–';
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 1 ? 2 : 4;
  return `${new Intl.NumberFormat('en', { maximumFractionDigits: digits }).format(value)} ${unit}`;
}

const MEASURES: Record<AlertRule['measure'], string> = {
  error_percent: 'Error rate',
  p50_ms: 'Median duration',
  p95_ms: '95th percentile of duration',
  p99_ms: '99th percentile of duration',
  upstream_p95_ms: '95th percentile of upstream time',
  requests_per_minute: 'Requests per minute',
  requests_change_percent: 'Requests against last week',
  gateway_silence_seconds: 'Silence of a gateway',
  dropped_records: 'Dropped records',
  disk_percent: 'Used share of the disk',
};

export const MEASURE_CHOICES = Object.entries(MEASURES).map(([value, label]) => ({ value, label }));

export function measureWords(measure: AlertRule['measure']): string {
  return MEASURES[measure];
}

/** The condition of a rule in a line. */
export function condition({ measure, above, below, unit, window_minutes: window }: Pick<AlertRule, 'measure' | 'above' | 'below' | 'unit' | 'window_minutes'>): string {
  const limit = above === undefined ? `below ${amount(below ?? 0, unit)}` : `above ${amount(above, unit)}`;
  return `${MEASURES[measure]} ${limit}, over ${window} min`;
}

/** What an alert is about: the values of its dimensions. */
export function subject({ labels }: Pick<Alert, 'labels'>): string {
  return Object.values(labels).filter((value) => value !== '').join(' · ') || 'all traffic';
}

/** For how long something lasted, in the two largest units. */
export function lasted(seconds: number): string {
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** Whether an alert fires; one that recovers still does. */
export function fires({ state }: Pick<Alert, 'state'>): boolean {
  return state === 'firing' || state === 'recovering';
}

/** Changes below `/api/v1/alerts/`, see `useChanges`. */
export function useChange(done: () => void) {
  const { busy, failure, run } = useChanges(done);
  const below = (method: 'POST' | 'PUT' | 'DELETE', path: string, body?: unknown, then?: () => void) => run(method, `/api/v1/alerts/${path}`, body, then);
  return { busy, failure, run: below };
}
