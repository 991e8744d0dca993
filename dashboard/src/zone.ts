// The time zone of displayed and entered times: that of the browser or UTC, set in the address.

import { createContext, useContext } from 'react';

export type Zone = 'local' | 'utc';

export const ZoneContext = createContext<Zone>('local');

export function useZone(): Zone {
  return useContext(ZoneContext);
}

export function zoneOf(params: URLSearchParams): Zone {
  return params.get('tz') === 'utc' ? 'utc' : 'local';
}

/** The fields of a moment as a clock in `zone` shows them; `month` counts from 0. */
export interface Fields {
  year: number;
  month: number;
  day: number;
  hours: number;
  minutes: number;
  seconds: number;
  milliseconds: number;
}

export function fieldsOf(date: Date, zone: Zone): Fields {
  const there = new Date(date.getTime() + offset(date, zone) * 60_000);
  return {
    year: there.getUTCFullYear(),
    month: there.getUTCMonth(),
    day: there.getUTCDate(),
    hours: there.getUTCHours(),
    minutes: there.getUTCMinutes(),
    seconds: there.getUTCSeconds(),
    milliseconds: there.getUTCMilliseconds(),
  };
}

/** `UTC`, or the offset of the local clock, such as `UTC+5:30`. */
export function zoneWords(zone: Zone, at: Date): string {
  const minutes = offset(at, zone);
  if (minutes === 0) return 'UTC';
  const size = Math.abs(minutes);
  const rest = size % 60 === 0 ? '' : `:${String(size % 60).padStart(2, '0')}`;
  return `UTC${minutes < 0 ? '−' : '+'}${Math.floor(size / 60)}${rest}`;
}

/** The moment in the form of an `<input type="datetime-local">`. Unix seconds. */
export function inputOf(seconds: number, zone: Zone): string {
  const date = new Date(seconds * 1000);
  return new Date(date.getTime() + offset(date, zone) * 60_000).toISOString().slice(0, 16);
}

/** The time in such an input, in Unix seconds; NaN if it is invalid. */
export function secondsOf(input: string, zone: Zone): number {
  return Date.parse(zone === 'utc' ? `${input}Z` : input) / 1000;
}

function offset(date: Date, zone: Zone): number {
  return zone === 'utc' ? 0 : -date.getTimezoneOffset();
}
