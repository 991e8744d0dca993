// Consumers, routes, methods and statuses as they are written everywhere: the same look, and a click filters by them.

import { status, statusClass } from '../format';
import { addressOf, patch } from '../location';
import { Link } from './link';

/** Values of the API's own that stand for something else than their text: a word for each, and what it means. */
const SPECIAL = new Map([
  ['anonymous', { word: 'anonymous', meaning: 'Requests that named no consumer: none of the configured sources was present in them.' }],
  ['__unmatched__', { word: 'unmatched', meaning: 'Requests whose path belongs to no known route: answered 404 on a path that nobody configured, or malformed.' }],
  [
    '__overflow__',
    {
      word: 'overflow',
      meaning: 'Requests beyond a cap on series, counted together so that memory stays bounded. Every one is counted; only the names beyond the cap are not kept.',
    },
  ],
]);

/** What a name of the API's own means; `undefined` for an ordinary one. */
export function meaningOf(name: string): string | undefined {
  return SPECIAL.get(name)?.meaning;
}

export function wordOf(name: string): string {
  return SPECIAL.get(name)?.word ?? name;
}

export function ConsumerName({ consumer }: { consumer: string }) {
  return <Name text={consumer} label={`Show only consumer ${consumer}`} onClick={() => patch({ consumer })} />;
}

/** A route of one method: a click filters by both. */
export function RouteName({ method, route }: { method: string; route: string }) {
  return (
    <span className="route">
      <MethodName method={method} />
      <Name text={route} mono label={`Show only ${method} ${route}`} onClick={() => patch({ method, route })} />
    </span>
  );
}

/** The way to a consumer's own view. */
export function ConsumerLink({ consumer }: { consumer: string }) {
  return (
    <Link to={addressOf('consumer', { consumer })} className={classesOf(consumer)} title={meaningOf(consumer) ?? consumer}>
      {wordOf(consumer)}
    </Link>
  );
}

/** The way to a route's own view. */
export function RouteLink({ method, route }: { method: string; route: string }) {
  return (
    <Link to={addressOf('route', { method, route })} className="route" title={meaningOf(route) ?? route}>
      <span className="method">{method}</span>
      <span className={classesOf(route, 'mono')}>{wordOf(route)}</span>
    </Link>
  );
}

export function MethodName({ method }: { method: string }) {
  return (
    <button type="button" className="method" data-method={method} aria-label={`Show only method ${method}`} title={`Show only method ${method}`} onClick={() => patch({ method })}>
      {method}
    </button>
  );
}

export function StatusCode({ code }: { code: number }) {
  return (
    <button
      type="button"
      className="status"
      data-class={statusClass(code)}
      aria-label={`Show only status ${status(code)}`}
      title={code === 0 ? 'No answer was given' : code === 499 ? 'The client went away' : `Show only status ${code}`}
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
  return SPECIAL.has(name) ? 'name special' : look ? `name ${look}` : 'name';
}
