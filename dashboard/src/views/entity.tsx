// One route or one consumer: figures, charts, statuses, its consumers or routes, and its latest errors.

import type { ReactNode } from 'react';
import { endpoint, type Requests, type Summary, type Timeseries } from '../api';
import { classes } from '../classes';
import { comparedWith, countedSpan } from '../compare';
import { literally } from '../exactly';
import { useLatencies } from '../latencies';
import { addressOf } from '../location';
import { ConsumerCard } from '../parts/consumer-card';
import { DataChart } from '../parts/data-chart';
import { DataState } from '../parts/data-state';
import { Distribution } from '../parts/distribution';
import { Empty } from '../parts/empty';
import { Figures } from '../parts/figures';
import { Heatmap } from '../parts/heatmap';
import { GroupName, meaningOf, wordOf } from '../parts/labels';
import { Link } from '../parts/link';
import { RankTable } from '../parts/rank-table';
import { RequestList } from '../parts/request-list';
import { RouteFields } from '../parts/route-fields';
import { StatusBreakdown } from '../parts/status-breakdown';
import { SideBySide } from '../parts/side-by-side';
import { CONSUMERS, ROUTES } from '../parts/subjects';
import { TimeShares } from '../parts/time-shares';
import { TrafficCharts } from '../parts/traffic-charts';
import { usePausedList } from '../paused';
import { useQuery } from '../query';
import { splitOf } from '../scope';
import { useTotal } from '../total';
import { ConsumersView } from './consumers';
import { VIEWS, withoutSelection } from './facts';
import { RoutesView } from './routes';
import { scopeOf, type ViewProps } from './view';
import cardStyles from '../parts/card.module.css';
import labelsStyles from '../parts/labels.module.css';
import layoutStyles from '../parts/layout.module.css';
import styles from './entity.module.css';

const LATEST = 10;
const NO_REQUESTS: Requests = { rows: [], next: null };

export function RouteView(props: ViewProps) {
  const { route, method } = props.filters;
  // Without the filter that selects one route, it is the list of all.
  if (route === undefined) return <RoutesView {...props} />;
  return (
    <EntityView
      {...props}
      kind="route"
      all={<Link to={addressOf('routes', withoutSelection('route'))}>{VIEWS.routes.title}</Link>}
      name={literally(route)}
      before={method}
    />
  );
}

export function ConsumerView(props: ViewProps) {
  const { consumer } = props.filters;
  if (consumer === undefined) return <ConsumersView {...props} />;
  return <EntityView {...props} kind="consumer" all={<Link to={addressOf('consumers', withoutSelection('consumer'))}>{VIEWS.consumers.title}</Link>} name={literally(consumer)} />;
}

interface EntityProps extends ViewProps {
  kind: 'route' | 'consumer';
  /** A link to the list of all. */
  all: ReactNode;
  name: string;
  /** Written before the name: a route's method. */
  before?: string | undefined;
}

