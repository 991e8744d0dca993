import { useState } from 'react';
import { endpoint, type Request, type Requests } from '../api';
import { milliseconds } from '../format';
import { addressOf } from '../location';
import { useQuery } from '../query';
import { keyOf } from '../request';
import { RouteName, StatusCode } from './labels';
import { Link } from './link';
import { TextButton } from './text-button';
import styles from './related-requests.module.css';

/** Seconds before and after a request in which its trace is looked for: clocks differ, and calls may follow late. */
const MARGIN = 60;
const LIMIT = 50;

/** Requests of the same trace in the other direction: the calls that a request made, or the request that caused a call. */
export function RelatedRequests({ request }: { request: Request }) {
  const [wanted, setWanted] = useState(false);
  const outbound = request['direction'] === 'outbound';
  const direction = outbound ? 'inbound' : 'outbound';
  const time = Date.parse(request.time) / 1000;
  const trace = request['trace_id'];
  const known = typeof trace === 'string' && trace !== '' && time >= 0;
  const span = { from: time - MARGIN, to: time + (request.duration_ms ?? 0) / 1000 + MARGIN };
  const path = wanted && known ? endpoint('requests', span, { direction }, { limit: LIMIT, trace_id: trace }) : null;
  const found = useQuery<Requests>(path, path ?? '', 0);
  if (!known) return null;
  const title = outbound ? 'Request that caused this call' : 'Calls made by this request';
  if (!wanted) return <TextButton onClick={() => setWanted(true)}>{`Find ${title.charAt(0).toLowerCase()}${title.slice(1)}`}</TextButton>;
  return (
    <section aria-label={title} aria-busy={!found.data && !found.failure}>
      <h3>{title}</h3>
      {found.failure && <p role="alert">{found.failure.message}.</p>}
      {found.data?.rows.length === 0 && <p>{outbound ? 'No request' : 'No call'} of this trace is in the log.</p>}
      <ul className={styles.related}>
        {found.data?.rows.map((row) => (
          <li key={keyOf(row)}>
            <StatusCode code={row.status} grpc={row.grpc_status} />
            <RouteName method={row.method} route={row.route} />
            <span>{row.host ?? ''}</span>
            <span>{milliseconds(row.duration_ms)}</span>
            <Link to={addressOf('requests', { direction, open: keyOf(row) })}>Open</Link>
          </li>
        ))}
      </ul>
    </section>
  );
}
