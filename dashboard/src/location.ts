// The address bar as the page's only state worth sharing: which view, which period, which filters.

import { useSyncExternalStore } from 'react';

export const VIEWS = ['overview', 'requests', 'gateways'] as const;
export type View = (typeof VIEWS)[number];

/** The dimensions that requests are filtered by, under the names of the read API. */
export const DIMENSIONS = ['consumer', 'route', 'method', 'status'] as const;
export type Dimension = (typeof DIMENSIONS)[number];
/** All that a view is filtered by: `errors` (`true` or `false`) is no dimension, as nothing is grouped by it. */
export const FILTERS = [...DIMENSIONS, 'errors'] as const;
export type Filter = (typeof FILTERS)[number];
export type Filters = Partial<Record<Filter, string>>;

/** What to change in the query string; `null` removes a parameter. */
export type Patch = Record<string, string | null>;

export interface Place {
  view: View | 'unknown';
  params: URLSearchParams;
}

export function usePlace(): Place {
  const address = useSyncExternalStore(subscribe, currentAddress);
  return placeOf(address);
}

export function filtersOf(params: URLSearchParams): Filters {
  const filters: Filters = {};
  for (const filter of FILTERS) {
    const value = params.get(filter);
    if (value !== null && value !== '') filters[filter] = value;
  }
  return filters;
}

/** The address of a view, with the present period and filters and what `patch` changes of them. */
export function addressOf(view: View, patch: Patch = {}): string {
  const params = new URLSearchParams(window.location.search);
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) params.delete(name);
    else params.set(name, value);
  }
  const query = params.toString();
  return (view === 'overview' ? '/' : `/${view}`) + (query === '' ? '' : `?${query}`);
}

/** Goes to an address as a new entry of the browser's history. */
export function go(address: string): void {
  if (address === currentAddress()) return;
  window.history.pushState(null, '', address);
  announce();
}

/** Changes the query string of the present view, as a new entry of the history. */
export function patch(changes: Patch): void {
  const { view } = placeOf(currentAddress());
  go(addressOf(view === 'unknown' ? 'overview' : view, changes));
}

/** As `patch`, in place of the present entry: for settings that the back button should skip. */
export function patchInPlace(changes: Patch): void {
  const { view } = placeOf(currentAddress());
  window.history.replaceState(null, '', addressOf(view === 'unknown' ? 'overview' : view, changes));
  announce();
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
  const [path = '/', query = ''] = address.split('?', 2);
  const name = path === '/' ? 'overview' : path.replace(/^\/|\/$/g, '');
  const view = VIEWS.find((each) => each === name) ?? 'unknown';
  return { view, params: new URLSearchParams(query) };
}
