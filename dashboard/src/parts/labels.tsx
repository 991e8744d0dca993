// Consumers, routes, methods and statuses as they are written everywhere: the same look, and a click filters by them.

import { status, statusClass } from '../format';
import { patch } from '../location';

/** Values of the API's own that stand for something else than their text. */
const SPECIAL: Record<string, string> = {
  anonymous: 'Nobody was named by the request',
  __unmatched__: 'The path belongs to no known route',
  __overflow__: 'Requests beyond the cap on series, counted together',
};

const WORDS: Record<string, string> = { __unmatched__: 'unmatched', __overflow__: 'overflow' };

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
  const special = SPECIAL[text];
  const classes = ['name', mono && !special ? 'mono' : '', special ? 'special' : ''].join(' ').trim();
  return (
    <button type="button" className={classes} title={special ?? text} aria-label={label} onClick={onClick}>
      {WORDS[text] ?? text}
    </button>
  );
}
