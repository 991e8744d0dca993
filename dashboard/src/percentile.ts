// Percentiles as people read them, and whether they are estimates.

import type { Row } from './api';
import { milliseconds } from './format';

/** Why a percentile is marked. */
export const ESTIMATED = '≈: an estimate. Senders other than gateways of gatelens count durations in buckets of their own, and the percentile lies within one of them.';

/** A percentile of a row; one of buckets that another sender has chosen is marked. */
export function percentile(row: Pick<Row, 'estimated'>, value: number | null | undefined): string {
  const text = milliseconds(value);
  return row.estimated && value !== null && value !== undefined ? `≈ ${text}` : text;
}
