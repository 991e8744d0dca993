// Traffic by the host that clients asked for, by the upstream cluster behind the gateway, and by gateway.

import type { ReactNode } from 'react';
import { endpoint, type Row, type Summary } from '../api';
import { comparedWith, countedSpan } from '../compare';
import { DataState } from '../parts/data-state';
import { Empty } from '../parts/empty';
import { FilterName } from '../parts/labels';
import { ATTEMPTS, RankTable } from '../parts/rank-table';
import { useQuery, type Query } from '../query';
import { VIEWS } from './facts';
import { scopeOf, type ViewProps } from './view';
import cardStyles from '../parts/card.module.css';
import layoutStyles from '../parts/layout.module.css';

type By = 'host' | 'upstream_cluster' | 'gateway';

export function HostsView(props: ViewProps) {
  const { filters, period, comparison, live, gateways } = props;
  const scope = scopeOf(props);
  const ask = (by: By) => endpoint('summary', countedSpan(props), filters, { group_by: [by], ...comparedWith(comparison) });
  const hosts = useQuery<Summary>(ask('host'), scope, period.refreshTick);
  const clusters = useQuery<Summary>(ask('upstream_cluster'), scope, period.refreshTick);
  const senders = useQuery<Summary>(ask('gateway'), scope, period.refreshTick);
  const queries = [hosts, clusters, senders];
  const empty = hosts.data?.rows.length === 0 && !hosts.outdated;
  return (
    <div className={layoutStyles.view}>
      <h1 className="unseen">{VIEWS.hosts.title}</h1>
      <DataState queries={queries} needed={queries} empty={empty ? <Empty filters={filters} period={period} gateways={gateways.data} /> : null} live={live}>
        <Split title="Hosts" by="host" query={hosts} off={<NotCounted what="hosts" option="counters.host" />} />
        <Split title="Upstream clusters" by="upstream_cluster" query={clusters} off={<NotCounted what="upstream clusters" option="counters.upstream" />} />
        <Split title="Gateways" by="gateway" query={senders} off={<p className={cardStyles.note}>The gateways of these counts are not known: they were stored before the ingest kept them apart.</p>} />
        {senders.data?.gateways_since && <p className={cardStyles.note}>Gateways are known since {senders.data.gateways_since}. Earlier counts are not in the last table.</p>}
      </DataState>
    </div>
  );
}

interface SplitProps {
  title: string;
  by: By;
  query: Query<Summary>;
  /** Shown if no row has a name. */
  off: ReactNode;
}

function Split({ title, by, query, off }: SplitProps) {
  const { data, outdated } = query;
  const isOff = data !== undefined && data.rows.length > 0 && data.rows.every((row) => !row[by]);
  const nameOf = (row: Row) => (row[by] ? <FilterName filter={by} value={row[by]} /> : <i className="faint">not known</i>);
  return (
    <RankTable
      title={title}
      subject={SUBJECTS[by]}
      rows={data?.rows}
      outdated={outdated}
      more={data?.next !== undefined}
      extra={[ATTEMPTS]}
      none={isOff ? off : undefined}
      keyOf={(row) => row[by] ?? ''}
      nameOf={nameOf}
    />
  );
}

const SUBJECTS: Record<By, string> = { host: 'Host', upstream_cluster: 'Cluster', gateway: 'Gateway' };

function NotCounted({ what, option }: { what: string; option: string }) {
  return (
    <p className={cardStyles.note} data-off={option}>
      The gateways do not count {what} apart. Set <code>{option}</code> in their configuration to true. The request log always has them.
    </p>
  );
}
