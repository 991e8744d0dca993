import styles from './spark.module.css';
// A trend over time, the size of a word.

const WIDTH = 96;
const HEIGHT = 22;

/** Draws `values` from left to right. It has no axis, so `label` describes it. */
export function Spark({ values, label }: { values: number[]; label: string }) {
  const most = Math.max(...values, 0);
  const pitch = WIDTH / Math.max(1, values.length);
  return (
    <svg className={styles.spark} viewBox={`0 0 ${WIDTH} ${HEIGHT}`} width={WIDTH} height={HEIGHT} role="img" aria-label={label}>
      {values.map((value, index) => {
        const height = most > 0 && Number.isFinite(value) ? Math.max(value > 0 ? 1.5 : 0, (value / most) * (HEIGHT - 1)) : 0;
        return height > 0 && <rect key={index} x={index * pitch} y={HEIGHT - height} width={Math.max(1, pitch - 1)} height={height} />;
      })}
    </svg>
  );
}
