// What gateways report of redaction, put together: which rules exist, how often they matched, what became of bodies.

import type { Gateway, Redaction } from './api';
import { pulseOf, type Instance } from './gateways';
import type { OmissionReason } from './omission';

export const SIDES = ['request', 'response'] as const;
export type Side = (typeof SIDES)[number];

/** A rule as it is named in a report, such as `request_body:$.user.email`. */
export interface RuleCount {
  rule: string;
  hits: number;
  /** Gateways that have it. */
  gateways: number;
}

/** What became of the bodies of one direction. */
export interface BodyCount {
  captured: number;
  /** By reason, the most frequent first; those that had no body to capture are not among them. */
  omitted: [reason: string, bodies: number][];
  /** Exchanges without a body. */
  none: number;
}

export interface RedactionCount {
  /** Those that never matched first, then by hits. */
  rules: RuleCount[];
  bodies: Record<Side, BodyCount>;
  /** Gateways that report of redaction. */
  gateways: number;
}

/** Of one gateway over all of its lives; `undefined` where none of them reports. */
export function redactionOf(instance: Instance): RedactionCount | undefined {
  return redactionOfAll([instance]);
}

/**
 * Of all gateways together. The latest report of each gateway says which rules it has; gateways that fell silent count
 * with what they matched, and have a say in which rules exist only where no other reports.
 */
export function redactionOfAll(instances: Instance[]): RedactionCount | undefined {
  const reporting = instances.flatMap((instance) => {
    const latest = reportsOf(instance)[0];
    return latest ? [{ instance, latest }] : [];
  });
  if (reporting.length === 0) return undefined;
  const present = reporting.filter(({ instance }) => pulseOf(instance.latest) !== 'gone');
  const deciding = present.length > 0 ? present : reporting;

  const gateways = new Map<string, number>();
  for (const { rule } of deciding.flatMap(({ latest }) => latest.rules)) gateways.set(rule, (gateways.get(rule) ?? 0) + 1);
  const reports = reporting.flatMap(({ instance }) => reportsOf(instance));
  const hits = new Map<string, number>();
  for (const each of reports.flatMap(({ rules }) => rules)) {
    // A built-in rule is reported once it was hit: that the latest report lacks it says nothing of it.
    if (gateways.has(each.rule) || isBuiltIn(each.rule)) hits.set(each.rule, (hits.get(each.rule) ?? 0) + each.hits);
  }
  const rules = [...hits].map(([rule, n]) => ({ rule, hits: n, gateways: gateways.get(rule) ?? 0 }));
  return {
    rules: rules.toSorted(byConcern),
    bodies: { request: bodiesOf(reports, 'request'), response: bodiesOf(reports, 'response') },
    gateways: deciding.length,
  };
}

/** Rules that never matched first, then the busiest. */
export function byConcern(a: Pick<RuleCount, 'rule' | 'hits'>, b: Pick<RuleCount, 'rule' | 'hits'>): number {
  return Number(a.hits > 0) - Number(b.hits > 0) || b.hits - a.hits || a.rule.localeCompare(b.rule);
}

/** The list of the configuration that a rule is in, in words, and the rule as it is written there. */
export function partsOf(rule: string): { list: string; text: string } {
  const cut = rule.indexOf(':');
  const name = cut < 0 ? '' : rule.slice(0, cut);
  return Object.hasOwn(LISTS, name) ? { list: LISTS[name] ?? name, text: rule.slice(cut + 1) } : { list: '', text: rule };
}

const LISTS: Record<string, string> = {
  headers: 'headers',
  query: 'query',
  request_body: 'request body',
  response_body: 'response body',
  keys: 'any key',
  detectors: 'detector',
  default: 'built in',
};

function isBuiltIn(rule: string): boolean {
  return rule.startsWith('default:');
}

export interface BodyReason {
  label: string;
  /** A clause about “the body”. */
  meaning: string;
  /** `expected` is what no one meant to capture; anything else may be worth a look. */
  weight: 'expected' | 'notable';
}

