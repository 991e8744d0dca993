// A chart over time with a crosshair, a tooltip, a legend that hides series, and zoom by dragging. Drawn by uPlot.

import { Skeleton, useComputedColorScheme } from '@mantine/core';
import { useEffect, useEffectEvent, useId, useLayoutEffect, useMemo, useRef, useState } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { classes } from '../classes';
import { NONE } from '../format';
import type { Span } from '../span';
import { useZone, type Zone } from '../zone';
import type { Slots } from './columns';
import { columnsOf, HEIGHT, onClick, optionsOf, type Latest } from './plot';
import { middle, spanAt } from './scale';
import { Compared } from '../parts/compared';
import cardStyles from '../parts/card.module.css';
import styles from './chart.module.css';
import tipStyles from './tip.module.css';

export interface Series {
  label: string;
  /** A custom property of the style sheet, such as `--chart-ok`. */
  color: string;
  values: (number | null)[];
  /** The values of the stretch before, at the same distance from its start. */
  before?: (number | null)[];
}

export interface ChartProps {
  title: string;
  /** Bars are stacked, with the first series at the top; lines overlap. */
  kind: 'bars' | 'lines';
  /** Logarithmic for series that lie decades apart. */
  scale: 'linear' | 'logarithmic';
  slots: Slots;
  /** Memoize them: new series are drawn again. */
  series: Series[];
  /** Text of a value, in the axis and the tooltip. */
  format: (value: number) => string;
  /** The last slot is not over: it is drawn fainter, and the tooltip says so. */
  unfinished: boolean;
  /** Spans whose minutes are merged, Unix seconds: they are shaded, and the tooltip says so. */
  coarse: Span[];
  /** Vertical lines with labels, in order of time. */
  marks?: { at: number; label: string }[];
  /** Unix seconds; called when a person drags over a range. */
  onZoom: (from: number, to: number) => void;
  /** Opens what a column is about. Unix seconds; called when a person clicks on it, or presses Enter. */
  onOpen: (from: number, to: number) => void;
  aside?: string;
}

export function Chart(props: ChartProps) {
  const { title, kind, scale, series, aside } = props;
  const zone = useZone();
  const scheme = useComputedColorScheme('light');
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
  const headline = useId();
  const shown = useMemo(() => series.filter(({ label }) => !hidden.has(label)), [series, hidden]);
  return (
    <section className={classes(cardStyles.card, styles.chart)} aria-labelledby={headline}>
      <header className={cardStyles.head}>
        <h2 id={headline}>{title}</h2>
        {aside && <span className={cardStyles.aside}>{aside}</span>}
        <div className={styles.legend}>
          {series.map(({ label, color }) => (
            <button
              key={label}
              type="button"
              aria-pressed={!hidden.has(label)}
              title={hidden.has(label) ? `Show ${label}` : `Hide ${label}`}
              onClick={() => setHidden(toggled(hidden, label))}
            >
              <i style={{ background: `var(${color})` }} />
              {label}
            </button>
          ))}
        </div>
      </header>
      {/* uPlot cannot change these: another key makes another plot. */}
      <Plot key={[kind, scale, scheme, zone, ...shown.map(({ label, before }) => `${label}${before ? '+' : ''}`)].join('|')} {...props} shown={shown} zone={zone} />
    </section>
  );
}

/** In place of a chart that has no answer yet. */
export function Waiting({ title }: { title: string }) {
  return (
    <section className={classes(cardStyles.card, styles.chart)} aria-busy="true">
      <header className={cardStyles.head}>
        <h2>{title}</h2>
      </header>
      <Skeleton height={HEIGHT} />
    </section>
  );
}

const NO_MARKS: { at: number; label: string }[] = [];

interface Cursor {
  index: number;
  /** Pixels. */
  left: number;
  width: number;
}

