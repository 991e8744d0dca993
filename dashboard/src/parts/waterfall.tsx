// What applications did for a request, by the spans of its trace.

import { useMemo } from 'react';
import type { Request } from '../api';
import { classes } from '../classes';
import { exact, milliseconds } from '../format';
import { useQuery } from '../query';
import { spansPath, waterfallOf, workOf, type Bar, type Spans, type Waterfall as Bars } from '../waterfall';
import { useShowAll } from './show-all';
import { Tag } from './tag';
import styles from './waterfall.module.css';

const FEW = 50;

export function Waterfall({ request }: { request: Request }) {
  const trace = request.trace_id;
  const path = typeof trace === 'string' && /^[0-9a-f]{32}$/.test(trace) ? spansPath(trace) : null;
  const found = useQuery<Spans>(path, path ?? '', 0);
  const bars = useMemo(() => waterfallOf(request, found.data?.rows ?? []), [request, found.data]);
  const { shown, button } = useShowAll(bars.bars, FEW);
  if (found.failure) {
    return (
      <p className={styles.note} role="alert">
        The spans of this trace cannot be shown. {found.failure.message}. {found.failure.hint}
      </p>
    );
  }
  // Most requests have none, and then there is nothing to explain.
  if (!found.data || bars.bars.length === 0) return null;
  const services = new Set(bars.bars.map(({ span }) => span.service)).size;
  return (
    <section className={styles.waterfall} aria-label="Spans of applications" data-waterfall>
      <h3>
        Trace <span className={styles.aside}>{exact(bars.bars.length)} spans of {services === 1 ? 'one service' : `${exact(services)} services`}</span>
      </h3>
      <ol className={styles.bars}>
        <Line name="Gateway" about={request.service ?? ''} offset={0} duration={request.duration_ms ?? 0} bars={bars} depth={0} look="gateway" />
        {shown.map((bar) => (
          <SpanLine key={bar.span.span_id} bar={bar} bars={bars} />
        ))}
      </ol>
      {button}
      <p className={styles.note}>
        {bars.early > 0 && (
          <>
            <b>
              {bars.earlier === 1 ? 'One span begins' : `${exact(bars.earlier)} spans begin`} up to {milliseconds(bars.early)} before the gateway received the request.
            </b>{' '}
            Either the clocks differ by as much, or the work is the caller’s.{' '}
          </>
        )}
        Each bar has the times of its sender’s clock; nothing is corrected.
        {found.data.left_out > 0 && ` ${exact(found.data.left_out)} more spans of this trace were not kept.`}
        {found.data.rows.some(({ withheld }) => withheld?.length) && ' Messages of applications are withheld from your role. An analyst sees them.'}
      </p>
    </section>
  );
}

function SpanLine({ bar: { span, depth, offset }, bars }: { bar: Bar; bars: Bars }) {
  const { name, service, kind, status, status_message: message, duration_ms: duration } = span;
  const about = [service, kind, workOf(span)].filter(Boolean).join(' · ');
  return <Line name={name || 'unnamed'} about={about} offset={offset} duration={duration} bars={bars} depth={depth + 1} look={status === 'error' ? 'error' : 'application'} message={message} />;
}

interface LineProps {
  name: string;
  about: string;
  offset: number;
  duration: number;
  bars: Bars;
  depth: number;
  look: 'gateway' | 'application' | 'error';
  message?: string | null;
}

/** Deeper ones are indented no further. */
const DEEPEST = 8;

function Line({ name, about, offset, duration, bars: { from, to }, depth, look, message }: LineProps) {
  const share = (time: number) => (time / (to - from)) * 100;
  const when = `${milliseconds(Math.abs(offset))} ${offset < 0 ? 'before the gateway received it' : 'after the gateway received it'}`;
  return (
    <li className={styles.line} data-look={look}>
      <span className={styles.name} style={{ paddingLeft: Math.min(depth, DEEPEST) * 12 }}>
        <span className="mono" title={name}>
          {name}
        </span>{' '}
        {look === 'error' && <Tag tone="incident">error</Tag>}
        <span className={styles.about} title={about}>
          {about}
        </span>
        {message && <span className={styles.message}>{message}</span>}
      </span>
      <span className={styles.track} title={`${when}, ${milliseconds(duration)}`}>
        <i className={classes(styles.bar, styles[look])} style={{ left: `${share(offset - from)}%`, width: `${share(duration)}%` }} />
      </span>
      <span className={styles.duration}>{milliseconds(duration)}</span>
    </li>
  );
}
