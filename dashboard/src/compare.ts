// What the counts of a view are compared with: the choice in the address, and how much worse a row has become.

import type { Row } from './api';
import { moment } from './format';
import type { Period } from './period';
import type { Span } from './span';
import type { Zone } from './zone';

/** `figures`: figures show their change against the stretch before. `whole`: so do charts and tables, against any stretch. */
export type Comparison = { kind: 'figures' | 'none' } | { kind: 'whole'; compare: string; label: string };

/** The choice in the address; an invalid one is ignored. */
export function comparisonOf(params: URLSearchParams, period: Period, zone: Zone): Comparison {
  const compare = params.get('compare');
  const moving = period.choice.kind === 'range';
  switch (compare) {
    case 'none':
      return { kind: 'none' };
    case 'previous':
      return { kind: 'whole', compare, label: period.previous.label };
    case 'day':
      return { kind: 'whole', compare, label: moving ? 'yesterday' : 'the day before' };
    case 'week':
      return { kind: 'whole', compare, label: moving ? 'last week' : 'the week before' };
    default: {
      const start = Date.parse(compare ?? '') / 1000;
      return start >= 0 ? { kind: 'whole', compare: new Date(start * 1000).toISOString(), label: `the stretch from ${moment(start, zone)}` } : { kind: 'figures' };
    }
  }
}

/** The parameters of a question whose answer is compared. */
export function comparedWith(comparison: Comparison): { compare?: string } {
  return comparison.kind === 'whole' ? { compare: comparison.compare } : {};
}

/** The range of counts that are compared as a whole: without a minute that is not over, which would always be less than before. */
export function countedSpan({ comparison, period }: { comparison: Comparison; period: Period }): Span {
  const to = comparison.kind === 'whole' && period.choice.kind === 'range' ? Math.floor(period.to / 60) * 60 : period.to;
  return { from: period.from, to: Math.max(to, period.from + 60) };
}

type Counted = Pick<Row, 'requests' | 'errors' | 'p95_ms'>;

/** Fewer requests on either side say nothing about a percentile. */
const FEW = 20;

/**
 * How much worse a group is than before: first by the errors that it would not have had at the share of before, then by how
 * much slower its 95th percentile is.
 */
export function worsening(now: Counted, before: Counted): number {
  const expected = before.requests === 0 ? 0 : (before.errors / before.requests) * now.requests;
  const errors = Math.round(now.errors - expected);
  const enough = now.requests >= FEW && before.requests >= FEW;
  const slower = enough && now.p95_ms && before.p95_ms ? Math.log(now.p95_ms / before.p95_ms) : 0;
  // Far beyond any logarithm: an error always weighs more.
  return errors * 1000 + slower;
}
