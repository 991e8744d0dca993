// Consumers, routes, methods and statuses look the same in every view, and a click filters by them.

import type { ReactNode } from 'react';
import { classes } from '../classes';
import { exactly } from '../exactly';
import { status, statusClass } from '../format';
import { addressOf, patch, type Filter } from '../location';
import { Link } from './link';
import styles from './labels.module.css';

/** Reserved values of the API: a word for each, and its meaning. */
const SPECIAL = new Map([
  ['anonymous', { word: 'anonymous', meaning: 'Requests without a consumer: none of the configured sources was present.' }],
  ['__unmatched__', { word: 'unmatched', meaning: 'Requests that match no known route: a 404 on a path that nobody configured, or a malformed request.' }],
  [
    '__overflow__',
    {
      word: 'overflow',
      meaning: 'Requests beyond the limit on series, counted together to bound memory. Every request is counted, but not by name.',
    },
  ],
]);

/** The meaning of a reserved name; `undefined` for any other. */
export function meaningOf(name: string): string | undefined {
  return SPECIAL.get(name)?.meaning;
}

export function wordOf(name: string): string {
  return SPECIAL.get(name)?.word ?? name;
}

interface ConsumerProps {
  /** The ID. */
  consumer: string;
  /** The display name, where it is known. */
  name?: string | null | undefined;
}

export function ConsumerName({ consumer, name }: ConsumerProps) {
  return (
    <Named name={name}>
      <Name text={consumer} label={`Show only consumer ${consumer}`} onClick={() => patch({ consumer: exactly(consumer) })} />
    </Named>
  );
}

/** A group of consumers; a click filters by it. */
export function GroupName({ group }: { group: string }) {
  return <Name text={group} label={`Show only group ${group}`} onClick={() => patch({ group: exactly(group) })} />;
}

/** A value of a filter that has no look of its own; a click filters by it. */
export function FilterName({ filter, value }: { filter: Filter; value: string }) {
  return <Name text={value} mono label={`Show only ${filter.replaceAll('_', ' ')} ${value}`} onClick={() => patch({ [filter]: exactly(value) })} />;
}

/** A route of one method: a click filters by both. */
export function RouteName({ method, route }: { method: string; route: string }) {
  return (
    <span className={styles.route}>
      <MethodName method={method} />
      <Name text={route} mono label={`Show only ${method} ${route}`} onClick={() => patch({ method, route: exactly(route) })} />
    </span>
  );
}

/** A link to the view of a consumer. */
export function ConsumerLink({ consumer, name }: ConsumerProps) {
  return (
    <Named name={name}>
      <Link to={addressOf('consumer', { consumer: exactly(consumer) })} className={classesOf(consumer)} title={meaningOf(consumer) ?? consumer}>
        {wordOf(consumer)}
      </Link>
    </Named>
  );
}

/** An ID with the display name beside it. */
function Named({ name, children }: { name: string | null | undefined; children: ReactNode }) {
  if (!name) return children;
  return (
    <span className={styles.named}>
      {children}
      <span className={styles.alias} title={name}>
        {name}
      </span>
    </span>
  );
}

/** A link to the view of a route. */
export function RouteLink({ method, route }: { method: string; route: string }) {
  return (
    <Link to={addressOf('route', { method, route: exactly(route) })} className={styles.route} title={meaningOf(route) ?? route}>
      <span className={styles.method}>{method}</span>
      <span className={classesOf(route, 'mono')}>{wordOf(route)}</span>
    </Link>
  );
}

export function MethodName({ method }: { method: string }) {
  return (
    <button type="button" className={styles.method} data-method={method} aria-label={`Show only method ${method}`} title={`Show only method ${method}`} onClick={() => patch({ method })}>
      {method}
    </button>
  );
}

/** A status; a click filters by it. A call whose gRPC status is a failure looks like an error, although HTTP succeeded. */
export function StatusCode({ code, grpc }: { code: number; grpc?: number | null | undefined }) {
  const failed = code >= 200 && code < 300 && grpc ? `, gRPC status ${grpc}` : '';
  return (
    <button
      type="button"
      className={styles.status}
      data-class={failed ? 'server' : statusClass(code)}
      aria-label={`Show only status ${status(code)}${failed}`}
      title={code === 0 ? 'No response' : code === 499 ? 'The client disconnected' : `Show only status ${code}${failed}`}
      onClick={() => patch({ status: String(code) })}
    >
      {status(code)}
    </button>
  );
}

function Name({ text, label, mono, onClick }: { text: string; label: string; mono?: true; onClick: () => void }) {
  return (
    <button type="button" className={classesOf(text, mono && 'mono')} title={meaningOf(text) ?? text} aria-label={label} onClick={onClick}>
      {wordOf(text)}
    </button>
  );
}

function classesOf(name: string, look?: 'mono'): string {
  return classes(styles.name, SPECIAL.has(name) ? styles.special : look);
}
