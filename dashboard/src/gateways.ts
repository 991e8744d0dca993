// What the gateways report, put together: their lives, whether they are alive, what became of what they captured.

import { useRef } from 'react';
import type { Gateway } from './api';
import { exact } from './format';

/** A gateway by name, with all of its lives, the latest first. */
export interface Instance {
  key: string;
  latest: Gateway;
  lives: Gateway[];
}

/** The gateways, those heard of last first. */
export function instancesOf(rows: Gateway[]): Instance[] {
  const byName = grouped(rows, (row) => JSON.stringify([row.instance, row.service, row.environment]));
  const instances = [...byName].flatMap(([key, lives]): Instance[] => {
    const sorted = lives.toSorted((a, b) => silence(a) - silence(b));
    return sorted[0] ? [{ key, latest: sorted[0], lives: sorted }] : [];
  });
  const rank = { alive: 0, late: 1, gone: 2 };
  return instances.toSorted(
    (a, b) => rank[pulseOf(a.latest)] - rank[pulseOf(b.latest)] || a.latest.instance.localeCompare(b.latest.instance) || a.key.localeCompare(b.key),
  );
}

export type Pulse = 'alive' | 'late' | 'gone';

/** Seconds since the gateway was heard of, as this machine's clock has it. */
export function silence(gateway: Gateway): number {
  return Math.max(0, (Date.now() - Date.parse(gateway.last_seen)) / 1000);
}

/** A gateway reports every second or so; a minute's silence is worth a look, five are a loss. */
export function pulseOf(gateway: Gateway): Pulse {
  const seconds = silence(gateway);
  if (seconds < 60) return 'alive';
  return seconds < 300 ? 'late' : 'gone';
}

/** A number over all lives of a gateway; `undefined` where no life reports it. */
export function total({ lives }: Pick<Instance, 'lives'>, value: (life: Gateway) => number | null | undefined): number | undefined {
  const known = lives.map(value).filter((each) => each !== null && each !== undefined);
  return known.length === 0 ? undefined : known.reduce((sum, each) => sum + each, 0);
}

/** Batches of the request log that never came, be they sent as log records or as spans. */
export function logGaps({ gaps }: Gateway): number {
  return gaps.logs + (gaps.traces ?? 0);
}

/** Log records that were dropped, by reason, over all lives; those of none are left out. */
export function droppedOf({ lives }: Pick<Instance, 'lives'>): [reason: string, events: number][] {
  const sums = new Map<string, number>();
  for (const [reason, n] of lives.flatMap((life) => Object.entries(life.dropped ?? {}))) sums.set(reason, (sums.get(reason) ?? 0) + n);
  return [...sums].filter(([, n]) => n > 0);
}

/** Why a log record never came here. Counters are not concerned: they are never dropped. */
export const REASONS: Record<string, { label: string; meaning: string }> = {
  queue_full: { label: 'queue full', meaning: 'more came than could be delivered, so the oldest gave way; a larger limits.queue_bytes holds more' },
  rejected: { label: 'rejected', meaning: 'the ingest refused them for good, and would again; its log says why' },
  expired: { label: 'expired', meaning: 'not delivered within the age limit, whatever was tried; the ingest was out of reach' },
  lost: { label: 'lost', meaning: 'held by a virtual machine that a trap took' },
};

export function reasonLabel(reason: string): string {
  return REASONS[reason]?.label ?? reason.replaceAll('_', ' ');
}

/** The gateways, by key, that differ in `value` from most others of their service and environment. Silent ones do not count. */
export function odd(instances: Instance[], value: (gateway: Gateway) => string | null): Set<string> {
  const live = instances.filter(({ latest }) => pulseOf(latest) !== 'gone');
  const groups = grouped(live, ({ latest }) => JSON.stringify([latest.service, latest.environment]));
  const keys = [...groups.values()].flatMap((group) => {
    const byValue = grouped(group, ({ latest }) => value(latest));
    if (byValue.size < 2) return [];
    const most = Math.max(...[...byValue.values()].map((same) => same.length));
    const usual = [...byValue.values()].filter((same) => same.length === most);
    // With no majority, all of them are to be looked at.
    return (usual.length > 1 ? [...byValue.values()] : [...byValue.values()].filter((same) => same.length < most)).flat().map(({ key }) => key);
  });
  return new Set(keys);
}

