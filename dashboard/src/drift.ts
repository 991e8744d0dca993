// Changes of routes and of the fields of bodies.

import type { components } from './api-schema';
import type { Filters } from './location';
import { quoted } from './search';
import type { Span } from './span';

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
const SCOPE = ['service', 'environment', 'direction', 'method', 'route'];
const OF_CHANGES = [...SCOPE, 'version'];

/** The path of the changes of a period under the filters, of one kind or of all. */
export function driftPath(span: Span, filters: Filters, kind: string | null): string {
  const params = new URLSearchParams({ from: isoOf(span.from), to: isoOf(span.to) });
  for (const [name, value] of Object.entries(filters)) if (OF_CHANGES.includes(name)) params.set(name, value);
  if (kind !== null && kind in KINDS) params.set('kind', kind);
  return `/api/v1/drift?${params}`;
}

/** The filters that changes cannot be filtered by. */
export function unusedOf(filters: Filters): string[] {
  return Object.keys(filters).filter((name) => !OF_CHANGES.includes(name));
}

/** The path of the shapes of the filtered route. */
export function shapesPath(filters: Filters): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(filters)) if (SCOPE.includes(name)) params.set(name, value);
  return `/api/v1/shapes?${params}`;
}

/** The search that finds the request which showed a change. */
export function searchOfChange({ request_id, trace_id }: Change): string | undefined {
  if (request_id) return `request_id:${quoted(request_id)}`;
  return trace_id ? `trace_id:${quoted(trace_id)}` : undefined;
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

function isoOf(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}
