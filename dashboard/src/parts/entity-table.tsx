// The full list of routes or consumers. Search and order are kept in the address.

import { Button, Skeleton } from '@mantine/core';
import { useId, type ReactNode } from 'react';
import type { Row } from '../api';
import { classes } from '../classes';
import { worsening } from '../compare';
import type { Entities, Entity } from '../entities';
import { bytes, exact, NONE, percent, tally } from '../format';
import { ESTIMATED, percentile } from '../percentile';
import { patchInPlace } from '../location';
import { byOf, ByChoice, Compared, valueBy } from './compared';
import { meaningOf } from './labels';
import { isFound, ListSearch, searchOf } from './list-search';
import { attemptsOf, attemptsText, errorShare, levelOf, WORST } from './rank-table';
import { Heading, orderOf, orderText, sortedBy } from './sort';
import { Spark } from './spark';
import { Tag } from './tag';
import cardStyles from './card.module.css';
import rankStyles from './rank.module.css';
import tableStyles from './table.module.css';
import styles from './entity-table.module.css';

export interface Column {
  id: string;
  label: string;
  title: string;
  /** Shown below the table as long as the column is. */
  note?: string;
  /** The value that the column is sorted by. */
  value: (entity: Entity) => number;
  cell: (entity: Entity) => ReactNode;
  /** A title of the cell, if it adds to the cell. */
  more?: (entity: Entity) => string;
  level?: (entity: Entity) => 'none' | 'some' | 'many';
  /** Whether it is shown beside that of the stretch before. */
  compared?: true;
}

/** A word beside a name, and its meaning. */
export interface News {
  word: string;
  meaning: string;
}

export interface EntityTableProps {
  title: string;
  /** Heading of the first column. */
  subject: string;
  entities: Entities;
  columns: Column[];
  params: URLSearchParams;
  /** The row as text, for search and order. */
  textOf: (row: Row) => string;
  nameOf: (row: Row) => ReactNode;
  /** The words for an entity that is new or inactive, in place of those. */
  newsOf?: (entity: Entity) => News | undefined;
  /** The name as in the API; special names are explained below the table. */
  specialOf: (row: Row) => string;
}

export function EntityTable({ title, subject, entities, columns: everyColumn, params, textOf, nameOf, newsOf = wordsOf, specialOf }: EntityTableProps) {
  const id = useId();
  const search = searchOf(params);
  const order = orderOf(params.get('sort'), ['name', ...everyColumn.map(({ id }) => id)], { id: 'requests', descending: true });
  const all = entities.all ?? [];
  const compared = all.some(({ before }) => before !== undefined);
  const columns = everyColumn.filter((column) => !compared || column.compared);
  const by = compared ? byOf(params.get('by')) : 'value';
  const value = by === 'worse' ? worseningOf : valueBy(by, columns.find(({ id }) => id === order.id)?.value, (entity) => entity.before);
  const shownOrder = by === 'worse' ? WORST : order;
  const found = sortedBy(all.filter(({ row }) => isFound(textOf(row), search)), shownOrder, value, ({ row }) => textOf(row));
  const hasEstimates = all.some(({ row }) => row.estimated);
  const most = Math.max(1, ...all.map(({ row }) => row.requests));
  const onOrder = (next: typeof order) => patchInPlace({ sort: orderText(next), ...(by === 'worse' && { by: 'change' }) });
  return (
    <section className={classes(cardStyles.card, rankStyles.rank, styles.entities, hasEstimates && rankStyles.estimated, compared && classes(rankStyles.compared, styles.compared))} aria-labelledby="entities" aria-busy={entities.outdated}>
      <header className={cardStyles.head}>
        <h2 id="entities">{title}</h2>
        <span className={cardStyles.aside} role="status">
          {entities.all && (found.length === all.length ? exact(all.length) : `${exact(found.length)} of ${exact(all.length)}`)}
          {entities.more && ' with the most requests'}
        </span>
        {compared && <ByChoice by={by} label={`Order of ${title.toLowerCase()}`} onBy={(next) => patchInPlace({ by: next === 'worse' ? null : next })} />}
        <ListSearch className={styles.search} title={title} search={search} />
      </header>
      <table className={classes(tableStyles.table, entities.outdated && 'outdated')}>
        <thead>
          <tr>
            <Heading id="name" label={subject} help={`Sort by ${subject.toLowerCase()}`} first="ascending" order={shownOrder} onOrder={onOrder} />
            {columns.map(({ id: column, label, title: help, note }) => (
              <Heading key={column} id={column} label={label} help={help} describedBy={note && `${id}${column}`} first="descending" order={shownOrder} onOrder={onOrder} />
            ))}
            <th scope="col" data-col="trend">
              Trend
            </th>
          </tr>
        </thead>
        <tbody>
          {entities.all === undefined
            ? Array.from({ length: 10 }, (_, index) => (
                <tr key={index}>
                  <td colSpan={columns.length + 2}>
                    <Skeleton height={14} my={4} width={`${92 - index * 4}%`} />
                  </td>
                </tr>
              ))
            : found.map((entity) => (
                <tr key={entity.key} className={entity.news === 'inactive' ? styles.inactive : undefined}>
                  <th scope="row">
                    <span className={styles.entity}>
                      {nameOf(entity.row)}
                      <NewsTag entity={entity} news={newsOf(entity)} />
                    </span>
                  </th>
                  {columns.map(({ id: column, cell, more, level }) => (
                    <td key={column} className={classes(tableStyles.number, column === 'requests' && tableStyles.barred)} data-col={column} title={more?.(entity)} data-level={level?.(entity)}>
                      {column === 'requests' && <i className={tableStyles.bar} style={{ '--share': entity.row.requests / most }} />}
                      <span>
                        <Compared before={entity.before && cell(entity.before)}>{cell(entity)}</Compared>
                      </span>
                    </td>
                  ))}
                  <td data-col="trend">{entity.trend && <Spark values={joined(entity.trend)} label={`Requests over time, at most ${exact(Math.max(...joined(entity.trend)))} per step`} />}</td>
                </tr>
              ))}
        </tbody>
      </table>
      {entities.all !== undefined && found.length === 0 && <p className={cardStyles.note}>No match for “{search}”.</p>}
      {columns.map(({ id: column, note }) => note && (
        <p key={column} id={`${id}${column}`} className={cardStyles.note} data-note={column}>
          {note}
        </p>
      ))}
      {hasEstimates && <p className={cardStyles.note}>{ESTIMATED}</p>}
      <Explained names={found.map(({ row }) => specialOf(row))} />
      {entities.more && (
        <footer className={cardStyles.foot} data-more>
          {entities.onMore ? (
            <Button size="xs" variant="default" loading={entities.outdated} onClick={entities.onMore}>
              Load more
            </Button>
          ) : (
            <span className={cardStyles.aside}>There are more. Add a filter to list them.</span>
          )}
        </footer>
      )}
    </section>
  );
}

