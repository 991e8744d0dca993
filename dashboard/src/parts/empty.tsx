import { Button } from '@mantine/core';
import type { Gateways } from '../api';
import { classes } from '../classes';
import { ago } from '../format';
import { livenessOf, silence } from '../gateways';
import { FILTERS, patch, type Filters } from '../location';
import type { Live, Period } from '../period';
import { Dot } from './dot';
import cardStyles from './card.module.css';
import styles from './empty.module.css';

interface EmptyProps {
  filters: Filters;
  period: Period;
  gateways: Gateways | undefined;
}

/** Shown instead of data: why there is none, and what to do. */
export function Empty({ filters, period, gateways }: EmptyProps) {
  const filtered = Object.keys(filters).length > 0;
  const rows = gateways?.rows ?? [];
  if (filtered) {
    return (
      <section className={classes(cardStyles.card, styles.blank)} data-blank>
        <h2>No requests match these filters</h2>
        <p>Remove a filter or choose a longer time range.</p>
        <Button variant="default" size="sm" onClick={() => patch(Object.fromEntries(FILTERS.map((filter) => [filter, null])))}>
          Clear filters
        </Button>
      </section>
    );
  }
  if (rows.length === 0) return <GettingStarted />;
  const latest = rows.reduce((a, b) => (silence(b) < silence(a) ? b : a));
  const week = period.choice.kind === 'range' && period.choice.range.id === '7d';
  return (
    <section className={classes(cardStyles.card, styles.blank)} data-blank>
      <h2>No requests in this period</h2>
      <p className={styles.connected}>
        <Dot state={livenessOf(latest)} />
        <span>
          {livenessOf(latest) === 'alive' ? (
            <>
              Gateway <b>{latest.instance}</b> is connected (last seen {ago(silence(latest))}). Its requests appear here within seconds.
            </>
          ) : (
            <>
              Gateway <b>{latest.instance}</b> was last seen {ago(silence(latest))}. Check that it is running and can reach the ingest.
            </>
          )}
        </span>
      </p>
      <p>To test the connection, send a request through the gateway:</p>
      <pre>
        <code>curl -H 'x-consumer-id: me' http://your-gateway/any/path</code>
      </pre>
      {!week && (
        <Button variant="default" size="sm" onClick={() => patch({ range: '7d', from: null, to: null })}>
          Show the last 7 days
        </Button>
      )}
    </section>
  );
}

/** Shown instead of a view whose first query failed; the banner above says why. */
export function Unreachable({ live }: { live: Live }) {
  return (
    <section className={classes(cardStyles.card, styles.blank)} data-blank>
      <h2>No data yet</h2>
      <p>{live.possible && live.interval !== null ? `The page retries every ${live.interval} s and shows the data as soon as the ingest responds.` : 'The page shows the data as soon as the ingest responds. Use Refresh to retry.'}</p>
    </section>
  );
}

function GettingStarted() {
  const { hostname, port, protocol } = window.location;
  return (
    <section className={classes(cardStyles.card, styles.blank)} data-blank>
      <h2>Waiting for the first gateway</h2>
      <p>No gateway has reported yet. To connect one:</p>
      <ol>
        <li>
          Load <code>gatelens.wasm</code> in Envoy, as an HTTP filter or as an access logger, with this configuration:
          <pre>
            <code>{'{"version": 1, "ingest": {"cluster": "gatelens_ingest"}}'}</code>
          </pre>
        </li>
        <li>
          Point the cluster <code>gatelens_ingest</code> to this service:
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
