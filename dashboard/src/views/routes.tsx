// All routes: requests, errors and latency.

import type { Patterns } from '../api';
import { useEntities } from '../entities';
import { isLearned, learnedPath, scopeKey } from '../learned';
import { usePages } from '../pages';
import { DataState } from '../parts/data-state';
import { Empty } from '../parts/empty';
import { COLUMNS, EntityTable } from '../parts/entity-table';
import { RouteLink, wordOf } from '../parts/labels';
import { LearnedRoutes, LearnedTag } from '../parts/learned-routes';
import { MoreRows } from '../parts/more-rows';
import { MEASURES, SplitTable } from '../parts/split-table';
import { searchIn, SplitView } from '../parts/split-view';
import { useQuery } from '../query';
import { splitOf, type Scope } from '../scope';
import { useSplit } from '../split';
import { VIEWS, type Dimension } from './facts';
import type { ViewProps } from './view';
import layoutStyles from '../parts/layout.module.css';

const { requests, share, errors, client, p50, p95, p99, upstream, attempts, bytes } = COLUMNS;
const KEYS: Dimension[] = ['method', 'route'];

export function RoutesView(props: ViewProps) {
  const by = splitOf(props.params);
  return by ? <RoutesBeside {...props} by={by} /> : <RoutesTogether {...props} />;
}

function RoutesBeside({ by, ...props }: ViewProps & { by: Scope }) {
  const split = useSplit(props, by, KEYS);
  return (
    <SplitView view="routes" props={props} split={split}>
      <SplitTable
        title="Routes"
        subject="Route"
        by={by}
        split={split}
        measures={MEASURES}
        textOf={({ route, method }) => `${wordOf(route ?? '')} ${method}`}
        nameOf={({ route, method }) => <RouteLink method={method ?? ''} route={route ?? ''} />}
        search={searchIn(props.params)}
      />
    </SplitView>
  );
}

function RoutesTogether(props: ViewProps) {
  const { filters, period, live, gateways, params } = props;
  const entities = useEntities(props, KEYS);
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
          title="Routes"
          subject="Route"
          entities={entities}
          columns={[requests, share, errors, client, p50, p95, p99, upstream, attempts, bytes]}
          params={params}
          textOf={({ row }) => `${wordOf(row.route ?? '')} ${row.method}`}
          nameOf={({ row }) => (
            <>
              <RouteLink method={row.method ?? ''} route={row.route ?? ''} />
              {isLearned(patterns, row.method, row.route) && <LearnedTag />}
            </>
          )}
          specialOf={({ row }) => row.route ?? ''}
        />
        <LearnedRoutes patterns={patterns} />
        <MoreRows pages={pages} />
      </DataState>
    </div>
  );
}
