// The grid of a latency heatmap: its cells, what they are about, and the colours of its counts.

import type { Latencies } from '../api';
import { milliseconds } from '../format';
import { roundValues } from './scale';

/** A rectangle of cells; the edges are inclusive. */
export interface Area {
  columns: [number, number];
  rows: [number, number];
}

export interface Grid {
  /** Unix seconds. */
  starts: number[];
  /** Seconds. */
  step: number;
  /** Bounds of the rows in milliseconds, one more than there are rows. */
  bounds: number[];
  /** Requests by column, then by row. */
  counts: number[][];
  most: number;
}

export function gridOf(answer: Latencies): Grid {
  const counts = answer.columns.map((column) => column.counts);
  return {
    starts: answer.columns.map(({ time }) => Date.parse(time) / 1000),
    step: answer.step,
    bounds: answer.bounds_ms,
    counts,
    most: counts.reduce((most, column) => column.reduce((a, b) => Math.max(a, b), most), 0),
  };
}

/** Requests by duration: one more bound than there are rows. */
export interface Rows {
  bounds: number[];
  counts: number[];
}

/** All columns of a grid together. */
export function rowsOf({ bounds, counts }: Pick<Grid, 'bounds' | 'counts'>): Rows {
  return { bounds, counts: bounds.slice(1).map((_, row) => counts.reduce((sum, column) => sum + (column[row] ?? 0), 0)) };
}

/**
 * The requests of two stretches in the same rows. The ingest makes rows as high as a power of 2 of its buckets, so that each row of the
 * finer ones is within one of the coarser ones.
 */
export function sharedRows(now: Rows, before: Rows): { bounds: number[]; now: number[]; before: number[] } {
  const [coarser, finer] = ratioOf(now.bounds) >= ratioOf(before.bounds) ? [now, before] : [before, now];
  const ratio = ratioOf(coarser.bounds);
  const bounds = [...coarser.bounds];
  const [low, high] = edges(finer.bounds);
  // Rows of nothing where only the other stretch has requests. A bound that both have is that of the ingest, to the nanosecond.
  const exact = (ms: number) => finer.bounds.find((bound) => Math.abs(bound / ms - 1) < 1e-4) ?? ms;
  while ((bounds[0] ?? 0) > low * 1.0001) bounds.unshift(exact((bounds[0] ?? 0) / ratio));
  while ((bounds.at(-1) ?? high) < high * 0.9999) bounds.push(exact((bounds.at(-1) ?? 0) * ratio));
  if (finer.bounds[0] === 0) bounds[0] = 0;
  const within = ({ bounds: own, counts }: Rows) => {
    const sums = bounds.slice(1).map(() => 0);
    counts.forEach((count, row) => {
      const middle = row === 0 ? (own[1] ?? 0) * 0.9999 : Math.sqrt((own[row] ?? 0) * (own[row + 1] ?? 0));
      const at = Math.max(0, bounds.findLastIndex((bound) => bound < middle));
      sums[at] = (sums[at] ?? 0) + count;
    });
    return sums;
  };
  return { bounds, now: within(now), before: within(before) };
}

/** By which factor the rows grow. */
function ratioOf(bounds: number[]): number {
  const [high = 1, low = 0, lower = 0] = [bounds.at(-1), bounds.at(-2), bounds.at(-3)];
  // A single row that begins at 0 has no ratio; those of the ingest are never finer than this.
  return low > 0 ? high / low : lower > 0 ? low / lower : 1.02;
}

/** The area between two cells. */
export function areaOf(one: Cell, other: Cell): Area {
  const sorted = (a: number, b: number): [number, number] => (a < b ? [a, b] : [b, a]);
  return { columns: sorted(one.column, other.column), rows: sorted(one.row, other.row) };
}

export interface Cell {
  column: number;
  row: number;
}

export function requestsIn({ counts }: Grid, { columns, rows }: Area): number {
  return counts.slice(columns[0], columns[1] + 1).reduce((sum, column) => sum + column.slice(rows[0], rows[1] + 1).reduce((a, b) => a + b, 0), 0);
}

/** The criteria of the log that take exactly the requests of these rows. Durations are whole nanoseconds. */
export function criteriaOfRows({ bounds }: Pick<Grid, 'bounds'>, [first, last]: [number, number]): { min_duration_ms: string | null; max_duration_ms: string } {
  const low = bounds[first] ?? 0;
  const text = (ms: number) => String(Number(ms.toFixed(6)));
  return { min_duration_ms: first === 0 && low === 0 ? null : text(low + 0.000001), max_duration_ms: text(bounds[last + 1] ?? 0) };
}

export function durationsOf({ bounds }: Pick<Grid, 'bounds'>, [first, last]: [number, number]): string {
  return `${milliseconds(bounds[first])} – ${milliseconds(bounds[last + 1])}`;
}

/** Where a duration lies between the lowest bound (0) and the highest (1); rows are equally high. */
export function heightOf(bounds: number[], ms: number): number {
  const [low, high] = edges(bounds);
  return Math.log(ms / low) / Math.log(high / low);
}

/** The lowest and the highest bound, where the lowest is not 0. */
export function edges(bounds: number[]): [number, number] {
  const high = bounds.at(-1) ?? 1;
  const [first = 0, second = 1, third] = bounds;
  // The rows grow by the same factor, so the first would begin there without durations of 0.
  const low = first > 0 ? first : second / (third === undefined ? 2 : third / second);
  return [low, high];
}

/** At most eight round durations between the bounds. */
export function durationTicks(bounds: number[]): number[] {
  const [low, high] = edges(bounds);
  return roundValues(low, high).filter((_, index, all) => index % Math.ceil(all.length / 8) === 0);
}

/** How strong the colour of a count is, 0 to 1: few requests are seen beside many. */
export function strengthOf(count: number, most: number): number {
  return count === 0 ? 0 : 0.06 + 0.94 * (Math.log1p(count) / Math.log1p(Math.max(most, 1)));
}
