// Error issues: failed requests in groups, what is known of one, and the decision about it.

import { NativeSelect } from '@mantine/core';
import type { Issue, IssueDetail, Issues } from '../api';
import { endpoint } from '../api';
import { exact } from '../format';
import { OPEN, STATES, type State } from '../issues';
import { addressOf, patchInPlace } from '../location';
import { usePages } from '../pages';
import { DataState } from '../parts/data-state';
import { Empty } from '../parts/empty';
import { IssueCard } from '../parts/issue-card';
import { IssueTable } from '../parts/issue-table';
import { Link } from '../parts/link';
import { MoreRows } from '../parts/more-rows';
import { useQuery } from '../query';
import { widened } from '../span';
import { VIEWS } from './facts';
import { scopeOf, type ViewProps } from './view';
import cardStyles from '../parts/card.module.css';
import layoutStyles from '../parts/layout.module.css';
import styles from '../parts/issues.module.css';

const HOUR = 3600;

const ORDERS = [
  { value: 'last_seen', label: 'last seen' },
  { value: 'first_seen', label: 'first seen' },
  { value: 'requests', label: 'requests' },
  { value: 'consumers', label: 'consumers' },
];

export function IssuesView(props: ViewProps) {
  const { filters, period, live, gateways, params } = props;
  const chosen = STATES.find((state) => state === params.get('state'));
  const order = ORDERS.find(({ value }) => value === params.get('order'))?.value ?? 'last_seen';
  const wanted = params.get('state') === 'all' ? undefined : (chosen ?? OPEN.join(','));
  // The API widens the period to whole hours. With times of a refresh each path would be another one, and further pages lost.
  const path = endpoint('issues', widened(period, HOUR), filters, { sort: order, ...(wanted === undefined ? {} : { state: wanted }) });
  const scope = `${scopeOf(props)} ${order} ${wanted}`;
  const query = useQuery<Issues>(path, scope, period.refreshTick);
  const pages = usePages<Issue>(query.data, path, ({ id }) => id);
  const open = params.get('open');
  const detail = useQuery<IssueDetail>(open === null ? null : `/api/v1/issues/${encodeURIComponent(open)}`, open ?? '', period.refreshTick);
  const total = query.data && Object.values(query.data.states).reduce((sum, count) => sum + count, 0);
  const empty = total === 0 && !query.outdated && Object.keys(filters).length > 0;

  return (
    <div className={layoutStyles.view}>
      <h1 className="unseen">{VIEWS.issues.title}</h1>
      <DataState queries={open === null ? [query] : [query, detail]} needed={[query]} empty={empty ? <Empty filters={filters} period={period} gateways={gateways.data} /> : null} live={live}>
        {open !== null && detail.data && !detail.outdated && <IssueCard detail={detail.data} refresh={live.refresh} />}
        <section className={cardStyles.card} aria-labelledby="issues" aria-busy={query.outdated}>
          <header className={cardStyles.head}>
            <h2 id="issues">Issues</h2>
            <States counts={query.data?.states} chosen={params.get('state') === 'all' ? 'all' : chosen} />
            <NativeSelect className={styles.order} size="xs" aria-label="Order" value={order} data={ORDERS} onChange={(event) => patchInPlace({ order: event.currentTarget.value })} />
          </header>
          <IssueTable rows={pages.rows} outdated={query.outdated} open={open} />
          {pages.rows?.length === 0 && <p className={cardStyles.note}>{total === 0 ? 'No request failed in this period.' : 'No issue is in this state.'}</p>}
          <MoreRows pages={pages} />
        </section>
      </DataState>
    </div>
  );
}

/** The states as links, with the number of issues in each. */
function States({ counts, chosen }: { counts: Issues['states'] | undefined; chosen: State | 'all' | undefined }) {
  const sum = (states: readonly State[]) => counts && states.reduce((total, state) => total + counts[state], 0);
  const choices = [
    { name: 'open', state: null, count: sum(OPEN), current: chosen === undefined },
    ...STATES.map((state) => ({ name: state, state, count: counts?.[state], current: chosen === state })),
    { name: 'all', state: 'all', count: sum(STATES), current: chosen === 'all' },
  ];
  return (
    <nav className={styles.states} aria-label="States">
      {choices.map(({ name, state, count, current }) => (
        <Link key={name} to={addressOf('issues', { state, open: null })} aria-current={current ? 'true' : undefined}>
          {name} <span>{count === undefined ? '' : exact(count)}</span>
        </Link>
      ))}
    </nav>
  );
}
