// Consumers as people know them: since when, under which name, and who moved. Times are Unix seconds.

import type { Consumer, ConsumerDetails, Consumers, DirectoryEntry } from './api';
import type { Entity } from './entities';
import type { Filters } from './location';
import { useQuery, type Query } from './query';
import { linesOf } from './request';

/** The most of one answer. */
const MOST = 1000;

/** The consumers that were counted last, as far as the filters are about them. */
export function useConsumers({ service, environment, direction, consumer, group }: Filters, refreshTick: number): Query<Consumers> {
  const params = new URLSearchParams({ limit: String(MOST) });
  for (const [name, value] of Object.entries({ service, environment, direction, consumer, group })) if (value !== undefined) params.set(name, value);
  const path = `/api/v1/consumers?${params}`;
  return useQuery<Consumers>(path, path, refreshTick);
}

/** When a consumer was first and last counted, over all services. */
export interface Seen {
  first: number;
  last: number;
}

/** By ID. */
export function seenOf(rows: Consumer[]): Map<string, Seen> {
  const found = new Map<string, Seen>();
  for (const { id, first_seen, last_seen } of rows) {
    const [first, last] = [first_seen, last_seen].map((time) => Date.parse(time) / 1000) as [number, number];
    const known = found.get(id);
    found.set(id, known ? { first: Math.min(known.first, first), last: Math.max(known.last, last) } : { first, last });
  }
  return found;
}

/** The words for a consumer that changed, and their definitions. */
export const STANDINGS = {
  new: 'Counted for the first time in this period',
  returning: 'Counted before, not in the previous period, and now again',
  gone: 'Counted in the previous period, and not in this one',
} as const;
export type Standing = keyof typeof STANDINGS;

/** `undefined` for one that is counted in both periods, and as long as nothing is known. `from` is the start of the period. */
export function standingOf({ news }: Pick<Entity, 'news'>, seen: Seen | undefined, from: number): Standing | undefined {
  if (news === 'inactive') return 'gone';
  if (news === undefined || seen === undefined) return undefined;
  return seen.first < Math.floor(from / 60) * 60 ? 'returning' : 'new';
}

/** A consumer whose requests became more or fewer. */
export interface Mover {
  entity: Entity;
  /** Requests of this period less those of the previous one. */
  by: number;
}

/** The consumers whose requests changed most, in both directions; those that hardly changed are none. */
export function moversOf(all: Entity[], most: number): Mover[] {
  // Without any data on the previous period, all would have moved.
  if (all.every(({ was }) => !was)) return [];
  const moved = all.flatMap(({ was, ...rest }): Mover[] => {
    const by = was === undefined ? 0 : rest.row.requests - was;
    return was !== undefined && Math.abs(by) >= Math.max(LEAST, SHARE * Math.max(was, rest.row.requests)) ? [{ entity: { was, ...rest }, by }] : [];
  });
  return moved.toSorted((a, b) => Math.abs(b.by) - Math.abs(a.by)).slice(0, most);
}

/** Smaller changes are part of ordinary traffic: in requests, and as a share. */
const LEAST = 10;
const SHARE = 0.1;

/** The path of the entry of a consumer. */
export function entryPath(id: string): string {
  return `/api/v1/consumers/${encodeURIComponent(id)}`;
}

/** CSV of the directory, which an import reads back. */
export function tableOf(rows: DirectoryEntry[]): string {
  return linesOf([['id', 'name', 'group', 'note'], ...rows.map(({ id, name, group, note }) => [id, name, group, note])]);
}

export const NO_DETAILS: ConsumerDetails = { name: '', group: '', note: '' };
