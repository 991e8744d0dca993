// Groups by row and the values of a dimension by column, one measure at a time.

import { NativeSelect } from '@mantine/core';
import { useId, useState, type ReactNode } from 'react';
import type { Row } from '../api';
import { classes } from '../classes';
import { exact, NONE, percent, tally } from '../format';
import { ESTIMATED, percentile } from '../percentile';
import { requestsOf, type Groups, type Names, type SplitRow } from '../split';
import { Compared } from './compared';
import { isFound, ListSearch } from './list-search';
import { errorShare } from './rank-table';
import { useShowAll } from './show-all';
import { Heading, sortedBy, type Order } from './sort';
import { Waiting } from './waiting';
import cardStyles from './card.module.css';
import scrollStyles from './scroll-table.module.css';
import tableStyles from './table.module.css';
import styles from './split-table.module.css';

export type Side = 'now' | 'before';

/** What the cells show. */
export interface Measure {
  id: string;
  label: string;
  /** The value of a row under a name, now or in the stretch before; `null` where nothing is known. */
  value: (row: SplitRow, name: string, side: Side) => number | null;
  /** The value of a cell as text. */
  text: (value: number, cell: Row | undefined) => string;
  /** How far the values of a row are apart. */
  apart: 'times' | 'points';
  /** Whether the largest value is the worst. */
  worst?: true;
  /** Whether it is an estimate where other senders have counted. */
  estimated?: true;
}

export const REQUESTS: Measure = { id: 'requests', label: 'Requests', value: ofCell(({ requests }) => requests), text: tally, apart: 'times' };

/** Measures of routes and consumers. */
export const MEASURES: Measure[] = [
  latency('p95', ({ p95_ms }) => p95_ms),
  { id: 'errors', label: 'Errors', value: ofCell((cell) => (cell.requests === 0 ? null : errorShare(cell))), text: percent, apart: 'points', worst: true },
  REQUESTS,
  latency('p50', ({ p50_ms }) => p50_ms),
  latency('p99', ({ p99_ms }) => p99_ms),
];

function latency(id: string, pick: (cell: Row) => number | null): Measure {
  return { id, label: id, value: ofCell(pick), text: (value, cell) => percentile(cell ?? {}, value), apart: 'times', worst: true, estimated: true };
}

/** The row of a name on one side. */
export function cellOf(row: Pick<SplitRow, 'cells'> | undefined, name: string, side: Side): Row | undefined {
  const cell = row?.cells.get(name);
  return side === 'now' ? cell : cell?.before;
}

function ofCell(pick: (cell: Row) => number | null): Measure['value'] {
  return (row, name, side) => {
    const cell = cellOf(row, name, side);
    return cell ? pick(cell) : null;
  };
}

interface SplitTableProps {
  title: string;
  subject: string;
  names: Names;
  groups: Groups;
  measures: Measure[];
  /** The row as text, for search and order. */
  textOf: (row: Row) => string;
  nameOf: (row: Row) => ReactNode;
  /** The text that is searched for, where the table has a search. */
  search?: string;
}

const FEW = 50;