function EntityView({ kind, all, name, before: prefix, ...props }: EntityProps) {
  const { filters, period, comparison, live, gateways, params } = props;
  const split = splitOf(params);
  const { step, refreshTick } = period;
  const [span, compared] = [countedSpan(props), comparedWith(comparison)];
  const scope = scopeOf(props);
  const others = kind === 'route' ? CONSUMERS : ROUTES;
  const { total, before, queries: totals } = useTotal(props);
  // The chart of data is drawn together, whatever lies side by side.
  const overall = useQuery<Timeseries>(split && kind === 'route' ? null : endpoint('timeseries', period, filters, { step, ...compared }), scope, refreshTick);
  const statuses = useQuery<Timeseries>(split ? null : endpoint('timeseries', period, filters, { step, group_by: ['status'], ...compared }), scope, refreshTick);
  const latencies = useLatencies(props, total);
  const answers = useQuery<Summary>(endpoint('summary', period, filters, { group_by: ['status'] }), scope, refreshTick);
  // Only the views of consumers ask for the name and the group of one.
  const who = useQuery<Summary>(kind === 'consumer' ? endpoint('summary', period, filters, { group_by: ['consumer'] }) : null, scope, refreshTick);
  const { consumer_name: label, consumer_group: group } = who.data?.rows[0] ?? {};
  const related = useQuery<Summary>(endpoint('summary', span, filters, { group_by: others.keys, ...compared }), scope, refreshTick);
  const failed = useQuery<Requests>(filters.errors === 'false' ? null : endpoint('requests', period.exact, { ...filters, errors: 'true' }, { limit: LATEST }), scope, refreshTick);
  // The slowest of a consumer are of many routes, and say little.
  const slowest = useQuery<Requests>(kind === 'route' ? endpoint('requests', period.exact, filters, { sort: 'duration', limit: LATEST }) : null, scope, refreshTick);
  const slowList = usePausedList(slowest.data, 'slowest', slowest.outdated);
  const needed = [...totals, ...(split ? [] : [overall, statuses]), latencies.now, answers, related];
  const queries = [...needed, ...(latencies.before ? [latencies.before] : []), overall, failed, slowest];
  const list = usePausedList(filters.errors === 'false' ? NO_REQUESTS : failed.data, 'latest', failed.outdated);
  const empty = total.data !== undefined && !total.outdated && (total.data.rows[0]?.requests ?? 0) === 0;
  const meaning = meaningOf(name);
  return (
    <div className={layoutStyles.view}>
      <header className={styles.head}>
        <nav aria-label="Breadcrumb">{all}</nav>
        <h1>
          {prefix !== undefined && <span className={classes(labelsStyles.method, styles.prefix)}>{prefix}</span>}
          <span className={kind === 'route' && !meaning ? 'mono' : undefined}>{wordOf(name)}</span>
          {label && <span className={classes(labelsStyles.alias, styles.prefix)}> {label}</span>}
        </h1>
        {group && <GroupName group={group} />}
        <Link to={addressOf('requests')}>View requests</Link>
        {meaning !== undefined && <p>{meaning}</p>}
      </header>
      <DataState queries={queries} needed={needed} empty={empty ? <Empty filters={filters} period={period} gateways={gateways.data} /> : null} live={live}>
        {kind === 'consumer' && <ConsumerCard id={name} filters={filters} period={period} live={live} />}
        <Figures total={total} before={before} period={period} />
        {split ? <SideBySide key={split} {...props} by={split} failed={queries.some(({ failure }) => failure !== undefined)} /> : <TrafficCharts filters={filters} overall={overall} statuses={statuses} period={period} />}
        {kind === 'consumer' && <DataChart overall={overall} period={period} />}
        {latencies.before ? (
          <div className={layoutStyles.pair}>
            <Heatmap latencies={latencies.now} beside={latencies.before} />
            <Heatmap latencies={latencies.before} title="Durations before" aside={latencies.label} beside={latencies.now} />
          </div>
        ) : (
          <Heatmap latencies={latencies.now} />
        )}
        <div className={layoutStyles.pair}>
          <Distribution latencies={latencies.now} before={latencies.before} row={total.data?.rows[0]} />
          <TimeShares latencies={latencies.now} period={period} />
        </div>
        <div className={layoutStyles.pair}>
          <RankTable {...others} rows={related.data?.rows} outdated={related.outdated} more={related.data?.next !== undefined} />
          <StatusBreakdown rows={answers.data?.rows} outdated={answers.outdated} />
        </div>
        {kind === 'route' && (
          <RequestList
            title="Slowest requests"
            list={slowList}
            expected={LATEST}
            none="No requests in the log."
            actions={
              <Link to={addressOf('requests', { sort: 'duration' })} className={cardStyles.aside}>
                All by duration
              </Link>
            }
          />
        )}
        <RequestList
          title="Latest errors"
          list={list}
          expected={3}
          none="No errors in this period."
          actions={
            <Link to={addressOf('requests', { errors: 'true' })} className={cardStyles.aside}>
              All errors
            </Link>
          }
        />
        {kind === 'route' && <RouteFields filters={filters} refreshTick={refreshTick} />}
      </DataState>
    </div>
  );
}
