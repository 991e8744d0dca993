// Changes of routes and of the fields of bodies.

import { endpoint } from './api';
import type { components } from './api-schema';
import type { Filter, Filters } from './location';
import type { Period } from './period';
import { widened } from './span';

export type Change = components['schemas']['Change'];
export type Drift = components['schemas']['Drift'];
export type Shape = components['schemas']['Shape'];
export type Shapes = components['schemas']['Shapes'];
export type ShapeField = components['schemas']['ShapeField'];
type Kind = Change['kind'];

/** The kinds in words. */
export const KINDS: Record<Kind, string> = {
  route_new: 'New route',
  route_vanished: 'Route vanished',
  field_new: 'New field',
  field_vanished: 'Field vanished',
  type_changed: 'Type changed',
  format_changed: 'Format changed',
  became_optional: 'Became optional',
  became_required: 'Became required',
};

/** Changes that may break a client. */
export const BREAKING: ReadonlySet<Kind> = new Set<Kind>(['route_vanished', 'field_vanished', 'type_changed', 'became_optional']);

/** Filters that a change or a shape has a value for. */
const SCOPE: readonly Filter[] = ['service', 'environment', 'direction', 'method', 'route'];
const OF_CHANGES: readonly Filter[] = [...SCOPE, 'version'];

/** The path of the changes of a period under the filters, of one kind or of all. It stays the same within a step of the period. */
export function driftPath(period: Pick<Period, 'from' | 'to' | 'step'>, filters: Filters, kind: string | null): string {
  return endpoint('drift', widened(period, period.step), among(OF_CHANGES, filters), kind !== null && kind in KINDS ? { kind } : {});
}

/** The filters that changes cannot be filtered by. */
export function unusedOf(filters: Filters): string[] {
  return Object.keys(filters).filter((name) => !(name in among(OF_CHANGES, filters)));
}

/** The path of the shapes of the filtered route. */
export function shapesPath(filters: Filters): string {
  return `/api/v1/shapes?${new URLSearchParams(among(SCOPE, filters))}`;
}

function among(names: readonly Filter[], filters: Filters): Filters {
  return Object.fromEntries(names.flatMap((name) => (filters[name] === undefined ? [] : [[name, filters[name]]])));
}

/** The types of a field, and the format of its strings where all have one. */
export function typesOf({ types, formats }: Pick<ShapeField, 'types' | 'formats'>): string {
  const [format, ...others] = formats;
  const only = others.length === 0 && format !== 'plain' ? format : undefined;
  if (types.length === 0) return only ?? 'masked';
  return types.join(', ') + (only ? ` (${only})` : '');
}

/** A change among others. */
export function changeKey(change: Change): string {
  return JSON.stringify(Object.values(change));
}

/** A shape among others. */
export function shapeKey({ service, environment, direction, method, route, message, status }: Shape): string {
  return JSON.stringify([service, environment, direction, method, route, message, status]);
}
