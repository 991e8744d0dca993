// One route or one consumer: its figures and charts, how it is answered, who calls it or what it calls, its latest errors.

import { endpoint, type Requests, type Summary, type Timeseries } from '../api';
import { addressOf, type Dimension } from '../location';
import { Empty, Unreachable } from '../parts/empty';
import { Figures } from '../parts/figures';
import { ConsumerLink, meaningOf, RouteLink, wordOf } from '../parts/labels';
import { Link } from '../parts/link';
import { RankTable } from '../parts/rank-table';
import { RequestList } from '../parts/request-list';
import { StatusBreakdown } from '../parts/status-breakdown';
import { TrafficCharts } from '../parts/traffic-charts';
import { Trouble } from '../parts/trouble';
import { useQuery } from '../query';
import { scopeOf, type ViewProps } from './view';

const LATEST = 10;

export function RouteView(props: ViewProps) {
  const { route = '', method } = props.filters;
  return (
    <EntityView
      {...props}
      kind="route"
      list={<Link to={addressOf('routes', { route: null, method: null })}>Routes</Link>}
      name={route}
      before={method}
    />
  );
}

export function ConsumerView(props: ViewProps) {
  return <EntityView {...props} kind="consumer" list={<Link to={addressOf('consumers', { consumer: null })}>Consumers</Link>} name={props.filters.consumer ?? ''} />;
}

interface EntityProps extends ViewProps {
  kind: 'route' | 'consumer';
  /** The way back to the list of all. */
  list: React.ReactNode;
  name: string;
  /** Written before the name: a route's method. */
  before?: string | undefined;
}

function EntityView({ kind, list, name, before: prefix, ...props }: EntityProps) {
  const { filters, period, live, gateways } = props;
  const { step, turn, previous } = period;
  const scope = scopeOf(props);
  const others: Dimension[] = kind === 'route' ? ['consumer'] : ['method', 'route'];
  const total = useQuery<Summary>(endpoint('summary', period, filters), scope, turn);
  const before = useQuery<Summary>(endpoint('summary', previous, filters), scope, turn);
  const overall = useQuery<Timeseries>(endpoint('timeseries', period, filters, { step }), scope, turn);
  const statuses = useQuery<Timeseries>(endpoint('timeseries', period, filters, { step, group_by: ['status'] }), scope, turn);
  const answers = useQuery<Summary>(endpoint('summary', period, filters, { group_by: ['status'] }), scope, turn);
  const related = useQuery<Summary>(endpoint('summary', period, filters, { group_by: others }), scope, turn);
  const failed = useQuery<Requests>(filters.errors === 'false' ? null : endpoint('requests', period.exact, { ...filters, errors: 'true' }, { limit: LATEST }), scope, turn);
  const queries = [total, before, overall, statuses, answers, related, failed];

  const lost = queries.every(({ data, failure }) => data === undefined && failure !== undefined);
  const empty = total.data !== undefined && !total.outdated && (total.data.rows[0]?.requests ?? 0) === 0;
  const meaning = meaningOf(name);
  return (
    <div className="view">
      <header className="entity-head">
        <nav aria-label="Breadcrumb">{list}</nav>
        <h1>
          {prefix !== undefined && <span className="method">{prefix}</span>}
          <span className={kind === 'route' && !meaning ? 'mono' : undefined}>{wordOf(name)}</span>
        </h1>
        <Link to={addressOf('requests')}>Its requests</Link>
        {meaning !== undefined && <p>{meaning}</p>}
      </header>
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
            {kind === 'route' ? (
              <RankTable
                title="Consumers"
                subject="Consumer"
                rows={related.data?.rows}
                outdated={related.outdated}
                keyOf={({ consumer }) => consumer ?? ''}
                nameOf={({ consumer }) => <ConsumerLink consumer={consumer ?? ''} />}
              />
            ) : (
              <RankTable
                title="Routes"
                subject="Route"
                rows={related.data?.rows}
                outdated={related.outdated}
                keyOf={({ method, route }) => `${route} ${method}`}
                nameOf={({ method, route }) => <RouteLink method={method ?? ''} route={route ?? ''} />}
              />
            )}
            <StatusBreakdown rows={answers.data?.rows} outdated={answers.outdated} />
          </div>
          <RequestList
            title="Latest errors"
            rows={filters.errors === 'false' ? [] : failed.data?.rows}
            expected={3}
            outdated={failed.outdated}
            none="No request of this period failed."
            actions={
              <Link to={addressOf('requests', { errors: 'true' })} className="card-aside">
                All errors
              </Link>
            }
          />
        </>
      )}
    </div>
  );
}