function wordsOf({ news }: Entity): News | undefined {
  return news && { word: news, meaning: news === 'new' ? 'No requests in the previous period' : 'Requests in the previous period, none in this one' };
}

function NewsTag({ entity, news }: { entity: Entity; news: News | undefined }) {
  return (
    news && (
      <Tag tone={entity.news === 'inactive' ? 'inactive' : 'plain'} title={news.meaning}>
        {news.word}
      </Tag>
    )
  );
}

/** Explains the special names of the table below it. */
function Explained({ names }: { names: string[] }) {
  const special = [...new Set(names)].filter((name) => meaningOf(name) !== undefined);
  return special.map((name) => (
    <p key={name} className={cardStyles.note}>
      <i>{name.replaceAll('_', '')}</i>: {meaningOf(name)}
    </p>
  ));
}

/** Adds up neighbours of a trend that has more values than fit. */
function joined(trend: number[]): number[] {
  const group = Math.ceil(trend.length / 32);
  return Array.from({ length: Math.ceil(trend.length / group) }, (_, index) => trend.slice(index * group, (index + 1) * group).reduce((a, b) => a + b, 0));
}

function worseningOf({ row, before }: Entity): number {
  return before ? worsening(row, before.row) : 0;
}

/** Columns that routes and consumers share. */
export const COLUMNS = {
  requests: { id: 'requests', label: 'Requests', title: 'Requests', compared: true, value: ({ row }) => row.requests, cell: ({ row }) => tally(row.requests), more: ({ row }) => exact(row.requests) },
  share: { id: 'share', label: 'Share', title: 'Share of all requests', value: ({ share }) => share, cell: ({ share }) => percent(share) },
  errors: {
    id: 'errors',
    label: 'Errors',
    title: 'Share of requests with status 5xx or no response',
    compared: true,
    value: ({ row }) => errorShare(row),
    cell: ({ row }) => percent(errorShare(row)),
    more: ({ row }) => `${exact(row.errors)} of ${exact(row.requests)}`,
    level: ({ row }) => levelOf(errorShare(row)),
  },
  client: {
    id: 'client',
    label: '4xx',
    title: 'Share of requests with status 4xx',
    compared: true,
    value: ({ row, client }) => (row.requests === 0 ? 0 : (client ?? 0) / row.requests),
    cell: ({ row, client }) => (client === undefined ? NONE : percent(row.requests === 0 ? 0 : client / row.requests)),
    more: ({ row, client }) => `${exact(client ?? 0)} of ${exact(row.requests)}`,
    level: ({ client }) => ((client ?? 0) === 0 ? 'none' : 'some'),
  },
  p50: latency('p50', 'Median duration: half of the requests were faster', ({ row }) => row.p50_ms),
  p95: latency('p95', '95 % of the requests were faster', ({ row }) => row.p95_ms),
  p99: latency('p99', '99 % of the requests were faster', ({ row }) => row.p99_ms),
  upstream: {
    ...latency('upstream', '95th percentile of the upstream duration, of requests that reached an upstream', ({ row }) => row.upstream_p95_ms, 'Upstream p95'),
    more: ({ row }) => (row.upstream_requests === undefined ? '' : `${exact(row.upstream_requests)} of ${exact(row.requests)} requests reached an upstream`),
    note: 'Upstream p95: of requests that reached an upstream. The other percentiles are of all requests, so Upstream p95 is not a part of p95 and can be higher.',
  },
  attempts: {
    id: 'attempts',
    label: 'Attempts',
    title: 'Times that a request was sent to an upstream, on average. More than 1: the gateway retried; less: some requests reached none',
    value: ({ row }) => attemptsOf(row),
    cell: ({ row }) => attemptsText(row),
    more: ({ row }) => `${exact(row.attempts)} attempts for ${exact(row.requests)} requests`,
    level: ({ row }) => (row.attempts > row.requests ? 'some' : 'none'),
  },
  bytes: {
    id: 'bytes',
    label: 'Data out',
    title: 'Bytes of response bodies',
    value: ({ row }) => row.response_bytes,
    cell: ({ row }) => bytes(row.response_bytes),
    more: ({ row }) => `${bytes(row.request_bytes)} in`,
  },
} satisfies Record<string, Column>;

function latency(id: string, title: string, pick: (entity: Entity) => number | null, label = id): Column {
  return { id, label, title, compared: true, value: (entity) => pick(entity) ?? -1, cell: (entity) => percentile(entity.row, pick(entity)) };
}
