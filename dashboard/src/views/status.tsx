// The status page: what is up, and how the last days or hours were.

import { Select, Skeleton } from '@mantine/core';
import type { Uptime, UptimeRow } from '../api';
import { classes } from '../classes';
import { exactly } from '../exactly';
import { exact, milliseconds, moment } from '../format';
import { addressOf, patchInPlace } from '../location';
import { ErrorBanner } from '../parts/error-banner';
import { RouteLink } from '../parts/labels';
import { Link } from '../parts/link';
import { Tag } from '../parts/tag';
import { UptimeBars } from '../parts/uptime-bars';
import { useQuery, type Query } from '../query';
import { minutesText, shareText, STATES, worstOf, type Kind } from '../uptime';
import { useZone } from '../zone';
import { VIEWS } from './facts';
import type { ViewProps } from './view';
import cardStyles from '../parts/card.module.css';
import layoutStyles from '../parts/layout.module.css';
import styles from './status.module.css';

/** Steps of so many seconds, the last of which is not over. */
const SPANS = {
  days: { label: 'Last 30 days', step: 86_400, steps: 30 },
  hours: { label: 'Last 24 hours', step: 3600, steps: 24 },
} as const;
type SpanName = keyof typeof SPANS;

const KINDS: { kind: Kind; title: string }[] = [
  { kind: 'service', title: 'Services' },
  { kind: 'probe', title: 'Probes' },
  { kind: 'gateway', title: 'Gateways' },
  { kind: 'route', title: 'Routes' },
];
const LIMIT = 50;
const SUMMARIES = { up: 'Everything is up', degraded: 'Something is degraded', down: 'Something is down', unknown: 'Nothing is known of the last hour' } as const;

export function StatusView({ period, live, params }: ViewProps) {
  const chosen: SpanName = params.get('span') === 'hours' ? 'hours' : 'days';
  const { step, steps } = SPANS[chosen];
  const from = new Date((Math.floor(period.exact.to / step) - steps + 1) * step * 1000).toISOString();
  const path = (kind: Kind) => `/api/v1/uptime?${new URLSearchParams({ group_by: kind, step: String(step), from, limit: String(LIMIT) })}`;
  const services = useQuery<Uptime>(path('service'), chosen, period.refreshTick);
  const probes = useQuery<Uptime>(path('probe'), chosen, period.refreshTick);
  const gateways = useQuery<Uptime>(path('gateway'), chosen, period.refreshTick);
  const routes = useQuery<Uptime>(path('route'), chosen, period.refreshTick);
  const queries: Record<Kind, Query<Uptime>> = { service: services, probe: probes, gateway: gateways, route: routes };
  const main = [...(services.data?.rows ?? []), ...(probes.data?.rows ?? [])];
  const worst = worstOf(main);
  return (
    <div className={layoutStyles.view}>
      <ErrorBanner queries={Object.values(queries)} onRetry={live.refresh} />
      <section className={classes(cardStyles.card, styles.summary)} data-state={worst}>
        <h2 role="status">{services.data && probes.data ? SUMMARIES[worst] : 'Asking'}</h2>
        <Link to={addressOf('releases')}>{VIEWS.releases.title}</Link>
        <Select
          className={styles.span}
          size="xs"
          aria-label="Period of the bars"
          data={Object.entries(SPANS).map(([value, { label }]) => ({ value, label }))}
          value={chosen}
          allowDeselect={false}
          onChange={(value) => patchInPlace({ span: value === 'hours' ? 'hours' : null })}
        />
      </section>
      {KINDS.map(({ kind, title }) => (
        <Group key={kind} kind={kind} title={title} query={queries[kind]} />
      ))}
      <section className={cardStyles.card} aria-labelledby="meaning">
        <header className={cardStyles.head}>
          <h2 id="meaning">What is counted</h2>
        </header>
        <p className={cardStyles.note}>
          A minute with traffic is bad if more than {services.data?.bound_percent ?? 5} % of its requests were errors (status 5xx or no response); a minute of a probe is bad if the probe failed. The share is that of the good
          minutes among those with traffic or a probe; minutes without traffic are not judged. A gateway’s share is that of the minutes with a heartbeat, from its first one on; after an hour of silence it counts as replaced. A
          service’s minutes without a heartbeat are those in which none of its gateways reported. A probe of a service counts into the service.
        </p>
        <p className={cardStyles.note}>
          <i>up</i>: no bad or silent minute in the last hour. <i>degraded</i>: at least one. <i>down</i>: the last three minutes of which something is known were all bad or silent. Bars: green without such a minute, yellow while
          they are at most 5 % of the minutes, red beyond. Days and hours are UTC; traffic is judged two to four minutes after it was counted.
        </p>
      </section>
    </div>
  );
}

