// The routes that the ingest has learned, ready to paste into the configuration of a gateway.

import type { Patterns, ScopePatterns } from '../api';
import { exact } from '../format';
import { pasteOf, scopeKey } from '../learned';
import { CopyButton } from './copy-button';
import { RouteLink } from './labels';
import { Tag } from './tag';
import cardStyles from './card.module.css';
import tableStyles from './table.module.css';

/** Rows shown of each scope; the copy has all. */
const MOST_ROWS = 100;

export function LearnedTag() {
  return (
    <Tag tone="inactive" title="The ingest learned from traffic which parts of this route are parameters. Requests counted before are included.">
      learned
    </Tag>
  );
}

/** One card for each service, environment and direction; nothing while nothing is learned. */
export function LearnedRoutes({ patterns }: { patterns: Patterns | undefined }) {
  return patterns?.rows.map((scope) => <Scope key={scopeKey(scope)} scope={scope} />);
}

function Scope({ scope }: { scope: ScopePatterns }) {
  const { service, environment, direction, learned_at, requests, places, templates } = scope;
  return (
    <section className={cardStyles.card} aria-label={`Learned routes of ${service}, ${environment}`} data-learned>
      <header className={cardStyles.head}>
        <h2>Learned routes</h2>
        <span className={cardStyles.aside} title={`The last at ${learned_at}`}>
          {service}, {environment}, {direction}: {exact(places.length)} {places.length === 1 ? 'parameter' : 'parameters'} from {exact(requests)} requests
        </span>
        <span className={cardStyles.actions}>{templates.length > 0 && <CopyButton text={pasteOf(scope)} label="Copy as templates" />}</span>
      </header>
      <p className={cardStyles.note}>
        Gateways already count by these routes. To fix them, and to name their parameters, paste them into <code>routes.templates</code>.
      </p>
      {templates.length > 0 && (
        <table className={tableStyles.table}>
          <thead>
            <tr>
              <th scope="col">Template</th>
              <th scope="col" className={tableStyles.number} title="Routes that were counted apart before the parameter was learned">
                Folded
              </th>
            </tr>
          </thead>
          <tbody>
            {templates.slice(0, MOST_ROWS).map(({ method, route, examples }) => (
              <tr key={`${method} ${route}`}>
                <th scope="row">
                  <RouteLink method={method} route={route} />
                </th>
                <td className={tableStyles.number}>{exact(examples)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {templates.length > MOST_ROWS && (
        <p className={cardStyles.note}>
          {exact(templates.length - MOST_ROWS)} more are in the copy.
        </p>
      )}
    </section>
  );
}
