import { Skeleton } from '@mantine/core';
import { useId, useState, type ReactNode } from 'react';
import type { Row } from '../api';
import { classes } from '../classes';
import { exact, NONE, percent, tally } from '../format';
import { ESTIMATED, percentile } from '../percentile';
import { worsening } from '../compare';
import { ByChoice, Compared, valueBy, type By } from './compared';
import { useShowAll } from './show-all';
import { Heading, sortedBy, type Order } from './sort';
import cardStyles from './card.module.css';
import rankStyles from './rank.module.css';
import tableStyles from './table.module.css';

export interface RankTableProps {
  title: string;
  /** Heading of the first column. */
  subject: string;
  /** `undefined` until the first response. */
  rows: Row[] | undefined;
  outdated: boolean;
  /** Whether the API has more rows. */
  more?: boolean | undefined;
  /** Columns beside those of every table. */
  extra?: Column[];
  /** Shown in place of the rows. */
  none?: ReactNode;
  keyOf: (row: Row) => string;
  nameOf: (row: Row) => ReactNode;
  /** Beside the title, such as a link to the full list. */
  aside?: ReactNode;
}

export interface Column {
  id: string;
  label: string;
  title: string;
  value: (row: Row) => number;
  text: (row: Row) => string;
}

const COLUMNS: Column[] = [
  { id: 'requests', label: 'Requests', title: 'Requests', value: (row) => row.requests, text: (row) => tally(row.requests) },
  { id: 'errors', label: 'Errors', title: 'Share of requests with status 5xx or no response', value: errorShare, text: (row) => percent(errorShare(row)) },
  { id: 'p50', label: 'p50', title: 'Median duration: half of the requests were faster', value: (row) => row.p50_ms ?? -1, text: (row) => percentile(row, row.p50_ms) },
  { id: 'p95', label: 'p95', title: '95 % of the requests were faster', value: (row) => row.p95_ms ?? -1, text: (row) => percentile(row, row.p95_ms) },
  { id: 'p99', label: 'p99', title: '99 % of the requests were faster', value: (row) => row.p99_ms ?? -1, text: (row) => percentile(row, row.p99_ms) },
];

const FEW = 8;

/** The busiest, slowest or most failing routes or consumers: sortable by any column, with bars for requests. */
export function RankTable({ title, subject, rows, outdated, more, extra = [], none, keyOf, nameOf, aside }: RankTableProps) {
  const [order, setOrder] = useState<Order>({ id: 'requests', descending: true });
  const [chosen, setBy] = useState<By>();
  const headline = useId();
  const columns = [...COLUMNS, ...extra];
  const column = columns.find(({ id }) => id === order.id);
  const compared = rows?.some(({ before }) => before !== undefined) ?? false;
  const hasEstimates = rows?.some(({ estimated }) => estimated) ?? false;
  const by = compared ? (chosen ?? 'worse') : 'value';
  const sorted = by === 'worse' ? sortedBy(rows ?? [], WORST, (row) => (row.before ? worsening(row, row.before) : 0), keyOf) : sortedBy(rows ?? [], order, valueBy(by, column?.value, (row) => row.before), keyOf);
  const most = Math.max(1, ...sorted.map((row) => row.requests));
  const { shown, button } = useShowAll(sorted, FEW);
  const shownOrder = by === 'worse' ? WORST : order;
  const onOrder = (next: Order) => {
    setOrder(next);
    if (by === 'worse') setBy('change');
  };

  return (
    <section className={classes(cardStyles.card, rankStyles.rank, compared && rankStyles.compared, hasEstimates && rankStyles.estimated)} aria-labelledby={headline} aria-busy={outdated}>
      <header className={cardStyles.head}>
        <h2 id={headline}>{title}</h2>
        {rows && <span className={cardStyles.aside}>{rows.length > FEW ? `${shown.length} of ${more ? 'more than ' : ''}${exact(rows.length)}` : ''}</span>}
        {compared && <ByChoice by={by} label={`Order of ${title.toLowerCase()}`} onBy={setBy} />}
        {aside}
      </header>
      {none ?? (
        <table className={classes(tableStyles.table, outdated && 'outdated')}>
          <thead>
            <tr>
              <Heading id="name" label={subject} help={`Sort by ${subject.toLowerCase()}`} first="ascending" order={shownOrder} onOrder={onOrder} />
              {columns.map(({ id, label, title: help }) => (
                <Heading key={id} id={id} label={label} help={help} first="descending" order={shownOrder} onOrder={onOrder} />
              ))}
            </tr>
          </thead>
          <tbody>
            {rows === undefined
              ? Array.from({ length: FEW }, (_, index) => (
                  <tr key={index}>
                    <td colSpan={columns.length + 1}>
                      <Skeleton height={14} my={4} width={`${90 - index * 6}%`} />
                    </td>
                  </tr>
                ))
              : shown.map((row) => (
                  <tr key={keyOf(row)}>
                    <th scope="row">{nameOf(row)}</th>
                    {columns.map(({ id, text }) => (
                      <td key={id} className={classes(tableStyles.number, id === 'requests' && tableStyles.barred)} data-col={id} {...(id === 'errors' ? { 'data-level': levelOf(errorShare(row)) } : {})}>
                        {id === 'requests' && <i className={tableStyles.bar} style={{ '--share': row.requests / most }} />}
                        <span title={id === 'requests' ? exact(row.requests) : id === 'errors' ? `${exact(row.errors)} of ${exact(row.requests)}` : undefined}>
                          <Compared before={row.before && text(row.before)}>{text(row)}</Compared>
                        </span>
                      </td>
                    ))}
                  </tr>
                ))}
          </tbody>
        </table>
      )}
      {hasEstimates && <p className={cardStyles.note}>{ESTIMATED}</p>}
      {none === undefined && button}
    </section>
  );
}

/** No column: see `worsening`. */
export const WORST: Order = { id: 'worse', descending: true };

/** Times that a request was sent to an upstream, on average. */
export function attemptsOf(row: Pick<Row, 'attempts' | 'requests'>): number {
  return row.requests === 0 ? 0 : row.attempts / row.requests;
}

/** Nothing where no gateway reports attempts. */
export function attemptsText(row: Pick<Row, 'attempts' | 'requests'>): string {
  return row.attempts === 0 ? NONE : attemptsOf(row).toFixed(2);
}

export const ATTEMPTS: Column = {
  id: 'attempts',
  label: 'Attempts',
  title: 'Times that a request was sent to an upstream, on average. More than 1: the gateway retried',
  value: attemptsOf,
  text: attemptsText,
};

export function errorShare(row: Pick<Row, 'errors' | 'requests'>): number {
  return row.requests === 0 ? 0 : row.errors / row.requests;
}

/** How prominent a share of errors is. */
export function levelOf(share: number): 'none' | 'some' | 'many' {
  if (share === 0) return 'none';
  return share < 0.05 ? 'some' : 'many';
}