function Group({ kind, title, query }: { kind: Kind; title: string; query: Query<Uptime> }) {
  const { data, outdated } = query;
  if (data === undefined) {
    return (
      <section className={cardStyles.card} aria-busy="true">
        <Skeleton height={54} m="sm" width="auto" />
      </section>
    );
  }
  if (data.rows.length === 0) {
    return kind === 'service' || kind === 'probe' ? (
      <section className={cardStyles.card} aria-labelledby={kind}>
        <header className={cardStyles.head}>
          <h2 id={kind}>{title}</h2>
        </header>
        <p className={cardStyles.note}>
          {kind === 'service' ? (
            'No gateway has reported in this time.'
          ) : (
            <>
              None is set up. Name addresses under <code>probes</code> in the file of the service, and it asks them at intervals.
            </>
          )}
        </p>
      </section>
    ) : null;
  }
  return (
    <section className={classes(cardStyles.card, outdated && 'outdated')} aria-labelledby={kind}>
      <header className={cardStyles.head}>
        <h2 id={kind}>{title}</h2>
        {data.more && <span className={cardStyles.aside}>the first {exact(data.rows.length)}</span>}
      </header>
      <ul className={styles.rows}>
        {data.rows.map((row) => (
          <Line key={[row.service, row.environment, row.method, row.route, row.gateway, row.probe].join(' ')} kind={kind} row={row} step={data.step} />
        ))}
      </ul>
    </section>
  );
}

function Line({ kind, row, step }: { kind: Kind; row: UptimeRow; step: number }) {
  const zone = useZone();
  const { word, tone } = STATES[row.state];
  const { latest } = row;
  return (
    <li className={styles.row} data-state={row.state}>
      <div className={styles.name}>
        <Name kind={kind} row={row} />
        {row.service !== undefined && kind !== 'service' && (
          <span className="faint">
            {row.service} ({row.environment})
          </span>
        )}
      </div>
      <Tag tone={tone}>{word}</Tag>
      <UptimeBars bars={row.bars} step={step} kind={kind} />
      <b className={styles.share} title={minutesText(row, kind)}>
        {shareText(row.uptime)}
      </b>
      {latest && (
        <p className={classes(styles.latest, latest.error !== null && styles.failed)}>
          {moment(Date.parse(latest.time) / 1000, zone)}: {latest.error ?? `status ${latest.status} after ${milliseconds(latest.duration_ms)}`}
        </p>
      )}
    </li>
  );
}

function Name({ kind, row: { service, environment, method, route, gateway, probe } }: { kind: Kind; row: UptimeRow }) {
  if (kind === 'route') return <RouteLink method={method ?? ''} route={route ?? ''} />;
  if (kind === 'gateway') return <Link to={addressOf('gateways')}>{gateway}</Link>;
  if (kind === 'probe') return <span>{probe}</span>;
  return (
    <Link to={addressOf('overview', { service: exactly(service ?? ''), environment: exactly(environment ?? '') })}>
      {service} <span className="faint">{environment}</span>
    </Link>
  );
}
