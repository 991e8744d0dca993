import { Button, NumberInput } from '@mantine/core';
import { useEffect, useRef, useState } from 'react';
import { askWith, Failure, jsonBody, type AlertTried } from '../api';
import { amount, subject } from '../alerts';
import { moment } from '../format';
import { useZone } from '../zone';
import { ChangeFailure } from './change-failure';
import styles from './alerts.module.css';

const DAYS = { usual: 7, most: 14 } as const;

/** Tries a rule on the past: when it would have fired. `rule` is what the API takes. */
export function RuleTrial({ rule }: { rule: unknown }) {
  const [days, setDays] = useState<number>(DAYS.usual);
  const [busy, setBusy] = useState(false);
  const [tried, setTried] = useState<AlertTried>();
  const [failure, setFailure] = useState<Failure>();
  const controller = useRef<AbortController | null>(null);
  useEffect(() => () => controller.current?.abort(), []);

  const run = async () => {
    const mine = new AbortController();
    controller.current = mine;
    setBusy(true);
    setTried(undefined);
    setFailure(undefined);
    try {
      let resume: number | undefined;
      do {
        // Each piece goes on where the one before ended.
        const piece: AlertTried = await askWith('/api/v1/alerts/try', jsonBody({ rule, days, resume }), mine.signal);
        setTried(piece);
        resume = piece.resume;
      } while (resume !== undefined);
    } catch (error) {
      if (!mine.signal.aborted) setFailure(Failure.of(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <div className={styles.trial}>
      <NumberInput label="Days of the past" value={days} min={1} max={DAYS.most} allowDecimal={false} onChange={(value) => setDays(Number(value))} />
      <Button variant="default" size="xs" loading={busy} onClick={() => void run()}>
        Try on the past
      </Button>
      {busy && (
        <>
          <Button variant="default" size="xs" onClick={() => controller.current?.abort()}>
            Cancel the trial
          </Button>
          <progress aria-label="Progress of the trial" max={1} value={tried === undefined ? 0 : share(tried)} />
        </>
      )}
      {failure && <ChangeFailure failure={failure} />}
      {tried && <Outcome tried={tried} />}
    </div>
  );
}

/** The part of the time that was tried. */
function share({ from, to, tried_to: triedTo }: AlertTried): number {
  return (Date.parse(triedTo) - Date.parse(from)) / (Date.parse(to) - Date.parse(from));
}

function Outcome({ tried: { known_from: knownFrom, tried_to: to, unit, side, threshold, worst, messages, firings, more } }: { tried: AlertTried }) {
  const zone = useZone();
  const at = (time: string) => moment(Date.parse(time) / 1000, zone);
  if (knownFrom === null) return <p role="status">There was no such traffic in that time, so that nothing could be evaluated.</p>;
  const times = firings.length + more;
  return (
    <div className={styles.tried} role="status">
      <p>
        {times === 0 ? 'It would not have fired' : `It would have fired ${times === 1 ? 'once' : `${times} times`}, with ${messages} ${messages === 1 ? 'message' : 'messages'} to each receiver,`} from {at(knownFrom)} to {at(to)}. Worst value: {amount(worst, unit)}, threshold {side}{' '}
        {amount(threshold, unit)}.
      </p>
      <ul>
        {firings.map((firing) => (
          <li key={`${firing.fired_at} ${JSON.stringify(firing.labels)}`}>
            {at(firing.fired_at)} – {firing.resolved_at === null ? 'still firing' : at(firing.resolved_at)}: {subject(firing)}, worst {amount(firing.worst, unit)}
          </li>
        ))}
      </ul>
      {more > 0 && <p>{more} more are not shown.</p>}
    </div>
  );
}
