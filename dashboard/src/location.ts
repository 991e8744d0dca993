// The address bar as the page's only state worth sharing: which view, which period, which filters.

import { useSyncExternalStore } from 'react';

/** The views of the navigation. */
export const VIEWS = ['overview', 'routes', 'consumers', 'requests', 'gateways', 'redaction'] as const;
/** Those of one route and one consumer as well; which one it is, the filters say. */
const PLACES = [...VIEWS, 'route', 'consumer'] as const;
export type View = (typeof PLACES)[number];
/** Views of the gateways themselves: no filter and no period applies to what they tell. */
export const OF_GATEWAYS: readonly (View | 'unknown')[] = ['gateways', 'redaction'];

/** The dimensions that requests are filtered by, under the names of the read API. */
export const DIMENSIONS = ['consumer', 'route', 'method', 'status', 'service', 'environment'] as const;
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

/** What only the view that set it understands: the request that is open, the order of a list, what is searched in it. */
const OF_ONE_VIEW = ['open', 'sort', 'q'];

/** The address of a view, with the present period, zone and filters and what `patch` changes of them. */
export function addressOf(view: View, patch: Patch = {}): string {
  const here = placeOf(currentAddress());
  const dropped = view === here.view ? { open: null } : Object.fromEntries(OF_ONE_VIEW.map((name) => [name, null]));
  return addressWith(view, here.params, { ...dropped, ...patch });
}

/** Goes to an address as a new entry of the browser's history. */
export function go(address: string): void {
  if (address === currentAddress()) return;
  window.history.pushState(null, '', address);
  announce();
}

/** Changes the query string of the present view, as a new entry of the history. An open request is closed. */
export function patch(changes: Patch): void {
  const { view } = placeOf(currentAddress());
  go(addressOf(view === 'unknown' ? 'overview' : view, changes));
}

/** As `patch`, in place of the present entry: for settings that the back button should skip, and that close nothing. */
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
  return (view === 'overview' ? '/' : `/${view}`) + (query === '' ? '' : `?${query}`);
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
  const name = path === '/' ? 'overview' : path.replace(/^\/|\/$/g, '');
  const view = PLACES.find((each) => each === name) ?? 'unknown';
  return { view, params: new URLSearchParams(query) };
}
