// Numbers, durations, sizes and times as people read them. Every function takes the unit of its name and returns text.

import { fieldsOf, type Zone } from './zone';

/** Shown instead of a missing value. */
export const NONE = '–';

export function count(value: number): string {
  if (!Number.isFinite(value)) return NONE;
  return scaled(value, 1000, ['', 'k', 'M', 'G', 'T'], '');
}

/** All digits up to 99,999, for columns of numbers. */
export function tally(value: number): string {
  return value < 100_000 ? exact(value) : count(value);
}

/** With all digits, for titles and details. */
export function exact(value: number): string {
  return value.toLocaleString('en', { maximumFractionDigits: 3 });
}

export function milliseconds(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  if (value === 0) return '0 ms';
  // Below a tenth of a millisecond the zeros after the point would be the longest part of the text.
  if (value < 0.0995) return `${value < 0.001 ? Number((value * 1000).toPrecision(1)) : Number((value * 1000).toPrecision(2))} µs`;
  if (value < 1) return `${Number(value.toPrecision(2))} ms`;
  if (value < 1000) return `${digits(value)} ms`;
  if (value < 60_000) return `${digits(value / 1000)} s`;
  return `${digits(value / 60_000)} min`;
}

export function bytes(value: number): string {
  return value < 1000 ? `${value} B` : `${scaled(value, 1000, ['', 'k', 'M', 'G', 'T', 'P'], ' ')}B`;
}

/** `share` is in 0 to 1. */
export function percent(share: number): string {
  const value = share * 100;
  if (value === 0) return '0 %';
  if (value < 0.01) return '< 0.01 %';
  if (value < 10) return `${Number(value.toFixed(2))} %`;
  if (value < 99.95 || value === 100) return `${Number(value.toFixed(1))} %`;
  return '> 99.9 %';
}

/** How long ago, in the largest unit that fits. Seconds. */
export function ago(seconds: number): string {
  if (seconds < 2) return 'just now';
  if (seconds < 90) return `${Math.round(seconds)} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 129_600) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86_400)} d ago`;
}

export function status(code: number): string {
  return code === 0 ? 'none' : String(code);
}

export type StatusClass = 'ok' | 'client' | 'server';

/** As the API counts errors: from 500 on, or no answer at all. */
export function statusClass(code: number): StatusClass {
  if (code >= 500 || code === 0) return 'server';
  return code >= 400 ? 'client' : 'ok';
}

/** Time of day with milliseconds; with the day before it if that is not today. */
export function clock(iso: string, zone: Zone): string {
  const date = new Date(iso);
  const { hours, minutes, seconds, milliseconds: rest } = fieldsOf(date, zone);
  const time = `${two(hours)}:${two(minutes)}:${two(seconds)}.${String(rest).padStart(3, '0')}`;
  return isToday(date, zone) ? time : `${day(date, zone)} ${time}`;
}

/** Day and minute of a Unix time in seconds. */
export function moment(seconds: number, zone: Zone): string {
  const date = new Date(seconds * 1000);
  return `${day(date, zone)}, ${minute(date, zone)}`;
}

/** Day and second of a Unix time in seconds: when something happened. */
export function instant(seconds: number, zone: Zone): string {
  const date = new Date(seconds * 1000);
  return `${day(date, zone)}, ${minute(date, zone)}:${two(fieldsOf(date, zone).seconds)}`;
}

/** The minute of a Unix time in seconds, with the day before it if that is not today. */
export function shortMoment(seconds: number, zone: Zone): string {
  const date = new Date(seconds * 1000);
  return isToday(date, zone) ? minute(date, zone) : moment(seconds, zone);
}

export function minute(date: Date, zone: Zone): string {
  const { hours, minutes } = fieldsOf(date, zone);
  return `${two(hours)}:${two(minutes)}`;
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** Day and month; with the year if it is not this one. */
export function day(date: Date, zone: Zone): string {
  const { year, month, day: of } = fieldsOf(date, zone);
  const text = `${MONTHS[month] ?? ''} ${of}`;
  return year === fieldsOf(new Date(), zone).year ? text : `${text}, ${year}`;
}

export function isToday(date: Date, zone: Zone): boolean {
  const [one, other] = [fieldsOf(date, zone), fieldsOf(new Date(), zone)];
  return one.year === other.year && one.month === other.month && one.day === other.day;
}

function scaled(value: number, base: number, units: string[], gap: string): string {
  let unit = 0;
  let rest = value;
  while (Math.abs(rest) >= base * 0.9995 && unit < units.length - 1) {
    rest /= base;
    unit += 1;
  }
  const text = unit === 0 ? digits(rest) : String(Number(rest.toPrecision(3)));
  return `${text}${gap}${units[unit] ?? ''}`;
}

/** Up to three significant digits. */
function digits(value: number): string {
  if (value >= 100) return String(Math.round(value));
  return String(Number(value.toPrecision(value >= 10 ? 3 : 2)));
}

function two(value: number): string {
  return String(value).padStart(2, '0');
}