/** Something about the gateways that a person should know of. */
export interface Notice {
  level: 'incident' | 'warning';
  title: string;
  text: string;
}

export function noticesOf(instances: Instance[]): Notice[] {
  const names = (found: Instance[]) => found.map(({ latest }) => latest.instance).join(', ');
  const about = (level: Notice['level'], found: Instance[], title: (names: string) => string, text: string): Notice[] =>
    found.length === 0 ? [] : [{ level, title: title(names(found)), text }];

  const lost = instances.filter((each) => (total(each, (life) => life.machines_lost) ?? 0) > 0);
  const lostCount = lost.reduce((sum, each) => sum + (total(each, (life) => life.machines_lost) ?? 0), 0);
  const configurations = odd(instances, (gateway) => gateway.config_hash);
  const versions = odd(instances, (gateway) => gateway.version);
  const droppers = instances.filter((each) => droppedOf(each).length > 0);
  const drops = droppers.flatMap(droppedOf).reduce((sum, [, n]) => sum + n, 0);
  return [
    ...about(
      'incident',
      lost,
      (who) => `${exact(lostCount)} virtual ${lostCount === 1 ? 'machine was' : 'machines were'} lost to a trap: ${who}`,
      'Traffic went on, but what such a machine had counted since its last tick (at most a second) and the log records it held are gone. The gateway’s own log names the trap; please report it.',
    ),
    ...about(
      'warning',
      instances.filter(({ key }) => configurations.has(key)),
      (who) => `Gateways of one service run different configurations: ${who}`,
      'That is so for a moment while a change is rolled out. If it stays, one of them has refused the new configuration; its log says why.',
    ),
    ...about(
      'warning',
      instances.filter(({ key }) => versions.has(key)),
      (who) => `Gateways of one service run different versions: ${who}`,
      'Expected during an upgrade only.',
    ),
    ...about(
      'warning',
      instances.filter((each) => (total(each, (life) => life.overflow) ?? 0) > 0),
      (who) => `The cap on series was reached: ${who}`,
      'Requests beyond it are counted together as overflow. Raise counters.max_series, or look for consumers or routes without end.',
    ),
    ...about(
      'warning',
      droppers,
      (who) => `${exact(drops)} log ${drops === 1 ? 'record was' : 'records were'} dropped: ${who}`,
      'They are missing in the request log; counts are complete. Open the gateway below for the reasons.',
    ),
  ];
}

/** Time between two answers below which a share says little, in seconds. */
const SHORTEST = 2;

/**
 * The share of one core that each life of a gateway spent in the filter's own code between the last two answers that
 * lie far enough apart, by epoch.
 */
export function useBusy(rows: Gateway[] | undefined): ReadonlyMap<string, number> {
  const before = useRef(new Map<string, { busy: number; at: number }>());
  const shares = useRef(new Map<string, number>());
  for (const { epoch, instance, busy_seconds: busy, last_seen } of rows ?? []) {
    if (busy === null || busy === undefined) continue;
    const key = lifeKey({ epoch, instance });
    const at = Date.parse(last_seen) / 1000;
    const last = before.current.get(key);
    if (last === undefined || at - last.at >= SHORTEST) {
      if (last !== undefined && busy >= last.busy) shares.current.set(key, (busy - last.busy) / (at - last.at));
      before.current.set(key, { busy, at });
    }
  }
  return shares.current;
}

export function lifeKey({ epoch, instance }: Pick<Gateway, 'epoch' | 'instance'>): string {
  return `${instance} ${epoch}`;
}

function grouped<T, K>(items: T[], keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return groups;
}
