// From the points of the API to the columns of a chart: one slot per step over the whole period, gaps included.

import type { Point, Timeseries } from '../api';
import type { Span } from '../period';

export interface Slots {
  /** Start of each slot, Unix seconds. */
  starts: number[];
  /** Seconds. */
  step: number;
  /** The slot that a moment falls into, or -1. */
  indexOf: (seconds: number) => number;
}

/** More slots than any chart shows: what asks for more is cut at its start. */
const MOST = 2000;

/** The slots of `step` seconds that cover a stretch. */
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

/** Sums `value` over the points of each slot; a slot without a point is 0. */
export function sums(slots: Slots, points: Point[], value: (point: Point) => number): number[] {
  const column = slots.starts.map(() => 0);
  for (const point of points) {
    const index = slots.indexOf(Date.parse(point.time) / 1000);
    if (index >= 0) column[index] = (column[index] ?? 0) + value(point);
  }
  return column;
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

/** The spans whose minutes cannot be told apart, in Unix seconds; what is no span is left out. */
export function coarseOf(answer: Pick<Timeseries, 'coarse'> | undefined): Span[] {
  const spans = (answer?.coarse ?? []).map(({ from, to }) => ({ from: Date.parse(from) / 1000, to: Date.parse(to) / 1000 }));
  return spans.filter(({ from, to }) => from < to);
}
