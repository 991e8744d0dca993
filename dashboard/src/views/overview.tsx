// The first look: how much, how well, how fast; by which routes and whom; and what came in last.

import { endpoint, type Requests, type Summary, type Timeseries } from '../api';
import { addressOf } from '../location';
import { Empty, Unreachable } from '../parts/empty';
import { Figures } from '../parts/figures';
import { ConsumerName, RouteName } from '../parts/labels';
import { Link } from '../parts/link';
import { RankTable } from '../parts/rank-table';
import { RequestList } from '../parts/request-list';
import { TrafficCharts } from '../parts/traffic-charts';
import { Trouble } from '../parts/trouble';
import { useQuery } from '../query';
import { scopeOf, type ViewProps } from './view';

const LATEST = 8;

export function OverviewView(props: ViewProps) {
  const { filters, period, live, gateways } = props;
  const { step, turn, previous } = period;
  const scope = scopeOf(props);
  const total = useQuery<Summary>(endpoint('summary', period, filters), scope, turn);
  const before = useQuery<Summary>(endpoint('summary', previous, filters), scope, turn);
  const overall = useQuery<Timeseries>(endpoint('timeseries', period, filters, { step }), scope, turn);
  const statuses = useQuery<Timeseries>(endpoint('timeseries', period, filters, { step, group_by: ['status'] }), scope, turn);
  const routes = useQuery<Summary>(endpoint('summary', period, filters, { group_by: ['method', 'route'] }), scope, turn);
  const consumers = useQuery<Summary>(endpoint('summary', period, filters, { group_by: ['consumer'] }), scope, turn);
  const latest = useQuery<Requests>(endpoint('requests', period.exact, filters, { limit: LATEST }), scope, turn);
  const queries = [total, before, overall, statuses, routes, consumers, latest];

  const row = total.data?.rows[0];
  const lost = queries.every(({ data, failure }) => data === undefined && failure !== undefined);
  const empty = total.data !== undefined && !total.outdated && (row?.requests ?? 0) === 0;
  return (
    <div className="view">
      <h1 className="unseen">Overview</h1>
      <Trouble queries={queries} onRetry={live.refresh} />
      {lost ? (
        <Unreachable live={live} />
      ) : empty ? (
        <Empty filters={filters} period={period} gateways={gateways.data} />
      ) : (
        <>
          <Figures total={total} before={before} period={period} />
          <TrafficCharts overall={overall} statuses={statuses} period={period} />
          <div className="pair">
            <RankTable
              title="Top routes"
              subject="Route"
              rows={routes.data?.rows}
              outdated={routes.outdated}
              keyOf={({ method, route }) => `${route} ${method}`}
              nameOf={({ method, route }) => <RouteName method={method ?? ''} route={route ?? ''} />}
              aside={
                <Link to={addressOf('routes')} className="card-aside">
                  All routes
                </Link>
              }
            />
            <RankTable
              title="Top consumers"
              subject="Consumer"
              rows={consumers.data?.rows}
              outdated={consumers.outdated}
              keyOf={({ consumer }) => consumer ?? ''}
              nameOf={({ consumer }) => <ConsumerName consumer={consumer ?? ''} />}
              aside={
                <Link to={addressOf('consumers')} className="card-aside">
                  All consumers
                </Link>
              }
            />
          </div>
          <RequestList
            title="Latest requests"
            rows={latest.data?.rows}
            expected={LATEST}
            outdated={latest.outdated}
            actions={
              <Link to={addressOf('requests')} className="card-aside">
                All requests
              </Link>
            }
          />
        </>
      )}
    </div>
  );
}
