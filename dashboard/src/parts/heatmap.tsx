// A heatmap of durations over time. A click or a drag opens exactly the requests of those cells.

import { Skeleton, useComputedColorScheme } from '@mantine/core';
import { useEffect, useId, useMemo, useRef, useState, type KeyboardEvent, type PointerEvent } from 'react';
import type { Latencies } from '../api';
import { spanAt, tick } from '../charts/scale';
import { areaOf, criteriaOfRows, durationsOf, durationTicks, gridOf, heightOf, requestsIn, strengthOf, type Area, type Cell, type Grid } from '../charts/heat';
import { classes } from '../classes';
import { exact, milliseconds } from '../format';
import type { Query } from '../query';
import { useZone, type Zone } from '../zone';
import { openRequests } from './period-picker';
import cardStyles from './card.module.css';
import styles from './heatmap.module.css';
import tipStyles from '../charts/tip.module.css';

/** Pixels. */
const HEIGHT = 210;
const TICKS = 7;

interface HeatmapProps {
  latencies: Query<Latencies>;
  title?: string;
  aside?: string;
  /** Another heatmap beside it, so that both have the same colours for the same counts. */
  beside?: Query<Latencies> | undefined;
}

export function Heatmap({ latencies, title = 'Durations', aside = 'requests by time and duration; click or drag to open them', beside }: HeatmapProps) {
  const headline = useId();
  const [data, other] = [latencies.data, beside?.data];
  const grid = useMemo(() => {
    const own = data && gridOf(data);
    return own && { ...own, most: Math.max(own.most, other ? gridOf(other).most : 0) };
  }, [data, other]);
  return (
    <section className={classes(cardStyles.card, styles.heatmap)} aria-labelledby={headline} aria-busy={latencies.outdated}>
      <header className={cardStyles.head}>
        <h2 id={headline}>{title}</h2>
        <span className={cardStyles.aside}>{aside}</span>
        {grid && grid.most > 0 && (
          <span className={styles.legend} aria-hidden="true">
            1 <i /> {exact(grid.most)}
          </span>
        )}
      </header>
      {grid === undefined ? (
        <Skeleton height={HEIGHT} />
      ) : grid.bounds.length < 2 ? (
        <p className={cardStyles.note}>No durations in this period.</p>
      ) : (
        <Cells grid={grid} title={title} outdated={latencies.outdated} />
      )}
    </section>
  );
}

/** Opens the requests of an area. */
function open(grid: Grid, area: Area): void {
  const from = grid.starts[area.columns[0]] ?? 0;
  const to = (grid.starts[area.columns[1]] ?? 0) + grid.step;
  openRequests(from, to, criteriaOfRows(grid, area.rows));
}

