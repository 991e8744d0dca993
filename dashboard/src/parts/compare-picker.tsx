import { Button, Popover, TextInput } from '@mantine/core';
import { useState } from 'react';
import type { Comparison } from '../compare';
import { patch } from '../location';
import type { Period } from '../period';
import { inputOf, secondsOf, useZone } from '../zone';
import { ChevronIcon } from './icons';
import styles from './period-picker.module.css';

/** What the view is compared with; kept in the address. */
export function ComparePicker({ shown, comparison, period }: { shown: 'figures' | 'tables'; comparison: Comparison; period: Period }) {
  const [open, setOpen] = useState(false);
  const label = comparison.kind === 'whole' ? `Compared with ${comparison.label}` : 'Compare';
  return (
    <>
      {comparison.kind === 'figures' && shown === 'figures' && <span className={styles.compared}>compared with {period.previous.label}</span>}
      <Popover opened={open} onChange={setOpen} position="bottom-end" shadow="md" trapFocus returnFocus withRoles={false}>
        <Popover.Target>
          <Button size="xs" variant={comparison.kind === 'whole' ? 'light' : 'default'} rightSection={<ChevronIcon />} aria-haspopup="dialog" aria-expanded={open} onClick={() => setOpen(!open)}>
            {label}
          </Button>
        </Popover.Target>
        <Popover.Dropdown role="dialog" aria-label="Compare with" className={styles.menu}>
          <div className={styles.ranges}>
            {CHOICES.map(({ compare, kind, words }) => (
              <button
                key={words}
                type="button"
                aria-pressed={comparison.kind === kind && (comparison.kind !== 'whole' || comparison.compare === compare)}
                onClick={() => {
                  patch({ compare });
                  setOpen(false);
                }}
              >
                {words}
              </button>
            ))}
          </div>
          <Chosen comparison={comparison} period={period} onDone={() => setOpen(false)} />
        </Popover.Dropdown>
      </Popover>
    </>
  );
}

const CHOICES: { compare: string | null; kind: Comparison['kind']; words: string }[] = [
  { compare: 'none', kind: 'none', words: 'Nothing' },
  { compare: null, kind: 'figures', words: 'The stretch before, figures only' },
  { compare: 'previous', kind: 'whole', words: 'The stretch before' },
  { compare: 'day', kind: 'whole', words: 'Yesterday, the same time' },
  { compare: 'week', kind: 'whole', words: 'Last week, the same time' },
];

/** A form for the start of any other stretch. */
function Chosen({ comparison, period, onDone }: { comparison: Comparison; period: Period; onDone: () => void }) {
  const zone = useZone();
  const chosen = comparison.kind === 'whole' ? Date.parse(comparison.compare) / 1000 : NaN;
  const [start, setStart] = useState(inputOf(Number.isNaN(chosen) ? period.previous.from : chosen, zone));
  const seconds = secondsOf(start, zone);
  const wrong = seconds >= 0 ? null : 'This is not a time';
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (wrong) return;
        patch({ compare: new Date(seconds * 1000).toISOString().replace(':00.000Z', 'Z') });
        onDone();
      }}
    >
      <TextInput size="xs" type="datetime-local" label="Another stretch, from" value={start} error={wrong} onChange={(event) => setStart(event.currentTarget.value)} />
      <Button size="xs" type="submit" fullWidth>
        Compare
      </Button>
    </form>
  );
}
