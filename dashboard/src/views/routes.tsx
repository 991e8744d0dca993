// All routes: how much each is called, how well it answers, how fast.

import { useEntities } from '../entities';
import { Empty, Unreachable } from '../parts/empty';
import { COLUMNS, EntityTable } from '../parts/entity-table';
import { RouteLink, wordOf } from '../parts/labels';
import { Trouble } from '../parts/trouble';
import type { ViewProps } from './view';

const { requests, share, errors, client, p50, p95, p99, upstream, bytes } = COLUMNS;

export function RoutesView(props: ViewProps) {
  const { filters, period, live, gateways, params } = props;
  const entities = useEntities(props, ['method', 'route']);
  const { all, queries } = entities;
  return (
    <div className="view">
      <h1 className="unseen">Routes</h1>
      <Trouble queries={queries} onRetry={live.refresh} />
      {all === undefined && queries[0]?.failure ? (
        <Unreachable live={live} />
      ) : all?.length === 0 && !entities.outdated ? (
        <Empty filters={filters} period={period} gateways={gateways.data} />
      ) : (
        <EntityTable
          title="Routes"
          subject="Route"
          entities={entities}
          columns={[requests, share, errors, client, p50, p95, p99, upstream, bytes]}
          params={params}
          textOf={({ row }) => `${wordOf(row.route ?? '')} ${row.method}`}
          nameOf={({ row }) => <RouteLink method={row.method ?? ''} route={row.route ?? ''} />}
          specialOf={({ row }) => row.route ?? ''}
        />
      )}
    </div>
  );
}
