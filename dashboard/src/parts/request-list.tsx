// Requests one by one, newest first. The list stands still while somebody reads it.

import { Skeleton } from '@mantine/core';
import { Fragment, useEffect, useRef, useState, type ReactNode, type RefObject } from 'react';
import type { Request } from '../api';
import { clock, milliseconds, NONE } from '../format';
import { patch, usePlace } from '../location';
import { keyOf } from '../request';
import { useZone } from '../zone';
import { ChevronIcon } from './icons';
import { ConsumerName, MethodName, StatusCode } from './labels';
import { Masked } from './masked';
import { RequestDetail } from './request-detail';

export interface RequestListProps {
  title: string;
  /** `undefined` while the first answer is awaited. */
  rows: Request[] | undefined;
  /** How many rows to keep room for until then. */
  expected: number;
  outdated: boolean;
  /** Names which part of the log this is: only newer rows of the same part wait while somebody reads. */
  part?: string;
  /** At the end of the head. */
  actions?: ReactNode;
  /** Below the rows. */
  foot?: ReactNode;
  /** Said where there are no rows. */
  none?: string;
  /** Told of the rows in sight, as these may be older than `rows`. */
  onShown?: (rows: Request[]) => void;
}

export function RequestList({ title, rows, expected, outdated, part = 'latest', actions, foot, none, onShown }: RequestListProps) {
  const card = useRef<HTMLElement>(null);
  const { held, shown, newer, open, onPoint } = useStandstill(rows, part, outdated, card);
  const slowest = Math.max(1, ...(shown ?? []).map((row) => row.duration_ms ?? 0));
  const toggle = (key: string) => patch({ open: key === open ? null : key });
  useEffect(() => onShown?.(shown ?? []), [shown]);
  return (
    <section className="card log" aria-label={title} ref={card}>
      <header className="card-head">
        <h2>{title}</h2>
        <span className="card-aside" role="status">
          {newer > 0 ? `standing still, ${newer} newer` : shown && shown.length > 0 ? `${shown.length} shown` : ''}
        </span>
        {actions}
      </header>
      {shown?.length === 0 ? (
        <p className="note">{none}</p>
      ) : (
        <table className={outdated ? 'table outdated' : 'table'}>
          <thead>
            <tr>
              <th scope="col" className="col-time">
                Time
              </th>
              <th scope="col" className="col-consumer">
                Consumer
              </th>
              <th scope="col" className="col-method">
                Method
              </th>
              <th scope="col">Path</th>
              <th scope="col" className="col-status">
                Status
              </th>
              <th scope="col" className="number col-duration">
                Duration
              </th>
              <th scope="col" className="number col-upstream">
                Upstream
              </th>
            </tr>
          </thead>
          <tbody onPointerEnter={(event) => event.pointerType === 'mouse' && onPoint('over')} onPointerLeave={() => onPoint('off')}>
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
      {held === 'open' || held === 'away' ? <Pill reason={held} newer={newer} card={card} /> : null}
      {foot}
    </section>
  );
}

function Entry({ row, open, slowest, onToggle }: { row: Request; open: boolean; slowest: number; onToggle: () => void }) {
  const time = clock(row.time, useZone());
  return (
    <Fragment>
      <tr
        className={open ? 'entry open' : 'entry'}
        onClick={(event) => {
          const onControl = event.target instanceof Element && event.target.closest('button, a');
          if (!onControl && !window.getSelection()?.toString()) onToggle();
        }}
      >
        <td className="col-time">
          <button type="button" className="expand" aria-expanded={open} aria-label={`Details of the request at ${time}`} onClick={onToggle}>
            <ChevronIcon />
            <time dateTime={row.time} title={row.time}>
              {time.slice(0, -4)}
              <span className="fraction">{time.slice(-4)}</span>
            </time>
          </button>
        </td>
        <td className="col-consumer">
          <ConsumerName consumer={row.consumer} />
        </td>
        <td className="col-method">
          <MethodName method={row.method} />
        </td>
        <td className="col-path" title={row.path ?? undefined}>
          <span className="mono">{row.path ?? NONE}</span>
          {row.query && (
            <span className="mono faint">
              ?<Masked text={row.query} />
            </span>
          )}
        </td>
        <td className="col-status">
          <StatusCode code={row.status} />
        </td>
        <td className="number col-duration">
          <i className="bar" style={{ '--share': (row.duration_ms ?? 0) / slowest }} />
          <span>{milliseconds(row.duration_ms)}</span>
        </td>
        <td className="number col-upstream">{milliseconds(row.upstream_ms)}</td>
      </tr>
      {open && (
        <tr className="detail-row">
          <td colSpan={7}>
            <RequestDetail request={row} />
          </td>
        </tr>
      )}
    </Fragment>
  );
}

/** Over the list, at the lower edge of the window, so that nothing moves when it comes. */
function Pill({ reason, newer, card }: { reason: 'open' | 'away'; newer: number; card: RefObject<HTMLElement | null> }) {
  if (reason === 'away' && newer === 0) return null;
  const words = newer > 0 ? `show ${newer} newer` : '';
  return (
    <div className="standstill">
      <button
        type="button"
        onClick={() => {
          if (reason === 'open') patch({ open: null });
          card.current?.scrollIntoView({ block: 'center' });
          window.scrollTo({ top: Math.min(window.scrollY, Math.max(0, (card.current?.offsetTop ?? 0) - 80)) });
        }}
      >
        {reason === 'open' ? (words ? `Close it and ${words}` : 'Close it') : words.replace('s', 'S')}
      </button>
    </div>
  );
}

type Reason = 'open' | 'away' | 'pointed';

/**
 * What of `rows` is to be shown: the newest, unless a request is open, the head of the list is out of sight, or a
 * mouse is over it. Then what was there when that began, so that nothing moves under the reader.
 */
function useStandstill(rows: Request[] | undefined, part: string, outdated: boolean, card: RefObject<HTMLElement | null>) {
  const wanted = usePlace().params.get('open');
  const [pointer, setPointer] = useState<'over' | 'off'>('off');
  const away = useAway(card);
  const kept = useRef<{ part: string; rows: Request[] } | undefined>(undefined);

  const before = kept.current?.part === part && !outdated ? kept.current.rows : rows;
  const open = before?.some((row) => keyOf(row) === wanted) ? wanted : null;
  const held: Reason | null = outdated || rows === undefined ? null : open !== null ? 'open' : away ? 'away' : pointer === 'over' ? 'pointed' : null;
  kept.current = held === null || before === undefined ? undefined : { part, rows: before };
  const shown = kept.current?.rows ?? rows;

  const known = new Set(held === null ? [] : shown?.map(keyOf));
  const head = Date.parse(shown?.[0]?.time ?? '') || 0;
  const newer = held === null ? 0 : (rows ?? []).filter((row) => !known.has(keyOf(row)) && Date.parse(row.time) >= head).length;
  return { held, shown, newer, open, onPoint: setPointer };
}

/** Whether the head of the card has been scrolled out of sight. */
function useAway(card: RefObject<HTMLElement | null>): boolean {
  const [away, setAway] = useState(false);
  useEffect(() => {
    const look = () => setAway((card.current?.getBoundingClientRect().top ?? 0) < 0);
    look();
    window.addEventListener('scroll', look, { passive: true });
    return () => window.removeEventListener('scroll', look);
  }, []);
  return away;
}
