// The address bar is the only state of the page that can be shared: the view, the period, the filters.

import { useMemo, useSyncExternalStore } from 'react';
import { DIMENSIONS, VIEWS, viewAt, type View } from './views/facts';

/** The filters of a view. `errors` (`true` or `false`) is not a dimension: nothing is grouped by it. */
export const FILTERS = [...DIMENSIONS, 'errors'] as const;
export type Filter = (typeof FILTERS)[number];
export type Filters = Partial<Record<Filter, string>>;

/** Changes to the query string; `null` removes a parameter. */
export type Patch = Record<string, string | null>;

export interface Place {
  view: View | 'unknown';
  params: URLSearchParams;
}

/** The current place. The same object until the address changes. */
export function usePlace(): Place {
  const address = useSyncExternalStore(subscribe, currentAddress);
  return useMemo(() => placeOf(address), [address]);
}

export function filtersOf(params: URLSearchParams): Filters {
  const filters: Filters = {};
  for (const filter of FILTERS) {
    const value = params.get(filter);
    if (value !== null && value !== '') filters[filter] = value;
  }
  return filters;
}

/** The address of a view, with the current period, zone and filters, changed by `patch`. */
export function addressOf(view: View, patch: Patch = {}): string {
  const here = placeOf(currentAddress());
  const keys = here.view === view || here.view === 'unknown' ? ['open'] : VIEWS[here.view].keys;
  return addressWith(view, here.params, { ...Object.fromEntries(keys.map((name) => [name, null])), ...patch });
}

/** Goes to an address, as a new entry of the browser's history. */
export function go(address: string): void {
  if (address === currentAddress()) return;
  window.history.pushState(null, '', address);
  announce();
}

/** Changes the query string of the current view, as a new entry of the history, and closes an open request. */
export function patch(changes: Patch): void {
  const { view } = placeOf(currentAddress());
  go(addressOf(view === 'unknown' ? 'overview' : view, changes));
}

/** Like `patch`, but replaces the current entry and closes nothing: for settings that the back button should skip. */
export function patchInPlace(changes: Patch): void {
  const { view, params } = placeOf(currentAddress());
  window.history.replaceState(null, '', addressWith(view === 'unknown' ? 'overview' : view, params, changes));
  announce();
}

function addressWith(view: View, params: URLSearchParams, changes: Patch): string {
  const changed = new URLSearchParams(params);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) changed.delete(name);
    else changed.set(name, value);
  }
  const query = changed.toString();
  return VIEWS[view].path + (query === '' ? '' : `?${query}`);
}

const listeners = new Set<() => void>();

function announce(): void {
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  window.addEventListener('popstate', listener);
  return () => {
    listeners.delete(listener);
    window.removeEventListener('popstate', listener);
  };
}

function currentAddress(): string {
  return window.location.pathname + window.location.search;
}

function placeOf(address: string): Place {
  const cut = address.indexOf('?');
  const [path, query] = cut < 0 ? [address, ''] : [address.slice(0, cut), address.slice(cut + 1)];
  return { view: viewAt(path), params: new URLSearchParams(query) };
}
