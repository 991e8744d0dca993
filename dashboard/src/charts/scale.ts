// Ranges and ticks of the axes. Every function terminates for any data, including NaN and infinite values.

import { day, isToday, minute } from '../format';
import { fieldsOf, type Zone } from '../zone';
import type { Slots } from './columns';

/** From 0 to a little over the largest value. */
export function fromZero(max: number | null): [number, number] {
  return max !== null && Number.isFinite(max) && max > TINY ? [0, Math.min(max, VAST) * 1.08] : [0, 1];
}

/** Less is nothing: below, the steps between ticks are no longer numbers of their own. */
const TINY = 1e-9;
/** More is not counted. */
const VAST = 1e15;

/** Milliseconds: from a microsecond to some thirty years. */
const SHORTEST = 0.001;
const LONGEST = 1e12;

/** A logarithmic range with some air around the data. */
export function decades(min: number | null, max: number | null): [number, number] {
  if (max === null || !Number.isFinite(max) || max <= 0) return [1, 1000];
  const within = (value: number) => Math.min(LONGEST, Math.max(SHORTEST, value));
  const high = within(max);
  const low = min !== null && Number.isFinite(min) ? Math.min(high, within(min)) : high;
  // Values that hardly differ get room as well, so that there is more than one tick to read them by.
  const air = Math.max(1.5, Math.sqrt(NARROWEST / (high / low)));
  return [low / air, high * air];
}

const NARROWEST = 9;

/** 1, 2 and 5 times the powers of ten, or fewer for a wide range. */
export function roundValues(min: number, max: number): number[] {
  if (!(min >= SHORTEST / 4) || !(max > min) || max > LONGEST * 4) return [];
  const factors = max / min > 5000 ? [1] : max / min > 60 ? [1, 3] : [1, 2, 5];
  const found: number[] = [];
  // Counted by exponents: multiplying up from a very small number would never arrive.
  const last = Math.floor(Math.log10(max));
  for (let exponent = Math.floor(Math.log10(min)); exponent <= last; exponent += 1) {
    found.push(...factors.map((factor) => Number(`${factor}e${exponent}`)).filter((value) => value >= min && value <= max));
  }
  return found;
}

/** The day at midnight, otherwise the time of day. Unix seconds. */
export function tick(split: number, splits: number[], index: number, zone: Zone): string {
  const date = new Date(split * 1000);
  const before = splits[index - 1];
  const stride = before === undefined ? (splits[1] ?? split) - split : split - before;
  const { hours, minutes } = fieldsOf(date, zone);
  return stride >= 86_400 || (hours === 0 && minutes === 0) ? day(date, zone) : minute(date, zone);
}

/** The time that a slot covers, in words. */
export function spanAt({ starts, step }: Slots, index: number, zone: Zone): string {
  const start = new Date((starts[index] ?? 0) * 1000);
  if (step >= 86_400) return step === 86_400 ? day(start, zone) : `${day(start, zone)} – ${day(new Date(start.getTime() + (step - 60) * 1000), zone)}`;
  const when = isToday(start, zone) ? '' : `${day(start, zone)}, `;
  return `${when}${minute(start, zone)}${step === 60 ? '' : ` – ${minute(new Date(start.getTime() + step * 1000), zone)}`}`;
}

/** The middle of a slot, Unix seconds. */
export function middle({ starts, step }: Slots, index: number): number {
  return (starts[index] ?? 0) + step / 2;
}
