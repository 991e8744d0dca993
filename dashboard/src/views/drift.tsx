// Changes of shape: routes and fields that are new, other than before, or gone.

import { NativeSelect } from '@mantine/core';
import { BREAKING, changeKey, driftPath, KINDS, unusedOf, type Change, type Drift } from '../drift';
import { classes } from '../classes';
import { clock } from '../format';
import { addressOf, patch } from '../location';
import { usePages } from '../pages';
import { DataState } from '../parts/data-state';
import { RouteLink } from '../parts/labels';
import { Link } from '../parts/link';
import { MoreRows } from '../parts/more-rows';
import { OpenApiComparison } from '../parts/openapi-comparison';
import { ScrollTable } from '../parts/scroll-table';
import { Tag } from '../parts/tag';
import { useQuery } from '../query';
import { searchOfRequest } from '../search';
import { useZone } from '../zone';
import { VIEWS } from './facts';
import { scopeOf, type ViewProps } from './view';
import cardStyles from '../parts/card.module.css';
import layoutStyles from '../parts/layout.module.css';
import styles from './drift.module.css';

export function DriftView(props: ViewProps) {
  const { filters, period, live, params } = props;
  const kind = params.get('kind');
  const path = driftPath(period, filters, kind);
  const query = useQuery<Drift>(path, `${scopeOf(props)} ${kind}`, period.refreshTick);
  const pages = usePages(query.data, path, changeKey);
  const unused = unusedOf(filters);
  const isEmpty = pages.rows?.length === 0;
  return (
    <div className={layoutStyles.view}>
      <DataState queries={[query]} needed={[query]} empty={null} live={live}>
        <section className={classes(cardStyles.card, query.outdated && 'outdated')} data-drift aria-busy={!query.data}>
          <header className={cardStyles.head}>
            <h1 className={styles.title}>{VIEWS.drift.title}</h1>
            <span className={cardStyles.aside}>Routes, and fields of captured bodies after redaction</span>
            <span className={cardStyles.actions}>
              <NativeSelect
                size="xs"
                aria-label="Kind of change"
                value={kind ?? ''}
                onChange={(event) => patch({ kind: event.currentTarget.value || null })}
                data={[{ value: '', label: 'all kinds' }, ...Object.entries(KINDS).map(([value, label]) => ({ value, label }))]}
              />
            </span>
          </header>
          {unused.length > 0 && <p className={cardStyles.note}>These filters do not apply here: {unused.join(', ')}.</p>}
          {isEmpty && (
            <p className={cardStyles.note}>
              No change in this period{kind === null ? '' : ' of this kind'}. Fields are learned from bodies, so gateways must capture some: see <code>capture</code> in the configuration.
            </p>
          )}
          {pages.rows !== undefined && !isEmpty && (
            <ScrollTable label="Changes" columns={['Time', 'Change', 'Route', 'Body', 'Field', 'Before → after', 'Release', { title: 'Request', look: 'unseen' }]}>
              {pages.rows.map((change) => (
                <Row key={changeKey(change)} change={change} />
              ))}
            </ScrollTable>
          )}
          <MoreRows pages={pages} />
        </section>
      </DataState>
      <OpenApiComparison filters={filters} />
    </div>
  );
}

function Row({ change }: { change: Change }) {
  const zone = useZone();
  const { time, kind, method, route, message, status, field, before, after, version, service, environment } = change;
  const search = searchOfRequest(change);
  return (
    <tr data-kind={kind}>
      <td>
        <time dateTime={time}>{clock(time, zone)}</time>
      </td>
      <td>
        <Tag tone={BREAKING.has(kind) ? 'warning' : 'plain'} title={BREAKING.has(kind) ? 'It may break clients' : undefined}>
          {KINDS[kind]}
        </Tag>
      </td>
      <td className={styles.route} title={`${service}, ${environment}`}>
        <RouteLink method={method} route={route} />
      </td>
      <td>{message === null ? '' : `${message} ${status}`}</td>
      <td className={classes('mono', styles.field)} title={field ?? undefined}>
        {field === '' ? 'whole body' : field}
      </td>
      <td className={styles.values}>
        {before !== null && <span>{before}</span>}
        {before !== null && after !== null && ' → '}
        {after !== null && <span>{after}</span>}
      </td>
      <td>{version ?? ''}</td>
      <td>{search !== undefined && <Link to={addressOf('requests', { q: search })}>View request</Link>}</td>
    </tr>
  );
}