function Cells({ grid, title, outdated }: { grid: Grid; title: string; outdated: boolean }) {
  const zone = useZone();
  const scheme = useComputedColorScheme('light');
  const canvas = useRef<HTMLCanvasElement>(null);
  const [start, setStart] = useState<Cell | null>(null);
  const [cell, setCell] = useState<Cell | null>(null);
  const [width, setWidth] = useState(0);
  const [columns, rows] = [grid.starts.length, grid.bounds.length - 1];
  const within = ({ column, row }: Cell): Cell => ({ column: Math.min(columns - 1, Math.max(0, column)), row: Math.min(rows - 1, Math.max(0, row)) });
  // An answer may have fewer cells than the one before.
  const here = cell && within(cell);
  const area = here && areaOf(start ? within(start) : here, here);

  useEffect(() => {
    const element = canvas.current;
    if (!element) return undefined;
    const observer = new ResizeObserver(() => setWidth(element.clientWidth));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  useEffect(() => {
    if (canvas.current && width > 0) draw(canvas.current, grid, width);
  }, [grid, width, scheme]);

  const at = (event: PointerEvent): Cell => {
    const box = event.currentTarget.getBoundingClientRect();
    return within({ column: Math.floor(((event.clientX - box.left) / box.width) * columns), row: Math.floor(((box.bottom - event.clientY) / box.height) * rows) });
  };
  const move = (event: KeyboardEvent) => {
    const steps: Record<string, [number, number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1], PageUp: [0, 5], PageDown: [0, -5], Home: [-columns, 0], End: [columns, 0] };
    const [right, up] = steps[event.key] ?? [];
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (right !== undefined && up !== undefined) {
      event.preventDefault();
      const last = here ?? within({ column: columns, row: Math.floor(rows / 2) });
      if (!event.shiftKey) setStart(null);
      else if (start === null) setStart(last);
      setCell(here ? within({ column: last.column + right, row: last.row + up }) : last);
    } else if (event.key === 'Enter' && area) {
      event.preventDefault();
      open(grid, area);
    } else if (event.key === 'Escape') {
      setStart(null);
      setCell(null);
    }
  };
  const words = area && wordsOf(grid, area, zone);
  return (
    <div className={classes(styles.body, outdated && 'outdated')}>
      <div className={styles.durations} aria-hidden="true">
        {durationTicks(grid.bounds).map((ms) => (
          <span key={ms} style={{ bottom: `${heightOf(grid.bounds, ms) * 100}%` }}>
            {milliseconds(ms)}
          </span>
        ))}
      </div>
      <div
        className={styles.plot}
        style={{ height: HEIGHT }}
        role="application"
        aria-label={`Heatmap of ${title.toLowerCase()} over time. Arrow keys move, with Shift they select, Enter opens the requests.`}
        tabIndex={0}
        onKeyDown={move}
        onBlur={() => {
          setStart(null);
          setCell(null);
        }}
        onPointerDown={(event) => {
          if (event.button !== 0) return;
          event.currentTarget.setPointerCapture(event.pointerId);
          setStart(at(event));
          setCell(at(event));
        }}
        onPointerMove={(event) => setCell(at(event))}
        onPointerUp={(event) => start && open(grid, areaOf(within(start), at(event)))}
        onPointerLeave={() => start === null && setCell(null)}
        onPointerCancel={() => setStart(null)}
      >
        <canvas ref={canvas} aria-hidden="true" />
        {area && <i className={styles.area} style={boxOf(area, columns, rows)} />}
        {area && words && (
          <div className={classes(tipStyles.tip, styles.tip)} style={area.columns[0] > columns / 2 ? { right: `${(1 - area.columns[0] / columns) * 100 + 1}%` } : { left: `${((area.columns[1] + 1) / columns) * 100 + 1}%` }}>
            <b>{words.time}</b>
            <span>{words.durations}</span>
            <span>{words.requests}</span>
          </div>
        )}
        <output className="unseen" aria-live="polite">
          {words && `${words.time}, ${words.durations}: ${words.requests}`}
        </output>
      </div>
      <div className={styles.times} aria-hidden="true">
        {timeTicks(grid, zone, width < 500 ? 4 : TICKS).map(({ share, text }) => (
          <span key={share} style={{ left: `${share * 100}%` }}>
            {text}
          </span>
        ))}
      </div>
    </div>
  );
}

function wordsOf(grid: Grid, area: Area, zone: Zone): { time: string; durations: string; requests: string } {
  const [first, last] = area.columns;
  const slots = { starts: [grid.starts[first] ?? 0], step: grid.step * (last - first + 1), indexOf: () => 0 };
  const count = requestsIn(grid, area);
  return { time: spanAt(slots, 0, zone), durations: durationsOf(grid, area.rows), requests: `${exact(count)} ${count === 1 ? 'request' : 'requests'}` };
}

function boxOf({ columns: [left, right], rows: [low, high] }: Area, columns: number, rows: number) {
  const share = (part: number, of: number) => `${(part / of) * 100}%`;
  return { left: share(left, columns), width: share(right - left + 1, columns), bottom: share(low, rows), height: share(high - low + 1, rows) };
}

function timeTicks({ starts, step }: Grid, zone: Zone, most: number): { share: number; text: string }[] {
  const every = Math.max(1, Math.ceil(starts.length / most));
  const chosen = starts.filter((_, index) => index % every === 0);
  return chosen.map((time, index) => ({ share: (time - (starts[0] ?? 0)) / (starts.length * step), text: tick(time, chosen, index, zone) }));
}

/** Draws the cells in the colours of the style sheet, from `--heat-0` for the fewest requests to `--heat-4`. */
function draw(canvas: HTMLCanvasElement, grid: Grid, width: number): void {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(HEIGHT * ratio);
  const context = canvas.getContext('2d');
  if (!context) return;
  const style = getComputedStyle(canvas);
  const stops = [0, 1, 2, 3, 4].map((index) => channelsOf(style.getPropertyValue(`--heat-${index}`).trim()));
  const [columns, rows] = [grid.starts.length, grid.bounds.length - 1];
  // Edges on whole pixels, so that no seams are seen.
  const x = (column: number) => Math.round((column / columns) * canvas.width);
  const y = (row: number) => Math.round((1 - row / rows) * canvas.height);
  grid.counts.forEach((counts, column) =>
    counts.forEach((count, row) => {
      if (count === 0) return;
      context.fillStyle = colorAt(stops, strengthOf(count, grid.most));
      context.fillRect(x(column), y(row + 1), x(column + 1) - x(column), y(row) - y(row + 1));
    }),
  );
}

function channelsOf(hex: string): number[] {
  return [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16));
}

function colorAt(stops: number[][], strength: number): string {
  const place = Math.min(0.9999, Math.max(0, strength)) * (stops.length - 1);
  const [low = [], high = []] = [stops[Math.floor(place)], stops[Math.floor(place) + 1]];
  const part = place % 1;
  return `rgb(${low.map((channel, index) => Math.round(channel + ((high[index] ?? channel) - channel) * part)).join(' ')})`;
}