function Plot({ title, kind, scale, slots, series, shown, zone, format, unfinished, coarse, marks = NO_MARKS, onZoom, onOpen }: ChartProps & { shown: Series[]; zone: Zone }) {
  const holder = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [cursor, setCursor] = useState<Cursor | null>(null);
  const data = useMemo(() => columnsOf(kind, slots, shown, unfinished), [kind, slots, shown, unfinished]);
  const compared = shown.some(({ before }) => before !== undefined);

  // The plot outlives new data, so its callbacks must read the latest props.
  const latest = useRef<Latest>({ slots, format, unfinished, coarse, marks, onZoom });
  useLayoutEffect(() => {
    latest.current = { slots, format, unfinished, coarse, marks, onZoom };
  });

  const build = useEffectEvent((element: HTMLDivElement) => {
    const color = (name: string) => getComputedStyle(element).getPropertyValue(name).trim();
    const options = optionsOf({
      kind,
      scale,
      zone,
      width: element.clientWidth,
      series: shown.map(({ label, color: name }) => ({ label, color: color(name) })),
      compared,
      ink: color('--ink-2'),
      grid: color('--line'),
      surface: color('--surface'),
      shade: color('--coarse'),
      accent: color('--accent'),
      latest,
      onCursor: (index, left) => setCursor(index === null ? null : { index, left, width: element.clientWidth }),
    });
    return new uPlot(options, data, element);
  });

  const open = useEffectEvent((at: number) => {
    const start = slots.starts[at];
    if (start !== undefined) onOpen(start, start + slots.step);
  });

  useEffect(() => {
    const element = holder.current;
    if (!element) return undefined;
    const built = build(element);
    onClick(built, (clicked) => open(clicked));
    plot.current = built;
    const observer = new ResizeObserver(() => built.setSize({ width: element.clientWidth, height: HEIGHT }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      built.destroy();
      plot.current = null;
    };
  }, []);

  useEffect(() => plot.current?.setData(data), [data, coarse, marks]);

  const last = slots.starts.length - 1;
  // Without a cursor, the value is that of the last slot that is over.
  const index = Math.max(0, cursor?.index ?? (unfinished ? last - 1 : last));
  const move = (to: number) => {
    const built = plot.current;
    if (!built) return;
    const x = built.valToPos(middle(slots, Math.min(last, Math.max(0, to))), 'x');
    built.setCursor({ left: x, top: built.over.clientHeight / 2 });
  };
  return (
    // A slider announces its value when the arrow keys change it.
    <div
      className={styles.plot}
      style={{ height: HEIGHT }}
      role="slider"
      tabIndex={0}
      aria-label={`${title} over time`}
      aria-description="Arrow keys move, Enter opens the requests"
      aria-valuemin={0}
      aria-valuemax={Math.max(0, last)}
      aria-valuenow={index}
      aria-valuetext={[wordsAt(slots, series, format, index, zone), ...marksIn(marks, slots, index).map(({ label }) => `release ${label}`)].join(', ')}
      onKeyDown={(event) => {
        const steps: Record<string, number> = { ArrowLeft: index - 1, ArrowDown: index - 1, ArrowRight: index + 1, ArrowUp: index + 1, PageDown: index - 10, PageUp: index + 10, Home: 0, End: last };
        const to = steps[event.key];
        if (event.altKey || event.ctrlKey || event.metaKey) return;
        if (event.key === 'Enter') onOpen(slots.starts[index] ?? 0, (slots.starts[index] ?? 0) + slots.step);
        if (to === undefined) return;
        event.preventDefault();
        move(to);
      }}
      onBlur={() => plot.current?.setCursor({ left: -10, top: -10 })}
    >
      <div ref={holder} />
      {cursor && slots.starts[cursor.index] !== undefined && (
        <div className={classes(tipStyles.tip, styles.tip)} style={cursor.left > cursor.width / 2 ? { right: cursor.width - cursor.left + 14 } : { left: cursor.left + 14 }}>
          <b>{spanAt(slots, cursor.index, zone)}</b>
          {unfinished && cursor.index === last && <em>so far</em>}
          {isCoarse(coarse, slots, cursor.index) && <em>merged</em>}
          {marksIn(marks, slots, cursor.index).map(({ at, label }) => (
            <em key={`${at} ${label}`}>release {label}</em>
          ))}
          {shown.map(({ label, color, values, before }) => {
            return (
              <div key={label}>
                <i style={{ background: `var(${color})` }} />
                <span>{label}</span>
                <output>
                  <Compared before={before && textOf(before[cursor.index], format, NONE)}>{textOf(values[cursor.index], format, NONE)}</Compared>
                </output>
              </div>
            );
          })}
        </div>
      )}
    </div>
  );
}

function wordsAt(slots: Slots, series: Series[], format: (value: number) => string, index: number, zone: Zone): string {
  const parts = series.map(({ label, values, before }) => {
    const earlier = before ? `, before ${textOf(before[index], format, 'none')}` : '';
    return `${label} ${textOf(values[index], format, 'none')}${earlier}`;
  });
  return `${spanAt(slots, index, zone)}: ${parts.join(', ')}`;
}

function textOf(value: number | null | undefined, format: (value: number) => string, none: string): string {
  return value === null || value === undefined ? none : format(value);
}

function isCoarse(spans: Span[], { starts, step }: Slots, index: number): boolean {
  const start = starts[index] ?? 0;
  return spans.some(({ from, to }) => from < start + step && to > start);
}

function marksIn<M extends { at: number }>(marks: M[], { starts, step }: Slots, index: number): M[] {
  const start = starts[index] ?? 0;
  return marks.filter(({ at }) => at >= start && at < start + step);
}

function toggled(set: ReadonlySet<string>, item: string): ReadonlySet<string> {
  const next = new Set(set);
  if (!next.delete(item)) next.add(item);
  return next;
}
