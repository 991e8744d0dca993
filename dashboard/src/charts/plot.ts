// The options of uPlot for our charts.

import uPlot from 'uplot';
import type { Span } from '../span';
import type { Zone } from '../zone';
import type { Slots } from './columns';
import { decades, fromZero, middle, roundValues, tick } from './scale';

/** Pixels. */
export const HEIGHT = 190;

/** Pixels that a pointer moves at least in a drag; less is a click. */
const DRAG = 6;

/** Charts with the same key move their crosshairs together. */
const SYNC = 'gatelens';

/** Values that change during the life of a plot. Its callbacks read them each time. */
export interface Latest {
  slots: Slots;
  format: (value: number) => string;
  unfinished: boolean;
  coarse: Span[];
  marks: { at: number; label: string }[];
  onZoom: (from: number, to: number) => void;
}

export interface Look {
  kind: 'bars' | 'lines';
  scale: 'linear' | 'logarithmic';
  zone: Zone;
  width: number;
  series: { label: string; color: string }[];
  /** Dotted lines of the stretch before follow: one for each line, one for all bars. */
  compared: boolean;
  ink: string;
  grid: string;
  surface: string;
  shade: string;
  accent: string;
  latest: { current: Latest };
  onCursor: (index: number | null, left: number) => void;
}

export function optionsOf(look: Look): uPlot.Options {
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
    tzDate: (seconds) => (look.zone === 'utc' ? uPlot.tzDate(new Date(seconds * 1000), 'Etc/UTC') : new Date(seconds * 1000)),
    cursor: {
      sync: { key: SYNC },
      drag: { x: true, y: false, setScale: false, dist: DRAG, click: () => {} },
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
      y: look.scale === 'linear' ? { range: (_, __, max) => fromZero(max) } : { distr: 3, range: (_, min, max) => decades(min, max) },
    },
    axes: [
      { ...axis, size: 26, gap: 6, grid: { show: false }, space: 64, values: (_, splits) => splits.map((split, index) => tick(split, splits, index, look.zone)) },
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
      ...(look.compared ? (kind === 'bars' ? [look.ink] : look.series.map(({ color }) => color)) : []).map(
        (color): uPlot.Series => ({ stroke: color, width: 1.5, dash: [2, 4], spanGaps: false, points: { show: false }, ...(lines ? { paths: lines } : {}) }),
      ),
    ],
    hooks: {
      drawClear: [
        (plot) => {
          for (const { from, to } of latest.current.coarse) fillSpan(plot, from, to, look.shade);
        },
      ],
      draw: [
        (plot) => kind === 'bars' && latest.current.unfinished && veilLast(plot, latest.current.slots, look.surface),
        (plot) => drawMarks(plot, latest.current.marks, look),
      ],
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
          if (width < DRAG) return;
          latest.current.onZoom(plot.posToVal(left, 'x'), plot.posToVal(left + width, 'x'));
        },
      ],
    },
  };
}

/** Calls back with the slot that is clicked. A finger shows the values of a slot first, and opens it with the next touch. */
export function onClick(plot: uPlot, open: (index: number) => void): void {
  let pressed: { at: number; shown: number | 'any' | null } | undefined;
  plot.over.addEventListener('pointerdown', ({ clientX, pointerType }) => {
    pressed = { at: clientX, shown: pointerType === 'touch' ? (plot.cursor.idx ?? null) : 'any' };
  });
  plot.over.addEventListener('click', ({ clientX }) => {
    const index = plot.posToIdx(clientX - plot.over.getBoundingClientRect().left);
    if (!pressed || Math.abs(clientX - pressed.at) >= DRAG) return;
    if (pressed.shown === 'any' || pressed.shown === index) open(index);
  });
}

/** The times at the middle of the slots, then one column a series; bars are drawn from the full stack down. Columns of the stretch before follow. */
export function columnsOf(kind: 'bars' | 'lines', slots: Slots, series: { values: (number | null)[]; before?: (number | null)[] }[], unfinished: boolean): uPlot.AlignedData {
  const times = slots.starts.map((_, index) => middle(slots, index));
  const finite = series.map(({ values }) => values.map((value) => (value !== null && Number.isFinite(value) ? value : null)));
  const columns = finite.map((values, at) =>
    kind === 'bars'
      ? values.map((_, index) => finite.slice(at).reduce((sum, other) => sum + (other[index] ?? 0), 0))
      : unfinished
        ? withoutLast(values)
        : values,
  );
  const before = series.flatMap(({ before: column }) => (column ? [column] : []));
  const whole = before.length > 0 && kind === 'bars' ? [times.map((_, index) => before.reduce((sum, column) => sum + (column[index] ?? 0), 0))] : before;
  return [times, ...columns, ...whole];
}

/** A share or a quantile of a few seconds swings widely, so a line ends at the last full slot, if there is one. */
function withoutLast(values: (number | null)[]): (number | null)[] {
  return values.slice(0, -1).some((value) => value !== null) ? [...values.slice(0, -1), null] : values;
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
  plot.ctx.save();
  plot.ctx.globalAlpha = 0.55;
  fillSpan(plot, last, last + step, surface);
  plot.ctx.restore();
}

/** Draws a dashed line at each mark, and its label where that covers no other one. */
function drawMarks(plot: uPlot, marks: Latest['marks'], { accent, surface }: Look): void {
  const { left, top, width, height } = plot.bbox;
  const { ctx } = plot;
  const unit = uPlot.pxRatio;
  ctx.save();
  ctx.font = `${11 * unit}px system-ui, sans-serif`;
  ctx.textAlign = 'left';
  ctx.textBaseline = 'top';
  ctx.strokeStyle = accent;
  ctx.lineWidth = unit;
  ctx.setLineDash([4 * unit, 3 * unit]);
  let free = left;
  for (const { at, label } of marks) {
    const x = Math.round(plot.valToPos(at, 'x', true));
    if (x < left || x > left + width) continue;
    ctx.beginPath();
    ctx.moveTo(x, top);
    ctx.lineTo(x, top + height);
    ctx.stroke();
    const text = label.length > LONGEST_LABEL ? `${label.slice(0, LONGEST_LABEL - 1)}…` : label;
    const wide = ctx.measureText(text).width + 6 * unit;
    // At the right edge it stands before its line.
    const start = x + wide > left + width ? x - wide : x;
    if (start < free) continue;
    ctx.globalAlpha = 0.85;
    ctx.fillStyle = surface;
    ctx.fillRect(start + unit, top, wide - 2 * unit, 14 * unit);
    ctx.globalAlpha = 1;
    ctx.fillStyle = accent;
    ctx.fillText(text, start + 3 * unit, top + unit);
    free = start + wide;
  }
  ctx.restore();
}

const LONGEST_LABEL = 24;

/** Fills the part of a range that is within the plot, over its whole height. */
function fillSpan(plot: uPlot, from: number, to: number, color: string): void {
  const { left, top, width, height } = plot.bbox;
  const within = (seconds: number) => Math.min(left + width, Math.max(left, plot.valToPos(seconds, 'x', true)));
  plot.ctx.fillStyle = color;
  plot.ctx.fillRect(within(from), top, within(to) - within(from), height);
}
