// Routes that the ingest has learned from traffic.

import type { Patterns, ScopePatterns } from './api';
import type { Filters } from './location';

/** The name of a learned parameter in a route. */
const PARAMETER = '{param}';

/** The path that asks for the learned routes under the filters. */
export function learnedPath(filters: Filters): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(filters)) if (SCOPE.includes(name)) params.set(name, value);
  return `/api/v1/patterns?${params}`;
}

const SCOPE = ['service', 'environment', 'direction'];

/** Whether a route of a method has a learned parameter. A configured template may have the same text. */
export function isLearned(patterns: Patterns | undefined, method: string | undefined, route: string | undefined): boolean {
  if (!route?.includes(PARAMETER)) return false;
  return patterns?.rows.some(({ templates }) => templates.some((template) => template.method === method && template.route === route)) ?? false;
}

/** A scope among others. */
export function scopeKey({ service, environment, direction }: ScopePatterns): string {
  return JSON.stringify([service, environment, direction]);
}

/** The templates of a scope as `routes.templates` takes them. */
export function pasteOf({ templates }: ScopePatterns): string {
  // A template has one of the known methods.
  const known = templates.filter(({ method }) => method !== '_OTHER');
  return JSON.stringify(known.map(({ method, route }) => `${method} ${route}`), null, 2);
}
