// A rule about the traffic that a person looks at: the link to its form, and what the form begins with.

import type { AlertRule, Row } from './api';
import { addressOf, type Filters } from './location';

type Measure = AlertRule['measure'];

/** The parameters of the address that propose a rule. The filters are its scope. */
export const PROPOSAL = ['measure', 'above', 'below', 'least'] as const;

/** Takes a proposal out of the address. */
export const NO_PROPOSAL: Record<string, null> = Object.fromEntries(PROPOSAL.map((name) => [name, null]));

export interface Proposal {
  name: string;
  measure: Measure;
  above?: number;
  below?: number;
  min_requests?: number;
  min_errors?: number;
  scope: Record<string, string>;
}

/** A rule measures over so many minutes, if it says nothing else. */
const WINDOW_MINUTES = 5;
/** The usual bounds of a window that is measured. Quiet traffic needs lower ones, or its rule never fires. */
const USUAL = { requests: 100, errors: 10 };

/** How far from its value of now a measure may be. */
const LIMITS: Partial<Record<Measure, { side: 'above' | 'below'; of: (now: number) => number }>> = {
  // Whoever has hardly any errors wants to know of some.
  error_percent: { side: 'above', of: (now) => Math.max(1, 2 * now) },
  p50_ms: { side: 'above', of: (now) => 1.5 * now },
  p95_ms: { side: 'above', of: (now) => 1.5 * now },
  p99_ms: { side: 'above', of: (now) => 1.5 * now },
  requests_per_minute: { side: 'below', of: (now) => 0.5 * now },
};

/** The address of the form of a rule for a measure whose value is `now`, of `row` in `minutes`. `undefined` without a value. */
export function proposalAddress(measure: Measure, now: number | null, row: Pick<Row, 'requests'>, minutes: number): string | undefined {
  const limit = LIMITS[measure];
  if (limit === undefined || now === null || row.requests === 0) return undefined;
  const least = Math.round((row.requests / Math.max(minutes, 1)) * (WINDOW_MINUTES / 2));
  return addressOf('alerts', {
    measure,
    [limit.side]: String(Number(limit.of(now).toPrecision(2))),
    least: least < USUAL.requests ? String(Math.max(1, least)) : null,
  });
}

/** The rule that the address proposes, under a name that no rule has. */
export function proposalOf(params: URLSearchParams, filters: Filters, rules: Pick<AlertRule, 'name'>[]): Proposal | undefined {
  const measure = params.get('measure') as Measure | null;
  const limit = measure === null ? undefined : LIMITS[measure];
  if (measure === null || limit === undefined) return undefined;
  const threshold = Number(params.get(limit.side) ?? NaN);
  const least = Number(params.get('least') ?? NaN);
  const { method, route, ...others } = filters;
  return {
    name: freeName([measure, method, route, ...Object.values(others)].join(' '), rules),
    measure,
    ...(Number.isFinite(threshold) && { [limit.side]: threshold }),
    ...(least > 0 && { min_requests: least, min_errors: Math.min(USUAL.errors, Math.max(1, Math.ceil(least / 10))) }),
    scope: { ...filters },
  };
}

/** The most bytes of the name of a rule, as the API takes it. */
const LONGEST = 64;

/** A name of the letters and digits of a text. */
function freeName(text: string, rules: Pick<AlertRule, 'name'>[]): string {
  const name = text.replace(/[^A-Za-z0-9]+/g, '-').slice(0, LONGEST - 4).replace(/^-|-$/g, '').toLowerCase();
  const taken = new Set(rules.map((rule) => rule.name));
  const numbered = [name, ...Array.from({ length: taken.size }, (_, index) => `${name}-${index + 2}`)];
  return numbered.find((each) => !taken.has(each)) ?? name;
}
