// Reports of gateways, combined: epochs, liveness, and the fates of events.

import { useState } from 'react';
import type { Gateway } from './api';
import { exact } from './format';

/** A gateway by name, with all of its epochs, the latest first. */
export interface Instance {
  key: string;
  latest: Gateway;
  epochs: Gateway[];
}

/** The gateways, live ones first. */
export function instancesOf(rows: Gateway[]): Instance[] {
  const byName = grouped(rows, (row) => JSON.stringify([row.instance, row.service, row.environment]));
  const instances = [...byName].flatMap(([key, epochs]): Instance[] => {
    const sorted = epochs.toSorted((a, b) => silence(a) - silence(b));
    return sorted[0] ? [{ key, latest: sorted[0], epochs: sorted }] : [];
  });
  const rank = { alive: 0, late: 1, gone: 2 };
  return instances.toSorted(
    (a, b) => rank[livenessOf(a.latest)] - rank[livenessOf(b.latest)] || a.latest.instance.localeCompare(b.latest.instance) || a.key.localeCompare(b.key),
  );
}

export type Liveness = 'alive' | 'late' | 'gone';

/** Seconds since the last report, by the clock of the browser. */
export function silence(gateway: Gateway): number {
  return Math.max(0, (Date.now() - Date.parse(gateway.last_seen)) / 1000);
}

/** A gateway reports about every second: after one minute of silence it is late, after five it is gone. */
export function livenessOf(gateway: Gateway): Liveness {
  const seconds = silence(gateway);
  if (seconds < 60) return 'alive';
  return seconds < 300 ? 'late' : 'gone';
}

/** A number summed over all epochs of a gateway; `undefined` if no epoch reports it. */
export function total({ epochs }: Pick<Instance, 'epochs'>, value: (epoch: Gateway) => number | null | undefined): number | undefined {
  const known = epochs.map(value).filter((each) => each !== null && each !== undefined);
  return known.length === 0 ? undefined : known.reduce((sum, each) => sum + each, 0);
}

/** Dropped events by reason, over all epochs, without reasons that did not occur. */
export function droppedOf({ epochs }: Pick<Instance, 'epochs'>): [reason: string, events: number][] {
  const sums = new Map<string, number>();
  for (const [reason, n] of epochs.flatMap((epoch) => Object.entries(epoch.dropped ?? {}))) sums.set(reason, (sums.get(reason) ?? 0) + n);
  return [...sums].filter(([, n]) => n > 0);
}

/** The fates of the events of a gateway. Always `captured = stored + drops + held + unaccounted`. */
export interface Delivery {
  captured: number;
  /** Events that the ingest has stored. */
  stored: number;
  /** The sum of `dropped`. */
  drops: number;
  /** By reason, without reasons that did not occur. */
  dropped: [reason: string, events: number][];
  /** Events in the queues of running gateways. */
  held: number;
  /** Events without a known fate. Not 0 only if a report is inconsistent. */
  unaccounted: number;
}

/** Delivery over all epochs that report it; `undefined` if none does. */
export function deliveryOf({ epochs }: Pick<Instance, 'epochs'>): Delivery | undefined {
  const reporting = epochs.filter(({ captured }) => captured !== null && captured !== undefined);
  if (reporting.length === 0) return undefined;
  const sum = (value: (epoch: Gateway) => number | null | undefined) => reporting.reduce((total, epoch) => total + (value(epoch) ?? 0), 0);
  const dropped = droppedOf({ epochs: reporting });
  const [captured, stored, held] = [sum((epoch) => epoch.captured), sum((epoch) => epoch.stored ?? epoch.sent), sum((epoch) => epoch.held)];
  const drops = dropped.reduce((total, [, n]) => total + n, 0);
  return { captured, stored, drops, dropped, held, unaccounted: captured - stored - drops - held };
}

/** Drop reasons of events. Counters are never dropped. */
export const REASONS: Record<string, { label: string; meaning: string }> = {
  queue_full: { label: 'queue full', meaning: 'The queue was full, so the oldest events were dropped. Raise limits.queue_bytes to hold more.' },
  rejected: { label: 'rejected', meaning: 'The ingest rejected these events, and a retry would fail, too. See the log of the ingest.' },
  expired: { label: 'expired', meaning: 'The events exceeded the age limit before the ingest could be reached.' },
  lost: { label: 'lost', meaning: 'The worker or the gateway stopped before it could send these events.' },
};

export function reasonLabel(reason: string): string {
  return REASONS[reason]?.label ?? reason.replaceAll('_', ' ');
}

/** Keys of the live gateways whose `value` differs from the majority of their service and environment. */
export function odd(instances: Instance[], value: (gateway: Gateway) => string | null): Set<string> {
  const live = instances.filter(({ latest }) => livenessOf(latest) !== 'gone');
  const groups = grouped(live, ({ latest }) => JSON.stringify([latest.service, latest.environment]));
  const keys = [...groups.values()].flatMap((group) => {
    const byValue = grouped(group, ({ latest }) => value(latest));
    if (byValue.size < 2) return [];
    const most = Math.max(...[...byValue.values()].map((same) => same.length));
    const usual = [...byValue.values()].filter((same) => same.length === most);
    // Without a majority, all of them differ.
    return (usual.length > 1 ? [...byValue.values()] : [...byValue.values()].filter((same) => same.length < most)).flat().map(({ key }) => key);
  });
  return new Set(keys);
}

