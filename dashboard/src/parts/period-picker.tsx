import { ActionIcon, Button, Menu, Popover, TextInput } from '@mantine/core';
import { useState } from 'react';
import type { Comparison } from '../compare';
import { moment } from '../format';
import { addressOf, go, patch, patchInPlace, type Patch } from '../location';
import { INTERVALS, RANGES, type Live, type Period } from '../period';
import { VIEWS, type View } from '../views/facts';
import { inputOf, secondsOf, useZone, zoneWords } from '../zone';
import { ComparePicker } from './compare-picker';
import { Dot } from './dot';
import { ChevronIcon, ClockIcon, RefreshIcon } from './icons';
import styles from './period-picker.module.css';

/** The stretch to compare with, the time range, the time zone and the refresh interval. */
export function PeriodPicker({ period, comparison, live, view }: { period: Period; comparison: Comparison; live: Live; view: View }) {
  return (
    <div className={styles.period}>
      {VIEWS[view].compared && <ComparePicker shown={VIEWS[view].compared} comparison={comparison} period={period} />}
      {VIEWS[view].shows === 'traffic' && <RangeMenu period={period} />}
      <ZoneSwitch />
      <div className={styles.joined}>
        <LiveMenu live={live} />
        <ActionIcon variant="default" size={30} aria-label="Refresh now" title="Refresh now" onClick={live.refresh}>
          <RefreshIcon />
        </ActionIcon>
      </div>
    </div>
  );
}

function RangeMenu({ period }: { period: Period }) {
  const [open, setOpen] = useState(false);
  const zone = useZone();
  const { choice } = period;
  const label = choice.kind === 'range' ? choice.range.label : `${moment(choice.from, zone)} – ${moment(choice.to, zone)}`;
  return (
    <Popover opened={open} onChange={setOpen} position="bottom-end" shadow="md" trapFocus returnFocus withRoles={false}>
      <Popover.Target>
        <Button
          size="xs"
          variant="default"
          leftSection={<ClockIcon />}
          rightSection={<ChevronIcon />}
          aria-haspopup="dialog"
          aria-expanded={open}
          aria-label={`Time range: ${label}`}
          onClick={() => setOpen(!open)}
        >
          {label}
        </Button>
      </Popover.Target>
      <Popover.Dropdown role="dialog" aria-label="Time range" className={styles.menu}>
        <div className={styles.ranges}>
          {RANGES.map((range) => (
            <button
              key={range.id}
              type="button"
              aria-pressed={choice.kind === 'range' && choice.range === range}
              onClick={() => {
                patch({ range: range.id, from: null, to: null });
                setOpen(false);
              }}
            >
              {range.label}
            </button>
          ))}
        </div>
        <CustomRange period={period} onDone={() => setOpen(false)} />
      </Popover.Dropdown>
    </Popover>
  );
}

function CustomRange({ period, onDone }: { period: Period; onDone: () => void }) {
  const zone = useZone();
  const [from, setFrom] = useState(inputOf(period.exact.from, zone));
  const [to, setTo] = useState(inputOf(Math.ceil(period.exact.to / 60) * 60, zone));
  const [start, end] = [secondsOf(from, zone), secondsOf(to, zone)];
  const wrong = start < end ? null : 'The end must be after the start';
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (wrong) return;
        patch(customPatch(start, end));
        onDone();
      }}
    >
      <TextInput size="xs" type="datetime-local" label="From" value={from} onChange={(event) => setFrom(event.currentTarget.value)} />
      <TextInput size="xs" type="datetime-local" label="To" value={to} error={wrong} onChange={(event) => setTo(event.currentTarget.value)} />
      <Button size="xs" type="submit" fullWidth>
        Apply
      </Button>
    </form>
  );
}

/** The change of the address that shows this range, widened to whole minutes. Unix seconds. */
export function customPatch(from: number, to: number): Record<string, string | null> {
  const [start, end] = [Math.floor(from / 60) * 60, Math.ceil(to / 60) * 60];
  const text = (seconds: number) => new Date(seconds * 1000).toISOString().replace(':00.000Z', 'Z');
  return { range: null, from: text(start), to: text(Math.max(end, start + 60)) };
}

/** Opens the requests of a range, in Unix seconds. `criteria` are further parameters of the log. */
export function openRequests(from: number, to: number, criteria: Patch = {}): void {
  go(addressOf('requests', { ...customPatch(from, to), q: null, sort: null, ...criteria }));
}

/** A search for what charts of errors count. */
export const FAILED = 'status:4xx,5xx,0';

/** The zone of displayed times. It is in the address, so that a shared link shows the same times. */
function ZoneSwitch() {
  const zone = useZone();
  const words = zoneWords(zone, new Date());
  const label = zone === 'utc' ? 'Times in UTC. Switch to local time' : `Times in local time, ${words}. Switch to UTC`;
  return (
    <Button size="xs" variant="default" aria-label={label} title={label} onClick={() => patchInPlace({ tz: zone === 'utc' ? 'local' : 'utc' })}>
      {zone === 'utc' ? 'UTC' : words === 'UTC' ? 'Local' : words}
    </Button>
  );
}

function LiveMenu({ live }: { live: Live }) {
  const on = live.possible && live.interval !== null;
  const text = on ? `Live ${live.interval} s` : 'Live off';
  return (
    <Menu position="bottom-end" shadow="md" disabled={!live.possible}>
      <Menu.Target>
        <Button
          size="xs"
          variant="default"
          aria-label={live.possible ? `${text}: change the refresh interval` : `${text}: a custom time range does not refresh`}
          disabled={!live.possible}
          title={live.possible ? 'Refresh interval' : 'A custom time range does not refresh'}
        >
          <span className={styles.live}>
            <Dot state={on ? 'alive' : 'off'} />
          </span>
          {text}
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        {INTERVALS.map((seconds) => (
          <Menu.Item key={seconds} onClick={() => patchInPlace({ refresh: String(seconds) })}>
            Every {seconds === 60 ? 'minute' : `${seconds} seconds`}
          </Menu.Item>
        ))}
        <Menu.Item onClick={() => patchInPlace({ refresh: 'off' })}>Off</Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
