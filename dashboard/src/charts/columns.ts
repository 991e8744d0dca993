// From the points of the API to the columns of a chart: one slot per step over the whole period, gaps included.

import type { Row } from '../api';
import type { Period } from '../period';

export interface Slots {
  /** Start of each slot, Unix seconds. */
  starts: number[];
  step: number;
  /** The slot that a moment falls into, or -1. */
  indexOf: (seconds: number) => number;
}

export function slotsOf(period: Period): Slots {
  const { step } = period;
  const first = Math.floor(period.from / step) * step;
  const length = Math.max(1, Math.ceil((period.to - first) / step));
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
export function sums<P extends Row & { time: string }>(slots: Slots, points: P[], value: (point: P) => number): number[] {
  const column = slots.starts.map(() => 0);
  for (const point of points) {
    const index = slots.indexOf(Date.parse(point.time) / 1000);
    if (index >= 0) column[index] = (column[index] ?? 0) + value(point);
  }
  return column;
}

/** The value of the point of each slot; a slot without a point is a gap. */
export function values<P extends Row & { time: string }>(slots: Slots, points: P[], value: (point: P) => number | null): (number | null)[] {
  const column: (number | null)[] = slots.starts.map(() => null);
  for (const point of points) {
    const index = slots.indexOf(Date.parse(point.time) / 1000);
    if (index >= 0) column[index] = value(point);
  }
  return column;
}