export function SplitTable({ title, subject, names: { by, shown: names, more: moreNames }, groups: { rows, more, outdated }, measures, textOf, nameOf, search }: SplitTableProps) {
  const headline = useId();
  const [measureId, setMeasure] = useState(measures[0]?.id);
  const [order, setOrder] = useState<Order>({ id: 'total', descending: true });
  const measure = measures.find(({ id }) => id === measureId) ?? REQUESTS;
  const found = (rows ?? []).filter(({ first }) => isFound(textOf(first), search ?? ''));
  const sortValue = (row: SplitRow): number => {
    if (order.id === 'total') return requestsOf(row);
    if (order.id === 'apart') return apartOf(measure, row, names) ?? -1;
    return measure.value(row, order.id.slice(COLUMN.length), 'now') ?? -1;
  };
  const sorted = sortedBy(found, order, order.id === 'name' ? undefined : sortValue, ({ first }) => textOf(first));
  const { shown, button } = useShowAll(sorted, FEW);
  const hasEstimates = measure.estimated === true && found.some(({ cells }) => [...cells.values()].some(({ estimated, before }) => estimated === true || before?.estimated === true));
  const label = `${title}, by ${by}`;
  return (
    <section className={cardStyles.card} aria-labelledby={headline} aria-busy={outdated} data-split={title}>
      <header className={classes(cardStyles.head, styles.head)}>
        <h2 id={headline}>{label}</h2>
        <span className={cardStyles.aside} role="status">
          {rows && (found.length === rows.length ? exact(rows.length) : `${exact(found.length)} of ${exact(rows.length)}`)}
          {more && ' with the most requests'}
        </span>
        <span className={cardStyles.actions}>
          <NativeSelect size="xs" aria-label={`Shown of ${title.toLowerCase()}`} value={measure.id} data={measures.map(({ id, label: text }) => ({ value: id, label: text }))} onChange={(event) => setMeasure(event.currentTarget.value)} />
          {search !== undefined && <ListSearch title={title} search={search} />}
        </span>
      </header>
      {rows === undefined ? (
        <Waiting rows={5} />
      ) : found.length === 0 ? (
        <p className={cardStyles.note}>{rows.length === 0 ? 'None in this period.' : `No match for “${search}”.`}</p>
      ) : (
        <div className={scrollStyles.scroll} role="region" aria-label={label} tabIndex={0}>
          <table className={classes(tableStyles.table, styles.split, outdated && 'outdated')} style={{ '--columns': names.length + 1 }}>
            <thead>
              <tr>
                <Heading id="name" label={subject} help={`Sort by ${subject.toLowerCase()}`} first="ascending" order={order} onOrder={setOrder} />
                {names.map((name) => (
                  <Heading key={name} id={`${COLUMN}${name}`} label={name || 'not known'} help={`${measure.label} of ${by} ${name || 'not known'}`} first="descending" order={order} onOrder={setOrder} />
                ))}
                {names.length > 1 && <Heading id="apart" label="Apart" help={measure.apart === 'times' ? 'The largest value as a multiple of the smallest' : 'The largest value minus the smallest'} first="descending" order={order} onOrder={setOrder} />}
              </tr>
            </thead>
            <tbody>
              {shown.map((row) => {
                const apart = apartOf(measure, row, names);
                const worst = measure.worst && isFar(measure, apart) ? worstOf(measure, row, names) : undefined;
                return (
                  <tr key={row.key}>
                    <th scope="row" className={styles.name}>
                      {nameOf(row.first)}
                    </th>
                    {names.map((name) => (
                      <td key={name} className={tableStyles.number} data-name={name} data-level={name === worst ? 'many' : undefined} title={titleOf(row, name)}>
                        <Cell measure={measure} row={row} name={name} />
                      </td>
                    ))}
                    {names.length > 1 && (
                      <td className={classes(tableStyles.number, styles.apart)} data-name="apart">
                        {apart === undefined ? NONE : measure.apart === 'times' ? `× ${times(apart)}` : percent(apart)}
                      </td>
                    )}
                  </tr>
                );
              })}
            </tbody>
          </table>
        </div>
      )}
      {button}
      {hasEstimates && <p className={cardStyles.note}>{ESTIMATED}</p>}
      {moreNames && <p className={cardStyles.note}>The {names.length} with the most requests are side by side. Choose others above.</p>}
    </section>
  );
}

/** Columns of values have names of their own: a service may be called as another column is. */
const COLUMN = 'of ';

function Cell({ measure, row, name }: { measure: Measure; row: SplitRow; name: string }) {
  const text = (side: Side) => {
    const value = measure.value(row, name, side);
    return value === null ? NONE : measure.text(value, cellOf(row, name, side));
  };
  return <Compared before={cellOf(row, name, 'before') && text('before')}>{text('now')}</Compared>;
}

function known(measure: Measure, row: SplitRow, names: string[]): number[] {
  return names.flatMap((name) => measure.value(row, name, 'now') ?? []);
}

/** How far the values of a row are apart; `undefined` where fewer than two are known. */
function apartOf(measure: Measure, row: SplitRow, names: string[]): number | undefined {
  const values = known(measure, row, names);
  if (values.length < 2) return undefined;
  const [least, most] = [Math.min(...values), Math.max(...values)];
  if (measure.apart === 'points') return most - least;
  return least > 0 ? most / least : undefined;
}

/** Differences that are worth a colour. */
function isFar(measure: Measure, apart: number | undefined): boolean {
  return apart !== undefined && apart >= (measure.apart === 'times' ? 1.5 : 0.01);
}

function worstOf(measure: Measure, row: SplitRow, names: string[]): string | undefined {
  const most = Math.max(...known(measure, row, names));
  return names.find((name) => measure.value(row, name, 'now') === most);
}

function titleOf({ cells }: SplitRow, name: string): string {
  const cell = cells.get(name);
  return cell ? `${exact(cell.requests)} requests, ${exact(cell.errors)} errors` : 'No requests';
}

function times(apart: number): string {
  return apart < 10 ? apart.toFixed(1) : exact(Math.round(apart));
}
