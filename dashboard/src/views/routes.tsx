// All routes: requests, errors and latency.

import type { Patterns } from '../api';
import { useEntities } from '../entities';
import { isLearned, learnedPath, scopeKey } from '../learned';
import { usePages } from '../pages';
import { DataState } from '../parts/data-state';
import { Empty } from '../parts/empty';
import { COLUMNS, EntityTable } from '../parts/entity-table';
import { LearnedRoutes, LearnedTag } from '../parts/learned-routes';
import { MoreRows } from '../parts/more-rows';
import { SplitView } from '../parts/split-view';
import { ROUTES } from '../parts/subjects';
import { useQuery } from '../query';
import { splitOf } from '../scope';
import { VIEWS } from './facts';
import type { ViewProps } from './view';
import layoutStyles from '../parts/layout.module.css';

const { requests, share, errors, client, p50, p95, p99, upstream, attempts, bytes } = COLUMNS;

export function RoutesView(props: ViewProps) {
  const by = splitOf(props.params);
  return by ? <SplitView key={by} {...props} view="routes" of={ROUTES} by={by} /> : <RoutesTogether {...props} />;
}

function RoutesTogether(props: ViewProps) {
  const { filters, period, live, gateways, params } = props;
  const entities = useEntities(props, ROUTES.keys);
  // The list is whole without it, so a failure is not reported.
  const { data } = useQuery<Patterns>(learnedPath(filters), learnedPath(filters), period.refreshTick);
  const pages = usePages(data, learnedPath(filters), scopeKey);
  const patterns = pages.rows && { rows: pages.rows };
  const empty = entities.all?.length === 0 && !entities.outdated;
  return (
    <div className={layoutStyles.view}>
      <h1 className="unseen">{VIEWS.routes.title}</h1>
      <DataState queries={entities.queries} needed={entities.needed} empty={empty ? <Empty filters={filters} period={period} gateways={gateways.data} /> : null} live={live}>
        <EntityTable
          {...ROUTES}
          entities={entities}
          columns={[requests, share, errors, client, p50, p95, p99, upstream, attempts, bytes]}
          params={params}
          nameOf={(row) => (
            <>
              {ROUTES.nameOf(row)}
              {isLearned(patterns, row.method, row.route) && <LearnedTag />}
            </>
          )}
        />
        <LearnedRoutes patterns={patterns} />
        <MoreRows pages={pages} />
      </DataState>
    </div>
  );
}
