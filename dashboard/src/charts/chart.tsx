// A chart over time with a crosshair, a tooltip, a legend that hides series, and zooming by dragging. Drawn by uPlot.

import { useComputedColorScheme } from '@mantine/core';
import { useEffect, useId, useMemo, useRef, useState } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { day, minute } from '../format';
import type { Slots } from './columns';

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
  /** Unix seconds; called when a person drags over a stretch. */
  onZoom: (from: number, to: number) => void;
  aside?: string;
}

/** Charts with the same key move their crosshairs together. */
const SYNC = 'gatelens';
const HEIGHT = 190;

export function Chart(props: ChartProps) {
  const { title, kind, scale, slots, series, format, unfinished, onZoom, aside } = props;
  const scheme = useComputedColorScheme('light');
  const holder = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
  const [cursor, setCursor] = useState<{ index: number; left: number; width: number } | null>(null);
  const headline = useId();

  const shown = useMemo(() => series.filter(({ label }) => !hidden.has(label)), [series, hidden]);
  const data = useMemo(() => columnsOf(kind, slots, shown, unfinished), [kind, slots, shown, unfinished]);
  const identity = `${kind}|${scale}|${scheme}|${shown.map(({ label }) => label).join('|')}`;

  // The plot outlives new data; what its callbacks read must therefore be the latest, not what it was built with.
  const latest = useRef({ slots, format, unfinished, onZoom, data });
  latest.current = { slots, format, unfinished, onZoom, data };

  useEffect(() => {
    const element = holder.current;
    if (!element) return undefined;
    const color = (name: string) => getComputedStyle(element).getPropertyValue(name).trim();
    const options = optionsOf({
      kind,
      scale,
      width: element.clientWidth,
      series: shown.map(({ label, color: name }) => ({ label, color: color(name) })),
      ink: color('--ink-2'),
      grid: color('--line'),
      surface: color('--surface'),
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

  useEffect(() => plot.current?.setData(data), [data]);

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
        aria-label={`${title}. ${wordsAt(slots, series, format, cursor?.index ?? lastFull(slots, unfinished))}. The arrow keys move through time.`}
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
            <b>{spanAt(slots, cursor.index)}</b>
            {unfinished && cursor.index === slots.starts.length - 1 && <em>so far</em>}
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

interface Latest {
  slots: Slots;
  format: (value: number) => string;
  unfinished: boolean;
  onZoom: (from: number, to: number) => void;
}

interface Look {
  kind: 'bars' | 'lines';
  scale: 'linear' | 'logarithmic';
  width: number;
  series: { label: string; color: string }[];
  ink: string;
  grid: string;
  surface: string;
  latest: { current: Latest };
  onCursor: (index: number | null, left: number) => void;
}

function optionsOf(look: Look): uPlot.Options {
  const { kind, latest } = look;
  const font = '11px system-ui, sans-serif';
  const axis = { stroke: look.ink, font, ticks: { show: false }, grid: { stroke: look.grid, width: 1 } };
  const bars = uPlot.paths.bars?.({ size: [0.82, 44], align: 0 });
  const lines = uPlot.paths.linear?.();
  return {
    width: look.width,
    height: HEIGHT,
    padding: [10, 18, 0, 0],
    legend: { show: false },
    cursor: {
      sync: { key: SYNC },
      drag: { x: true, y: false, setScale: false, dist: 6 },
      points: kind === 'bars' ? { show: false } : { size: 7, width: 2 },
      focus: { prox: -1 },
      y: false,
    },
    scales: {
      x: {
        time: true,
        range: () => {
          const { starts, step } = latest.current.slots;
          const first = starts[0] ?? 0;
          return [first, (starts.at(-1) ?? first) + step];
        },
      },
      y: look.scale === 'linear' ? { range: (_, __, max) => [0, max > 0 ? max * 1.08 : 1] } : { distr: 3, range: (_, min, max) => decades(min, max) },
    },
    axes: [
      { ...axis, size: 26, gap: 6, grid: { show: false }, space: 64, values: (_, splits) => splits.map((split, index) => tick(split, splits, index)) },
      {
        ...axis,
        size: (_, labels) => Math.max(34, ...(labels ?? []).map((label) => label.length * 6.4 + 12)),
        gap: 6,
        space: 34,
        values: (_, splits) => splits.map((split) => latest.current.format(split)),
        ...(look.scale === 'logarithmic' ? { splits: (_: uPlot, __: number, min: number, max: number) => roundValues(min, max), filter: (_: uPlot, splits: number[]) => splits } : {}),
      },
    ],
    series: [
      {},
      ...look.series.map(({ label, color }): uPlot.Series => {
        const paths = kind === 'bars' ? bars : lines;
        const base: uPlot.Series = { label, stroke: color, ...(paths ? { paths } : {}) };
        return kind === 'bars'
          ? { ...base, fill: color, width: 0, points: { show: false } }
          : { ...base, width: 1.75, spanGaps: false, points: { show: true, size: 5, fill: color, width: 0, filter: lonely } };
      }),
    ],
    hooks: {
      draw: [(plot) => kind === 'bars' && latest.current.unfinished && veilLast(plot, latest.current.slots, look.surface)],
      setCursor: [
        (plot) => {
          const { idx, left } = plot.cursor;
          const inside = idx !== null && idx !== undefined && left !== undefined && left >= 0;
          look.onCursor(inside ? idx : null, inside ? plot.over.offsetLeft + left : 0);
        },
      ],
      setSelect: [
        (plot) => {
          const { left, width } = plot.select;
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          if (width < 6) return;
          latest.current.onZoom(plot.posToVal(left, 'x'), plot.posToVal(left + width, 'x'));
        },
      ],
    },
  };
}

/** A point without neighbours draws no line, so it gets a dot. */
function lonely(plot: uPlot, series: number): number[] {
  const column = plot.data[series] ?? [];
  const known = (index: number) => column[index] !== null && column[index] !== undefined;
  return Array.from(column, (_, index) => index).filter((index) => known(index) && !known(index - 1) && !known(index + 1));
}

function veilLast(plot: uPlot, { starts, step }: Slots, surface: string): void {
  const last = starts.at(-1);
  if (last === undefined || starts.length < 2) return;
  const [from, to] = [plot.valToPos(last, 'x', true), plot.valToPos(last + step, 'x', true)];
  plot.ctx.save();
  plot.ctx.globalAlpha = 0.55;
  plot.ctx.fillStyle = surface;
  plot.ctx.fillRect(from, plot.bbox.top, to - from, plot.bbox.height);
  plot.ctx.restore();
}

/** The times at the middle of the slots, then one column a series; bars are drawn from the full stack down. */
function columnsOf(kind: 'bars' | 'lines', slots: Slots, series: Series[], unfinished: boolean): uPlot.AlignedData {
  const times = slots.starts.map((_, index) => middle(slots, index));
  const columns = series.map(({ values }, at) =>
    kind === 'bars'
      ? values.map((_, index) => series.slice(at).reduce((sum, other) => sum + (other.values[index] ?? 0), 0))
      : unfinished
        ? withoutLast(values)
        : values,
  );
  return [times, ...columns];
}

/** A share or a quantile of a few seconds swings widely: a line ends at the last full slot, if there is one. */
function withoutLast(values: (number | null)[]): (number | null)[] {
  return values.slice(0, -1).some((value) => value !== null) ? [...values.slice(0, -1), null] : values;
}

/** A logarithmic range with some air around the data. */
function decades(min: number, max: number): [number, number] {
  return max > 0 ? [Math.max(min, 0.01) / 1.5, Math.max(max, 0.01) * 1.5] : [1, 1000];
}

/** 1, 2 and 5 times the powers of ten, or the powers alone where that would be crowded. */
function roundValues(min: number, max: number): number[] {
  const factors = max / min > 5000 ? [1] : max / min > 60 ? [1, 3] : [1, 2, 5];
  if (!(min > 0) || !Number.isFinite(max)) return [];
  const found: number[] = [];
  for (let power = 10 ** Math.floor(Math.log10(min)); power <= max; power *= 10) {
    found.push(...factors.map((factor) => factor * power).filter((value) => value >= min && value <= max));
  }
  return found;
}

function middle({ starts, step }: Slots, index: number): number {
  return (starts[index] ?? 0) + step / 2;
}

function lastFull({ starts }: Slots, unfinished: boolean): number {
  return Math.max(0, starts.length - (unfinished ? 2 : 1));
}

function wordsAt(slots: Slots, series: Series[], format: (value: number) => string, index: number): string {
  const parts = series.map(({ label, values }) => {
    const value = values[index];
    return `${label} ${value === null || value === undefined ? 'none' : format(value)}`;
  });
  return `${spanAt(slots, index)}: ${parts.join(', ')}`;
}

function spanAt({ starts, step }: Slots, index: number): string {
  const start = new Date((starts[index] ?? 0) * 1000);
  const end = new Date(start.getTime() + step * 1000);
  const when = start.toDateString() === new Date().toDateString() ? '' : `${day(start)}, `;
  return step === 60 ? `${when}${minute(start)}` : `${when}${minute(start)} – ${minute(end)}`;
}

/** The day where it changes, else the time of day. */
function tick(split: number, splits: number[], index: number): string {
  const date = new Date(split * 1000);
  const before = splits[index - 1];
  const stride = before === undefined ? (splits[1] ?? split) - split : split - before;
  const midnight = date.getHours() === 0 && date.getMinutes() === 0;
  return stride >= 86_400 || midnight ? day(date) : minute(date);
}

function toggled(set: ReadonlySet<string>, item: string): ReadonlySet<string> {
  const next = new Set(set);
  if (!next.delete(item)) next.add(item);
  return next;
}
