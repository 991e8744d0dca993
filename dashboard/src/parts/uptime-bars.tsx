import type { UptimeRow } from '../api';
import { day, shortMoment } from '../format';
import { levelOf, minutesText, shareText, type Kind } from '../uptime';
import { useZone } from '../zone';
import styles from './uptime-bars.module.css';

/** A bar for each day or hour; the words are in its title, and those of the worst one in the label of all. */
export function UptimeBars({ bars, step, kind }: { bars: UptimeRow['bars']; step: number; kind: Kind }) {
  const zone = useZone();
  // A day of UTC begins on another day elsewhere.
  const when = (time: string) => (step === 86_400 ? day(new Date(time), 'utc') : shortMoment(Date.parse(time) / 1000, zone));
  const troubled = bars.filter((bar) => ['some', 'many'].includes(levelOf(bar)));
  const worst = troubled.toSorted((a, b) => b.bad + b.silent - (a.bad + a.silent))[0];
  const known = bars.filter((bar) => levelOf(bar) !== 'nothing').length;
  const unit = step === 86_400 ? 'days' : 'hours';
  const words = worst ? `${troubled.length} of them with bad or silent minutes, most on ${when(worst.time)}: ${minutesText(worst, kind)}` : 'none with a bad or silent minute';
  return (
    <span className={styles.bars} role="img" aria-label={`${known} ${unit} with data, ${words}`}>
      {bars.map((bar) => (
        <i key={bar.time} data-level={levelOf(bar)} title={`${when(bar.time)}: ${shareText(bar.uptime)}, ${minutesText(bar, kind)}`} />
      ))}
    </span>
  );
}
