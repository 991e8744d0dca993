// Errors by anything: counts beside rates, and a link to the requests concerned.

import { useId, type ReactNode } from 'react';
import { classes } from '../classes';
import { exact, percent, tally } from '../format';
import { Compared } from './compared';
import { Link } from './link';
import { useShowAll } from './show-all';
import { Waiting } from './waiting';
import cardStyles from './card.module.css';
import tableStyles from './table.module.css';
import styles from './error-table.module.css';

export interface ErrorRow {
  key: string;
  name: ReactNode;
  /** Beside the name. */
  aside?: ReactNode;
  requests: number;
  /** In the stretch before, where the view compares. */
  before?: number | undefined;
  /** All errors of the table. */
  of: number;
  /** Share of all requests of this name that are errors, where it is known. */
  rate?: number;
  /** The address of its requests. */
  to: string;
}

interface ErrorTableProps {
  title: string;
  subject: string;
  /** `undefined` until the first response. */
  rows: ErrorRow[] | undefined;
  outdated: boolean;
  /** What is counted. */
  words: string;
  note?: string;
}

const FEW = 8;

export function ErrorTable({ title, subject, rows, outdated, words, note }: ErrorTableProps) {
  const headline = useId();
  const hasRates = rows?.some(({ rate }) => rate !== undefined) ?? false;
  const { shown, button } = useShowAll(rows ?? [], FEW);
  return (
    <section className={classes(cardStyles.card, styles.errors)} aria-labelledby={headline} aria-busy={outdated}>
      <header className={cardStyles.head}>
        <h2 id={headline}>{title}</h2>
      </header>
      {rows === undefined ? (
        <Waiting rows={4} />
      ) : shown.length === 0 ? (
        <p className={cardStyles.note}>None in this period.</p>
      ) : (
        <table className={classes(tableStyles.table, outdated && 'outdated')}>
          <thead>
            <tr>
              <th scope="col">{subject}</th>
              <th scope="col" className={tableStyles.number}>
                {words}
              </th>
              <th scope="col" className={tableStyles.number} title={`Share of all ${words.toLowerCase()} of this table`}>
                Share
              </th>
              {hasRates && (
                <th scope="col" className={tableStyles.number} title={`Share of the requests in this row that are ${words.toLowerCase()}`}>
                  Rate
                </th>
              )}
            </tr>
          </thead>
          <tbody>
            {shown.map(({ key, name, aside, requests, before, of, rate, to }) => (
              <tr key={key}>
                <th scope="row">
                  <span className={styles.name}>{name}</span>
                  {aside && <span className={styles.aside}>{aside}</span>}
                </th>
                <td className={tableStyles.number}>
                  <Compared before={before === undefined ? undefined : tally(before)}>
                    <Link to={to} title={`View ${exact(requests)} requests`}>
                      {tally(requests)}
                    </Link>
                  </Compared>
                </td>
                <td className={tableStyles.number}>{percent(of === 0 ? 0 : requests / of)}</td>
                {hasRates && <td className={tableStyles.number}>{rate === undefined ? '–' : percent(rate)}</td>}
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {button}
      {note && <p className={cardStyles.note}>{note}</p>}
    </section>
  );
}
