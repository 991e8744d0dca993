// Redaction reports of gateways, added up: the rules with their hits, and the fates of bodies.

import type { Gateway, Redaction } from './api';
import { livenessOf, type Instance } from './gateways';
import type { OmissionReason } from './omission';

export const MESSAGES = ['request', 'response'] as const;
export type Message = (typeof MESSAGES)[number];

/** A rule under its name in reports, such as `request_body:$.user.email`. */
export interface RuleCount {
  rule: string;
  hits: number;
  /** Gateways that have the rule. */
  gateways: number;
}

/** The fates of the bodies of one message. */
export interface BodyCount {
  captured: number;
  /** By omission reason, the most frequent first, without `no_body`. */
  omitted: [reason: string, bodies: number][];
  /** Requests whose message has no body. */
  none: number;
}

export interface RedactionCount {
  /** Rules that never matched first, then by hits. */
  rules: RuleCount[];
  bodies: Record<Message, BodyCount>;
  /** Gateways that report redaction. */
  gateways: number;
}

/** The report of one gateway over all of its epochs; `undefined` if none reports. */
export function redactionOf(instance: Instance): RedactionCount | undefined {
  return redactionOfAll([instance]);
}

/**
 * The report of all gateways. The rules are those in the latest report of each live gateway, or of the silent ones if no
 * gateway is live. Hits include those of silent gateways.
 */
export function redactionOfAll(instances: Instance[]): RedactionCount | undefined {
  const reporting = instances.flatMap((instance) => {
    const latest = reportsOf(instance)[0];
    return latest ? [{ instance, latest }] : [];
  });
  if (reporting.length === 0) return undefined;
  const present = reporting.filter(({ instance }) => livenessOf(instance.latest) !== 'gone');
  const deciding = present.length > 0 ? present : reporting;

  const gateways = new Map<string, number>();
  for (const { rule } of deciding.flatMap(({ latest }) => latest.rules)) gateways.set(rule, (gateways.get(rule) ?? 0) + 1);
  const reports = reporting.flatMap(({ instance }) => reportsOf(instance));
  const hits = new Map<string, number>();
  for (const each of reports.flatMap(({ rules }) => rules)) {
    // A built-in rule is reported only after its first hit, so it may be missing in the latest report.
    if (gateways.has(each.rule) || isBuiltIn(each.rule)) hits.set(each.rule, (hits.get(each.rule) ?? 0) + each.hits);
  }
  const rules = [...hits].map(([rule, n]) => ({ rule, hits: n, gateways: gateways.get(rule) ?? 0 }));
  return {
    rules: rules.toSorted(byConcern),
    bodies: { request: bodiesOf(reports, 'request'), response: bodiesOf(reports, 'response') },
    gateways: deciding.length,
  };
}

/** Orders rules that never matched first, then by hits. */
export function byConcern(a: Pick<RuleCount, 'rule' | 'hits'>, b: Pick<RuleCount, 'rule' | 'hits'>): number {
  return Number(a.hits > 0) - Number(b.hits > 0) || b.hits - a.hits || a.rule.localeCompare(b.rule);
}

/** The configuration list of a rule, in words, and the rule as written there. */
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
  default: 'built-in',
};

function isBuiltIn(rule: string): boolean {
  return rule.startsWith('default:');
}

export interface BodyReason {
  label: string;
  /** A sentence. */
  meaning: string;
  /** `notable` reasons may need attention. */
  weight: 'expected' | 'notable';
}

/** Omission reasons of bodies, by their names on the wire. A body is sent redacted or not at all. */
export const BODY_REASONS: Record<OmissionReason, BodyReason> = {
  no_body: { label: 'no body', meaning: 'The message has no body.', weight: 'expected' },
  grpc: { label: 'gRPC', meaning: 'The body is a gRPC stream of binary frames.', weight: 'expected' },
  upgrade: { label: 'upgraded', meaning: 'The connection was upgraded to another protocol, such as WebSocket.', weight: 'expected' },
  unsupported_media_type: { label: 'media type', meaning: 'The content type is missing, or redaction does not support it.', weight: 'expected' },
  unknown_encoding: { label: 'content encoding', meaning: 'The content encoding is not gzip or deflate, or there is more than one.', weight: 'notable' },
  unsupported_charset: { label: 'character set', meaning: 'The character set is not UTF-8, US-ASCII or ISO-8859-1.', weight: 'notable' },
  too_large: { label: 'too large', meaning: 'The body exceeds capture.max_body_bytes, as sent or decoded.', weight: 'notable' },
  inflate_bound: { label: 'inflates too far', meaning: 'The body decompresses to more than 100 times its size.', weight: 'notable' },
  truncated: { label: 'cut off', meaning: 'The body ended early, so redaction could not find all secrets in it.', weight: 'notable' },
  malformed: { label: 'malformed', meaning: 'The body does not match its content type or content encoding.', weight: 'notable' },
  invalid_utf8: { label: 'not text', meaning: 'The body is not valid text in its character set.', weight: 'notable' },
  too_deep: { label: 'too deep', meaning: 'The body is nested deeper than 128 levels.', weight: 'notable' },
  duplicate_names: { label: 'repeated name', meaning: 'An object in the body repeats a name that a rule selects by.', weight: 'notable' },
  number_beyond_f64: { label: 'number too large', meaning: 'A rule compares a number that a double-precision float cannot hold.', weight: 'notable' },
  rule_failed: { label: 'rule failed', meaning: 'A rule needs more work on this body than its limit allows.', weight: 'notable' },
  queue_full: { label: 'queue full', meaning: 'The body was captured, but dropped to make room for events while the ingest was unreachable.', weight: 'notable' },
  overload: { label: 'overload', meaning: 'Redaction used half of the worker’s time since its last tick. Traffic has priority.', weight: 'notable' },
  memory_limit: { label: 'memory limit', meaning: 'The bodies in the worker’s memory exceeded limits.queue_bytes.', weight: 'notable' },
  not_seen: {
    label: 'not seen',
    meaning: 'The filter did not see the body: it runs as an access logger, another filter responded first, or the capability list lacks the body callbacks.',
    weight: 'notable',
  },
};

/** The text for a reason; an unknown reason is shown as it is. */
export function bodyReason(name: string): { label: string; meaning?: string; weight: BodyReason['weight'] } {
  return Object.hasOwn(BODY_REASONS, name) ? BODY_REASONS[name as OmissionReason] : { label: name, weight: 'notable' };
}

/** The reports of a gateway, the latest epoch first. */
function reportsOf({ epochs }: Pick<Instance, 'epochs'>): Redaction[] {
  return epochs.map((epoch: Gateway) => epoch.redaction).filter((report) => report !== null && report !== undefined);
}

function bodiesOf(reports: Redaction[], message: Message): BodyCount {
  const sums = new Map<string, number>();
  for (const [reason, n] of reports.flatMap(({ bodies }) => Object.entries(bodies[message].omitted))) sums.set(reason, (sums.get(reason) ?? 0) + n);
  const none = sums.get('no_body') ?? 0;
  sums.delete('no_body');
  return {
    captured: reports.reduce((sum, { bodies }) => sum + bodies[message].captured, 0),
    omitted: [...sums].filter(([, n]) => n > 0).toSorted(([a, n], [b, m]) => m - n || a.localeCompare(b)),
    none,
  };
}
