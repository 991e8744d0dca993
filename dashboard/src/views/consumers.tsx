// All consumers: requests, errors, latency, routes, first and last request.

import { useMemo } from 'react';
import { endpoint, type Summary } from '../api';
import { MOST, useEntities, type Entity } from '../entities';
import { seenOf, standingOf, STANDINGS, useConsumers } from '../consumers';
import { NONE, shortMoment } from '../format';
import { addressOf } from '../location';
import { DataState } from '../parts/data-state';
import { Empty } from '../parts/empty';
import { COLUMNS, EntityTable, type Column } from '../parts/entity-table';
import { GroupName, wordOf } from '../parts/labels';
import { Link } from '../parts/link';
import { Movers } from '../parts/movers';
import { SplitView } from '../parts/split-view';
import { CONSUMERS } from '../parts/subjects';
import { useQuery } from '../query';
import { splitOf } from '../scope';
import { useZone } from '../zone';
import { VIEWS } from './facts';
import { scopeOf, type ViewProps } from './view';
import cardStyles from '../parts/card.module.css';
import layoutStyles from '../parts/layout.module.css';

const { requests, share, errors, client, p95, bytes } = COLUMNS;

export function ConsumersView(props: ViewProps) {
  const by = splitOf(props.params);
  return by ? <SplitView key={by} {...props} view="consumers" of={CONSUMERS} by={by} /> : <ConsumersTogether {...props} />;
}

function ConsumersTogether(props: ViewProps) {
  const { filters, period, live, gateways, params } = props;
  const zone = useZone();
  const entities = useEntities(props, CONSUMERS.keys);
  const pairs = useQuery<Summary>(endpoint('summary', period, filters, { group_by: ['consumer', 'route'], limit: MOST }), scopeOf(props), period.refreshTick);
  const routes = useMemo(() => routesByConsumer(pairs.data), [pairs.data]);
  const groups = useMemo(() => groupsOf(entities.all), [entities.all]);
  // The list is whole without it, so a failure is not reported.
  const consumers = useConsumers(filters, period.refreshTick);
  const seen = useMemo(() => seenOf(consumers.data?.rows ?? []), [consumers.data]);
  const empty = entities.all?.length === 0 && !entities.outdated;

  const when = (id: 'first' | 'last', label: string): Column => ({
    id,
    label,
    title: `Start of the ${id} ${entities.step === 60 ? 'minute' : `${entities.step / 60} minutes`} of this period with a request`,
    value: ({ active }) => active?.[id] ?? 0,
    cell: ({ active }) => (active ? shortMoment(Math.max(active[id], period.from), zone) : NONE),
  });
  const top: Column = {
    id: 'routes',
    label: 'Routes',
    title: 'Number of routes called, and the busiest one',
    value: ({ row }) => routes.get(row.consumer ?? '')?.length ?? 0,
    cell: ({ row }) => {
      const own = routes.get(row.consumer ?? '') ?? [];
      return own[0] === undefined ? (
        NONE
      ) : (
        <>
          {own.length} <span className="faint mono">{wordOf(own[0].route)}</span>
        </>
      );
    },
    more: ({ row }) => (routes.get(row.consumer ?? '') ?? []).slice(0, 8).map(({ route, requests: n }) => `${wordOf(route)}: ${n}`).join('\n'),
  };
  const group: Column = {
    id: 'group',
    label: 'Group',
    title: 'Group of the consumer',
    value: ({ row }) => groups.indexOf(row.consumer_group ?? ''),
    cell: ({ row }) => (row.consumer_group ? <GroupName group={row.consumer_group} /> : NONE),
  };
  return (
    <div className={layoutStyles.view}>
      <h1 className="unseen">{VIEWS.consumers.title}</h1>
      <DataState
        queries={[...entities.queries, pairs]}
        needed={entities.needed}
        empty={empty ? <Empty filters={filters} period={period} gateways={gateways.data} /> : null}
        live={live}
      >
        <Movers all={entities.all} previous={period.previous.label} outdated={entities.outdated} />
        <EntityTable
          {...CONSUMERS}
          entities={entities}
          columns={[...(groups.length > 0 ? [group] : []), requests, share, errors, client, p95, top, when('first', 'First'), when('last', 'Last'), bytes]}
          params={params}
          newsOf={(entity) => {
            const standing = standingOf(entity, seen.get(entity.row.consumer ?? ''), period.from);
            return standing && { word: standing, meaning: STANDINGS[standing] };
          }}
        />
        <p className={cardStyles.note}>
          {Object.entries(STANDINGS).map(([word, meaning]) => (
            <span key={word}>
              <i>{word}</i>: {meaning.toLowerCase()}.{' '}
            </span>
          ))}
          <Link to={addressOf('directory')}>Names and groups of consumers</Link>
        </p>
      </DataState>
    </div>
  );
}

/** The groups that are known, in order. */
function groupsOf(all: Entity[] | undefined): string[] {
  return [...new Set((all ?? []).flatMap(({ row }) => row.consumer_group ?? []))].toSorted();
}

/** The routes of each consumer, the most called first. */
function routesByConsumer(answer: Summary | undefined): Map<string, { route: string; requests: number }[]> {
  const found = new Map<string, { route: string; requests: number }[]>();
  for (const { consumer = '', route = '', requests: n } of (answer?.rows ?? []).toSorted((a, b) => b.requests - a.requests)) {
    found.set(consumer, [...(found.get(consumer) ?? []), { route, requests: n }]);
  }
  return found;
}
