// The overview: rate, errors and latency, the top routes and consumers, and the latest requests.

import { endpoint, type Requests, type Summary, type Timeseries } from '../api';
import { comparedWith, countedSpan } from '../compare';
import { useLatencies } from '../latencies';
import { addressOf } from '../location';
import { DataState } from '../parts/data-state';
import { Empty } from '../parts/empty';
import { Figures } from '../parts/figures';
import { Heatmap } from '../parts/heatmap';
import { ConsumerName, RouteName } from '../parts/labels';
import { Link } from '../parts/link';
import { RankTable } from '../parts/rank-table';
import { RequestList } from '../parts/request-list';
import { SideBySide } from '../parts/side-by-side';
import { CONSUMERS, ROUTES } from '../parts/subjects';
import { TimeShares } from '../parts/time-shares';
import { TrafficCharts } from '../parts/traffic-charts';
import { usePausedList } from '../paused';
import { useQuery } from '../query';
import { splitOf } from '../scope';
import { useTotal } from '../total';
import { VIEWS } from './facts';
import { scopeOf, type ViewProps } from './view';
import cardStyles from '../parts/card.module.css';
import layoutStyles from '../parts/layout.module.css';

const LATEST = 8;

export function OverviewView(props: ViewProps) {
  const { filters, period, comparison, live, gateways, params } = props;
  const split = splitOf(params);
  const { step, refreshTick } = period;
  const [span, compared] = [countedSpan(props), comparedWith(comparison)];
  const scope = scopeOf(props);
  const { total, before, queries: totals } = useTotal(props);
  const overall = useQuery<Timeseries>(split ? null : endpoint('timeseries', period, filters, { step, ...compared }), scope, refreshTick);
  const statuses = useQuery<Timeseries>(split ? null : endpoint('timeseries', period, filters, { step, group_by: ['status'], ...compared }), scope, refreshTick);
  const latencies = useLatencies(props, total);
  const routes = useQuery<Summary>(endpoint('summary', span, filters, { group_by: ROUTES.keys, ...compared }), scope, refreshTick);
  const consumers = useQuery<Summary>(endpoint('summary', span, filters, { group_by: CONSUMERS.keys, ...compared }), scope, refreshTick);
  const latest = useQuery<Requests>(endpoint('requests', period.exact, filters, { limit: LATEST }), scope, refreshTick);
  const queries = [...totals, ...(split ? [] : [overall, statuses]), latencies.now, ...(latencies.before ? [latencies.before] : []), routes, consumers, latest];

  const list = usePausedList(latest.data, 'latest', latest.outdated);
  const empty = total.data !== undefined && !total.outdated && (total.data.rows[0]?.requests ?? 0) === 0;
  const shares = <TimeShares latencies={latencies.now} period={period} />;
  return (
    <div className={layoutStyles.view}>
      <h1 className="unseen">{VIEWS.overview.title}</h1>
      <DataState queries={queries} needed={queries} empty={empty ? <Empty filters={filters} period={period} gateways={gateways.data} /> : null} live={live}>
        <Figures total={total} before={before} period={period} />
        {split ? <SideBySide key={split} {...props} by={split} failed={queries.some(({ failure }) => failure !== undefined)} /> : <TrafficCharts filters={filters} overall={overall} statuses={statuses} period={period} />}
        <div className={layoutStyles.pair}>
          <Heatmap latencies={latencies.now} beside={latencies.before} />
          {latencies.before ? <Heatmap latencies={latencies.before} title="Durations before" aside={latencies.label} beside={latencies.now} /> : shares}
        </div>
        {latencies.before && shares}
        <div className={layoutStyles.pair}>
          <RankTable
            {...ROUTES}
            title="Top routes"
            rows={routes.data?.rows}
            outdated={routes.outdated}
            more={routes.data?.next !== undefined}
            nameOf={({ method, route }) => <RouteName method={method ?? ''} route={route ?? ''} />}
            aside={
              <Link to={addressOf('routes')} className={cardStyles.aside}>
                All routes
              </Link>
            }
          />
          <RankTable
            {...CONSUMERS}
            title="Top consumers"
            rows={consumers.data?.rows}
            outdated={consumers.outdated}
            more={consumers.data?.next !== undefined}
            nameOf={({ consumer, consumer_name: name }) => <ConsumerName consumer={consumer ?? ''} name={name} />}
            aside={
              <Link to={addressOf('consumers')} className={cardStyles.aside}>
                All consumers
              </Link>
            }
          />
        </div>
        <RequestList
          title="Latest requests"
          list={list}
          expected={LATEST}
          actions={
            <Link to={addressOf('requests')} className={cardStyles.aside}>
              All requests
            </Link>
          }
        />
      </DataState>
    </div>
  );
}
