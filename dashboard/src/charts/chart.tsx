// A chart over time with a crosshair, a tooltip, a legend that hides series, and zooming by dragging. Drawn by uPlot.

import { useComputedColorScheme } from '@mantine/core';
import { useEffect, useId, useMemo, useRef, useState } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import type { Span } from '../period';
import { useZone, type Zone } from '../zone';
import type { Slots } from './columns';
import { columnsOf, HEIGHT, optionsOf, type Latest } from './plot';
import { middle, spanAt } from './scale';

export interface Series {
  label: string;
  /** A custom property of the style sheet, such as `--chart-ok`. */
  color: string;
  values: (number | null)[];
}

export interface ChartProps {
  title: string;
  /** Bars are stacked, the first series at the top; lines are drawn over one another. */
  kind: 'bars' | 'lines';
  /** Logarithmic where the series lie decades apart. */
  scale: 'linear' | 'logarithmic';
  slots: Slots;
  /** To be memoized: new series are drawn anew. */
  series: Series[];
  /** Text of a value, in the axis and the tooltip. */
  format: (value: number) => string;
  /** The last slot is still filling: drawn fainter, and said in the tooltip. */
  unfinished: boolean;
  /** Spans whose slots cannot be told apart, Unix seconds: shaded, and said in the tooltip. */
  coarse: Span[];
  /** Unix seconds; called when a person drags over a stretch. */
  onZoom: (from: number, to: number) => void;
  aside?: string;
}

export function Chart(props: ChartProps) {
  const { title, kind, scale, slots, series, format, unfinished, coarse, onZoom, aside } = props;
  const zone = useZone();
  const scheme = useComputedColorScheme('light');
  const holder = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
  const [cursor, setCursor] = useState<{ index: number; left: number; width: number } | null>(null);
  const headline = useId();

  const shown = useMemo(() => series.filter(({ label }) => !hidden.has(label)), [series, hidden]);
  const data = useMemo(() => columnsOf(kind, slots, shown, unfinished), [kind, slots, shown, unfinished]);
  const identity = `${kind}|${scale}|${scheme}|${zone}|${shown.map(({ label }) => label).join('|')}`;

  // The plot outlives new data; what its callbacks read must therefore be the latest, not what it was built with.
  const latest = useRef<Latest & { data: uPlot.AlignedData }>({ slots, format, unfinished, coarse, onZoom, data });
  latest.current = { slots, format, unfinished, coarse, onZoom, data };

  useEffect(() => {
    const element = holder.current;
    if (!element) return undefined;
    const color = (name: string) => getComputedStyle(element).getPropertyValue(name).trim();
    const options = optionsOf({
      kind,
      scale,
      zone,
      width: element.clientWidth,
      series: shown.map(({ label, color: name }) => ({ label, color: color(name) })),
      ink: color('--ink-2'),
      grid: color('--line'),
      surface: color('--surface'),
      shade: color('--coarse'),
      latest,
      onCursor: (index, left) => setCursor(index === null ? null : { index, left, width: element.clientWidth }),
    });
    const built = new uPlot(options, latest.current.data, element);
    plot.current = built;
    const observer = new ResizeObserver(() => built.setSize({ width: element.clientWidth, height: HEIGHT }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      built.destroy();
      plot.current = null;
      setCursor(null);
    };
  }, [identity]);

  useEffect(() => plot.current?.setData(data), [data, coarse]);

  const move = (to: (index: number) => number) => {
    const built = plot.current;
    if (!built) return;
    const last = slots.starts.length - 1;
    const index = Math.min(last, Math.max(0, to(cursor?.index ?? last + 1)));
    const [x = 0, y = 0] = [built.valToPos(middle(slots, index), 'x'), built.over.clientHeight / 2];
    built.setCursor({ left: x, top: y });
  };

  return (
    <section className="card chart" aria-labelledby={headline}>
      <header className="card-head">
        <h2 id={headline}>{title}</h2>
        {aside && <span className="card-aside">{aside}</span>}
        <div className="legend">
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
      <div
        className="plot"
        style={{ height: HEIGHT }}
        role="img"
        tabIndex={0}
        aria-label={`${title}. ${wordsAt(slots, series, format, cursor?.index ?? lastFull(slots, unfinished), zone)}. The arrow keys move through time.`}
        onKeyDown={(event) => {
          const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
          if (step === undefined) return;
          event.preventDefault();
          move((index) => index + step);
        }}
        onBlur={() => plot.current?.setCursor({ left: -10, top: -10 })}
      >
        <div ref={holder} />
        {cursor && slots.starts[cursor.index] !== undefined && (
          <div className="tip" style={cursor.left > cursor.width / 2 ? { right: cursor.width - cursor.left + 14 } : { left: cursor.left + 14 }}>
            <b>{spanAt(slots, cursor.index, zone)}</b>
            {unfinished && cursor.index === slots.starts.length - 1 && <em>so far</em>}
            {isCoarse(coarse, slots, cursor.index) && <em>joined</em>}
            {shown.map(({ label, color, values }) => {
              const value = values[cursor.index];
              return (
                <div key={label}>
                  <i style={{ background: `var(${color})` }} />
                  <span>{label}</span>
                  <output>{value === null || value === undefined ? '–' : format(value)}</output>
                </div>
              );
            })}
          </div>
        )}
      </div>
    </section>
  );
}

/** The last slot that is full: what is read out where nobody points. */
function lastFull({ starts }: Slots, unfinished: boolean): number {
  return Math.max(0, starts.length - (unfinished ? 2 : 1));
}

function wordsAt(slots: Slots, series: Series[], format: (value: number) => string, index: number, zone: Zone): string {
  const parts = series.map(({ label, values }) => {
    const value = values[index];
    return `${label} ${value === null || value === undefined ? 'none' : format(value)}`;
  });
  return `${spanAt(slots, index, zone)}: ${parts.join(', ')}`;
}

function isCoarse(spans: Span[], { starts, step }: Slots, index: number): boolean {
  const start = starts[index] ?? 0;
  return spans.some(({ from, to }) => from < start + step && to > start);
}

function toggled(set: ReadonlySet<string>, item: string): ReadonlySet<string> {
  const next = new Set(set);
  if (!next.delete(item)) next.add(item);
  return next;
}
