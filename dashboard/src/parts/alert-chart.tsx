import type { Alert } from '../api';
import { amount } from '../alerts';
import styles from './alerts.module.css';
// The latest values of an alert and its threshold.

const WIDTH = 240;
const HEIGHT = 56;

export function AlertChart({ alert }: { alert: Alert }) {
  const { recent, threshold, unit, side } = alert;
  const values = recent.map(({ value }) => value);
  const known = values.filter((value) => value !== null);
  const least = Math.min(0, threshold, ...known);
  const most = Math.max(threshold, ...known) * 1.08 || 1;
  const y = (value: number) => HEIGHT - ((value - least) / (most - least)) * HEIGHT;
  const x = (index: number) => (values.length < 2 ? WIDTH : (index / (values.length - 1)) * WIDTH);
  // A gap in the values is a gap in the line.
  const path = values.map((value, index) => (value === null ? '' : `${index === 0 || values[index - 1] === null ? 'M' : 'L'}${x(index).toFixed(1)},${y(value).toFixed(1)}`)).join('');
  const label = `The last ${values.length} minutes: ${amount(values.at(-1) ?? null, unit)} now, threshold ${side} ${amount(threshold, unit)}`;
  return (
    <svg className={styles.chart} viewBox={`0 0 ${WIDTH} ${HEIGHT}`} width={WIDTH} height={HEIGHT} role="img" aria-label={label}>
      <line x1={0} x2={WIDTH} y1={y(threshold)} y2={y(threshold)} className={styles.threshold} />
      <path d={path} className={styles.line} />
    </svg>
  );
}
