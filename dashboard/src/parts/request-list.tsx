// Requests, newest first. The list pauses while somebody reads it.

import { Skeleton } from '@mantine/core';
import { Fragment, type ReactNode } from 'react';
import type { Request } from '../api';
import { classes } from '../classes';
import { clock, milliseconds, NONE } from '../format';
import { patch } from '../location';
import type { PausedList } from '../paused';
import { keyOf } from '../request';
import { useZone } from '../zone';
import { ChevronIcon } from './icons';
import { ConsumerName, MethodName, StatusCode } from './labels';
import { Masked } from './masked';
import { RequestDetail } from './request-detail';
import { Tag } from './tag';
import cardStyles from './card.module.css';
import expandableStyles from './expandable.module.css';
import tableStyles from './table.module.css';
import styles from './request-list.module.css';

export interface RequestListProps {
  title: string;
  list: PausedList;
  /** Rows to keep room for until the first response. */
  expected: number;
  /** At the end of the head. */
  actions?: ReactNode;
  /** Above the rows. */
  head?: ReactNode;
  /** Below the rows. */
  foot?: ReactNode;
  /** Shown if there are no rows. */
  none?: string;
}

export function RequestList({ title, list, expected, actions, head, foot, none }: RequestListProps) {
  const { page, reason, waiting, open, outdated, onPointer, onCard } = list;
  const shown = page?.rows;
  const slowest = Math.max(1, ...(shown ?? []).map((row) => row.duration_ms ?? 0));
  const toggle = (key: string) => patch({ open: key === open ? null : key });
  return (
    <section className={classes(cardStyles.card, styles.log)} aria-label={title} ref={onCard}>
      <header className={cardStyles.head}>
        <h2>{title}</h2>
        <span className={cardStyles.aside} role="status">
          {waiting !== '' ? `Paused · ${waiting} new` : shown && shown.length > 0 ? `${shown.length} shown` : ''}
        </span>
        {actions}
      </header>
      {head}
      {shown?.length === 0 ? (
        <p className={cardStyles.note}>{none}</p>
      ) : (
        <table className={classes(tableStyles.table, outdated && 'outdated')}>
          <thead>
            <tr>
              <th scope="col" data-col="time">
                Time
              </th>
              <th scope="col" data-col="consumer">
                Consumer
              </th>
              <th scope="col" data-col="method">
                Method
              </th>
              <th scope="col">Path</th>
              <th scope="col" data-col="status">
                Status
              </th>
              <th scope="col" className={tableStyles.number} data-col="duration">
                Duration
              </th>
              <th scope="col" className={tableStyles.number} data-col="upstream">
                Upstream
              </th>
            </tr>
          </thead>
          <tbody onPointerEnter={(event) => event.pointerType === 'mouse' && onPointer('over')} onPointerLeave={() => onPointer('off')}>
            {shown === undefined
              ? Array.from({ length: expected }, (_, index) => (
                  <tr key={index}>
                    <td colSpan={7}>
                      <Skeleton height={14} my={4} />
                    </td>
                  </tr>
                ))
              : shown.map((row) => {
                  const key = keyOf(row);
                  return <Entry key={key} row={row} open={key === open} slowest={slowest} onToggle={() => toggle(key)} />;
                })}
          </tbody>
        </table>
      )}
      {reason === 'open' || reason === 'scrolled' ? <ResumeButton reason={reason} waiting={waiting} card={list.card} /> : null}
      {foot}
    </section>
  );
}

function Entry({ row, open, slowest, onToggle }: { row: Request; open: boolean; slowest: number; onToggle: () => void }) {
  const time = clock(row.time, useZone());
  return (
    <Fragment>
      <tr
        className={classes(expandableStyles.entry, open && expandableStyles.open, styles.row)}
        onClick={(event) => {
          const onControl = event.target instanceof Element && event.target.closest('button, a');
          if (!onControl && !window.getSelection()?.toString()) onToggle();
        }}
      >
        <td data-col="time">
          <button type="button" className={expandableStyles.expand} aria-expanded={open} aria-label={`Details of the request at ${time}`} onClick={onToggle}>
            <ChevronIcon />
            <time dateTime={row.time} title={row.time}>
              {time.slice(0, -4)}
              <span className={styles.fraction}>{time.slice(-4)}</span>
            </time>
          </button>
        </td>
        <td data-col="consumer">
          <ConsumerName consumer={row.consumer} name={row.consumer_name} />
        </td>
        <td data-col="method">
          <MethodName method={row.method} />
        </td>
        <td data-col="path" title={row.path ?? undefined}>
          {(row.attempts ?? 0) > 1 && (
            <>
              <Tag tone="inactive" title={`The gateway sent this request to an upstream ${row.attempts} times`}>
                {row.attempts} attempts
              </Tag>{' '}
            </>
          )}
          <span className="mono">{row.path ?? NONE}</span>
          {row.query && (
            <span className="mono faint">
              ?<Masked text={row.query} />
            </span>
          )}
        </td>
        <td data-col="status">
          <StatusCode code={row.status} grpc={row.grpc_status} />
        </td>
        <td className={classes(tableStyles.number, tableStyles.barred)} data-col="duration">
          <i className={tableStyles.bar} style={{ '--share': (row.duration_ms ?? 0) / slowest }} />
          <span>{milliseconds(row.duration_ms)}</span>
        </td>
        <td className={tableStyles.number} data-col="upstream">{milliseconds(row.upstream_ms)}</td>
      </tr>
      {open && (
        <tr className={expandableStyles.detailRow} data-detail>
          <td colSpan={7}>
            <RequestDetail request={row} />
          </td>
        </tr>
      )}
    </Fragment>
  );
}

/** A button over the lower edge of the window, so that the list does not move when the button appears. */
function ResumeButton({ reason, waiting, card }: { reason: 'open' | 'scrolled'; waiting: string; card: HTMLElement | null }) {
  if (reason === 'scrolled' && waiting === '') return null;
  return (
    <div className={styles.resume}>
      <button
        type="button"
        onClick={() => {
          if (reason === 'open') patch({ open: null });
          card?.scrollIntoView({ block: 'center' });
          window.scrollTo({ top: Math.min(window.scrollY, Math.max(0, (card?.offsetTop ?? 0) - 80)) });
        }}
      >
        {reason === 'scrolled' ? `Show ${waiting} new` : waiting === '' ? 'Close' : `Close and show ${waiting} new`}
      </button>
    </div>
  );
}
