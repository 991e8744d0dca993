// From the points of the API to the columns of a chart: one slot per step over the whole period, including gaps.

import type { Point, Timeseries } from '../api';
import { statusClass, type StatusClass } from '../format';
import type { Span } from '../span';

export interface Slots {
  /** Start of each slot, Unix seconds. */
  starts: number[];
  /** Seconds. */
  step: number;
  /** The slot of a time in Unix seconds, or -1. */
  indexOf: (seconds: number) => number;
}

/** The limit on slots, more than any chart shows. Longer ranges begin later. */
const MOST = 2000;

/** The slots of `step` seconds that cover a range. */
export function slotsOf({ from, to }: Span, step: number): Slots {
  const end = Math.ceil(to / step);
  const first = Math.max(Math.floor(from / step), end - MOST) * step;
  const length = Math.max(1, end - first / step);
  const starts = Array.from({ length }, (_, index) => first + index * step);
  return {
    starts,
    step,
    indexOf: (seconds) => {
      const index = Math.floor((seconds - first) / step);
      return index >= 0 && index < length ? index : -1;
    },
  };
}

/** The slots of a response, by its own range and step. */
export function slotsOfResponse({ from, to, step }: Pick<Timeseries, 'from' | 'to' | 'step'>): Slots {
  return slotsOf({ from: Date.parse(from) / 1000, to: Date.parse(to) / 1000 }, step);
}

/** The slots of a chart over a period: those of its answer where that has longer steps, because its minutes are no longer kept. */
export function slotsFor(period: Span & { step: number }, answer: Pick<Timeseries, 'from' | 'to' | 'step'> | undefined): Slots {
  return answer !== undefined && answer.step > period.step ? slotsOfResponse(answer) : slotsOf(period, period.step);
}

/** The length of a step in words. Steps are whole minutes. */
export function stepText(step: number): string {
  const known: Record<number, string> = { 60: 'a minute', 1800: 'half an hour', 3600: 'an hour', 86_400: 'a day' };
  const counted = step % 86_400 === 0 ? `${step / 86_400} days` : step % 3600 === 0 ? `${step / 3600} hours` : `${step / 60} minutes`;
  return known[step] ?? counted;
}

/** Sums `value` over the points of each slot; a slot without a point is 0. */
export function sums(slots: Slots, points: Point[], value: (point: Point) => number): number[] {
  const column = slots.starts.map(() => 0);
  for (const point of points) {
    const index = slots.indexOf(Date.parse(point.time) / 1000);
    if (index >= 0) column[index] = (column[index] ?? 0) + value(point);
  }
  return column;
}

/** The requests of a class among those of one status. Failed gRPC calls have the HTTP status 200 and are errors. */
export function ofClass(kind: StatusClass, { status, requests, errors }: Pick<Point, 'status' | 'requests' | 'errors'>): number {
  if (statusClass(status ?? 0) === 'ok') return kind === 'ok' ? requests - errors : kind === 'server' ? errors : 0;
  return statusClass(status ?? 0) === kind ? requests : 0;
}

/** The value of the point of each slot; a slot without a point is a gap. */
export function values(slots: Slots, points: Point[], value: (point: Point) => number | null): (number | null)[] {
  const column: (number | null)[] = slots.starts.map(() => null);
  for (const point of points) {
    const index = slots.indexOf(Date.parse(point.time) / 1000);
    if (index >= 0) column[index] = value(point);
  }
  return column;
}

/** The spans whose minutes are merged, in Unix seconds. Invalid spans are skipped. */
export function coarseOf(response: Pick<Timeseries, 'coarse'> | undefined): Span[] {
  const spans = (response?.coarse ?? []).map(({ from, to }) => ({ from: Date.parse(from) / 1000, to: Date.parse(to) / 1000 }));
  return spans.filter(({ from, to }) => from < to);
}