/** Why a body is not there, under the names of the wire. A body is sent redacted or not at all. */
export const BODY_REASONS: Record<OmissionReason, BodyReason> = {
  no_body: { label: 'no body', meaning: 'there was none', weight: 'expected' },
  grpc: { label: 'gRPC', meaning: 'the body is a gRPC stream, whose messages are framed and not text', weight: 'expected' },
  upgrade: { label: 'upgraded', meaning: 'the connection was handed over to another protocol, to WebSocket for instance', weight: 'expected' },
  unsupported_media_type: { label: 'media type', meaning: 'the body is of no media type that redaction understands, or says none', weight: 'expected' },
  unknown_encoding: { label: 'content coding', meaning: 'the body is encoded otherwise than with gzip or deflate, or more than once', weight: 'notable' },
  unsupported_charset: { label: 'character set', meaning: 'the body is in a character set other than UTF-8, US-ASCII and ISO-8859-1', weight: 'notable' },
  too_large: { label: 'too large', meaning: 'the body is longer than capture.max_body_bytes allows, as sent or decoded', weight: 'notable' },
  inflate_bound: { label: 'inflates too far', meaning: 'the body inflates to more than a hundred times its size', weight: 'notable' },
  truncated: { label: 'cut off', meaning: 'the body ended too early, so that what is secret in it cannot be told', weight: 'notable' },
  malformed: { label: 'malformed', meaning: 'the body is not what its media type or content coding says', weight: 'notable' },
  invalid_utf8: { label: 'not text', meaning: 'the body is not text in its character set', weight: 'notable' },
  too_deep: { label: 'too deep', meaning: 'the body is nested deeper than 128 levels', weight: 'notable' },
  duplicate_names: { label: 'repeated name', meaning: 'an object in the body repeats a name, and a rule needs to tell which value counts', weight: 'notable' },
  number_beyond_f64: { label: 'number too large', meaning: 'a rule compares a number in the body that a double-precision float does not hold', weight: 'notable' },
  rule_failed: { label: 'rule failed', meaning: 'a rule would need more work on the body than its bound allows', weight: 'notable' },
  queue_full: { label: 'queue full', meaning: 'captured, and taken out of the log again while nothing could be delivered, to make room for records', weight: 'notable' },
  overload: { label: 'overload', meaning: 'redaction had taken half of the worker’s time since its last tick, and traffic goes first', weight: 'notable' },
  memory_limit: { label: 'memory limit', meaning: 'the bodies that the worker held at the same time exceeded limits.queue_bytes', weight: 'notable' },
  not_seen: {
    label: 'not seen',
    meaning: 'the filter never saw the body: an access logger sees none, another filter answered first, or the capability list leaves the body callbacks out',
    weight: 'notable',
  },
};

/** What is known of a reason; one that this page has not heard of is shown as it is. */
export function bodyReason(name: string): { label: string; meaning?: string; weight: BodyReason['weight'] } {
  return Object.hasOwn(BODY_REASONS, name) ? BODY_REASONS[name as OmissionReason] : { label: name, weight: 'notable' };
}

/** The reports of a gateway, that of its latest life first. */
function reportsOf({ lives }: Pick<Instance, 'lives'>): Redaction[] {
  return lives.map((life: Gateway) => life.redaction).filter((report) => report !== null && report !== undefined);
}

function bodiesOf(reports: Redaction[], side: Side): BodyCount {
  const sums = new Map<string, number>();
  for (const [reason, n] of reports.flatMap(({ bodies }) => Object.entries(bodies[side].omitted))) sums.set(reason, (sums.get(reason) ?? 0) + n);
  const none = sums.get('no_body') ?? 0;
  sums.delete('no_body');
  return {
    captured: reports.reduce((sum, { bodies }) => sum + bodies[side].captured, 0),
    omitted: [...sums].filter(([, n]) => n > 0).toSorted(([a, n], [b, m]) => m - n || a.localeCompare(b)),
    none,
  };
}
