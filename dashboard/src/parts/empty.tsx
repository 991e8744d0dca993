import { Button } from '@mantine/core';
import type { Gateways } from '../api';
import { ago } from '../format';
import { FILTERS, patch, type Filters } from '../location';
import type { Live, Period } from '../period';
import { pulseOf, silence } from '../gateways';

interface EmptyProps {
  filters: Filters;
  period: Period;
  gateways: Gateways | undefined;
}

/** In place of data that does not exist: why there is none, and what to do about it. */
export function Empty({ filters, period, gateways }: EmptyProps) {
  const filtered = Object.keys(filters).length > 0;
  const rows = gateways?.rows ?? [];
  if (filtered) {
    return (
      <section className="card blank">
        <h2>No request matches these filters</h2>
        <p>Nothing in the chosen period has all of these properties.</p>
        <Button variant="default" size="sm" onClick={() => patch(Object.fromEntries(FILTERS.map((filter) => [filter, null])))}>
          Clear the filters
        </Button>
      </section>
    );
  }
  if (rows.length === 0) return <GettingStarted />;
  const latest = rows.reduce((a, b) => (silence(b) < silence(a) ? b : a));
  const week = period.choice.kind === 'range' && period.choice.range.id === '7d';
  return (
    <section className="card blank">
      <h2>No requests in this period</h2>
      <p className="pulse-line">
        <i className={`dot ${pulseOf(latest)}`} />
        <span>
          Gateway <b>{latest.instance}</b> {pulseOf(latest) === 'alive' ? 'is connected' : 'was last heard of'} ({ago(silence(latest))}). Requests that pass it appear here
          within seconds.
        </span>
      </p>
      <p>Send one through the gateway’s listener:</p>
      <pre>
        <code>curl -H 'x-consumer-id: me' http://your-gateway/any/path</code>
      </pre>
      {!week && (
        <Button variant="default" size="sm" onClick={() => patch({ range: '7d', from: null, to: null })}>
          Look at the last 7 days
        </Button>
      )}
    </section>
  );
}

/** In place of a view whose first answer failed; the banner above says why. */
export function Unreachable({ live }: { live: Live }) {
  return (
    <section className="card blank">
      <h2>Nothing to show yet</h2>
      <p>{live.possible && live.interval !== null ? `The ingest is asked again every ${live.interval} s; this view fills as soon as it answers.` : 'This view fills as soon as the ingest answers.'}</p>
    </section>
  );
}

function GettingStarted() {
  const { hostname, port, protocol } = window.location;
  return (
    <section className="card blank start">
      <h2>Waiting for the first gateway</h2>
      <p>Nothing has reported here yet. Three steps, and this page fills by itself:</p>
      <ol>
        <li>
          Load <code>gatelens.wasm</code> in Envoy as an HTTP filter or as an access logger, with this configuration:
          <pre>
            <code>{'{"version": 1, "ingest": {"cluster": "gatelens_ingest"}}'}</code>
          </pre>
        </li>
        <li>
          Let the cluster <code>gatelens_ingest</code> point to this service:
          <pre>
            <code>{`address: ${hostname}\nport_value: ${port || (protocol === 'https:' ? '443' : '80')}`}</code>
          </pre>
        </li>
        <li>
          Send a request through the gateway:
          <pre>
            <code>curl -H 'x-consumer-id: me' http://your-gateway/any/path</code>
          </pre>
        </li>
      </ol>
    </section>
  );
}