/** A problem of gateways that needs attention. */
export interface Notice {
  level: 'incident' | 'warning';
  title: string;
  text: string;
}

export function noticesOf(instances: Instance[]): Notice[] {
  const names = (found: Instance[]) => found.map(({ latest }) => latest.instance).join(', ');
  const about = (level: Notice['level'], found: Instance[], title: (names: string) => string, text: string): Notice[] =>
    found.length === 0 ? [] : [{ level, title: title(names(found)), text }];

  const lost = instances.filter((each) => (total(each, (epoch) => epoch.workers_lost) ?? 0) > 0);
  const lostCount = lost.reduce((sum, each) => sum + (total(each, (epoch) => epoch.workers_lost) ?? 0), 0);
  const uncounted = instances.filter((each) => (total(each, (epoch) => epoch.uncounted) ?? 0) > 0);
  const configurations = odd(instances, (gateway) => gateway.config_hash);
  const versions = odd(instances, (gateway) => gateway.version);
  const droppers = instances.filter((each) => droppedOf(each).length > 0);
  const drops = droppers.flatMap(droppedOf).reduce((sum, [, n]) => sum + n, 0);
  return [
    ...about(
      'incident',
      lost,
      (who) => `${exact(lostCount)} ${lostCount === 1 ? 'worker was' : 'workers were'} lost to a trap: ${who}`,
      'Traffic continued. The counts since the worker’s last tick (at most one second) and the events it held are lost. Find the trap in the log of the gateway and report it.',
    ),
    ...about(
      'incident',
      uncounted,
      (who) => `${exact(uncounted.reduce((sum, each) => sum + (total(each, (epoch) => epoch.uncounted) ?? 0), 0))} requests were not counted: ${who}`,
      'The filter could not count these requests, so the counts of this gateway are too low. Check its log for errors of the filter and report them.',
    ),
    ...about(
      'warning',
      instances.filter(({ key }) => configurations.has(key)),
      (who) => `Gateways of one service run different configurations: ${who}`,
      'This is normal for a moment during a rollout. If it stays, one gateway has refused the new configuration. Check its log for the reason.',
    ),
    ...about(
      'warning',
      instances.filter(({ key }) => versions.has(key)),
      (who) => `Gateways of one service run different versions: ${who}`,
      'This is normal during an upgrade only.',
    ),
    ...about(
      'warning',
      instances.filter((each) => (total(each, (epoch) => epoch.overflow) ?? 0) > 0),
      (who) => `The limit on series was reached: ${who}`,
      'Requests beyond a limit are counted together as overflow. Above 60 % of a limit a new name waits there for its second request. Raise counters.max_series, max_routes or max_consumers, or look for consumers or routes with unbounded names.',
    ),
    ...about(
      'warning',
      droppers,
      (who) => `${exact(drops)} ${drops === 1 ? 'event was' : 'events were'} dropped: ${who}`,
      'They are missing in the request log. Counts are complete. Open the gateway below for the reasons.',
    ),
  ];
}

/** Readings that are closer than this, in seconds, give no useful share. */
const SHORTEST = 2;

/** CPU readings of the epochs, and the share of one core between the last two readings. Keys are those of `epochKey`. */
export interface BusyReadings {
  readings: ReadonlyMap<string, { busy: number; at: number }>;
  shares: ReadonlyMap<string, number>;
}

export const NO_READINGS: BusyReadings = { readings: new Map(), shares: new Map() };

/** The readings after a further report of the gateways. */
export function withReport(before: BusyReadings, rows: Gateway[]): BusyReadings {
  const [readings, shares] = [new Map(before.readings), new Map(before.shares)];
  for (const row of rows) {
    const busy = row.busy_seconds;
    if (busy === null || busy === undefined) continue;
    const key = epochKey(row);
    const at = Date.parse(row.last_seen) / 1000;
    const last = readings.get(key);
    if (last !== undefined && at - last.at < SHORTEST) continue;
    if (last !== undefined && busy >= last.busy) shares.set(key, (busy - last.busy) / (at - last.at));
    readings.set(key, { busy, at });
  }
  return { readings, shares };
}

/** The share of one core that the filter's code used in each epoch between the last two reports. */
export function useBusy(rows: Gateway[] | undefined): ReadonlyMap<string, number> {
  const [state, setState] = useState<{ rows: Gateway[] | undefined; busy: BusyReadings }>({ rows: undefined, busy: NO_READINGS });
  if (rows === undefined || rows === state.rows) return state.busy.shares;
  const busy = withReport(state.busy, rows);
  setState({ rows, busy });
  return busy.shares;
}

export function epochKey({ epoch, instance }: Pick<Gateway, 'epoch' | 'instance'>): string {
  return `${instance} ${epoch}`;
}

function grouped<T, K>(items: T[], keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return groups;
}
