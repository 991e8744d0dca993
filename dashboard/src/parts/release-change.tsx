import { Select } from '@mantine/core';
import { useMemo, useState } from 'react';
import { endpoint, type Release, type Row, type Summary } from '../api';
import { classes } from '../classes';
import { MOST } from '../entities';
import { exactly } from '../exactly';
import { exact, moment, NONE, percent, shortMoment, tally } from '../format';
import { addressOf, type Filters } from '../location';
import { ESTIMATED, percentile } from '../percentile';
import type { Live, Period } from '../period';
import { useQuery } from '../query';
import { compared, isMoreErrors, isSlower, nameOf, rolledOut, stretchesOf, timeOf, type Compared, type Stretches } from '../releases';
import type { Span } from '../span';
import { useZone, type Zone } from '../zone';
import { ErrorBanner } from './error-banner';
import { RouteLink } from './labels';
import { Link } from './link';
import { customPatch } from './period-picker';
import { errorShare } from './rank-table';
import { ScrollTable } from './scroll-table';
import { useShowAll } from './show-all';
import { ROUTES } from './subjects';
import { Tag } from './tag';
import { Waiting } from './waiting';
import cardStyles from './card.module.css';
import tableStyles from './table.module.css';
import styles from './release-change.module.css';

const LENGTHS = [
  { value: '900', label: '15 minutes' },
  { value: '3600', label: '1 hour' },
  { value: '21600', label: '6 hours' },
  { value: '86400', label: '1 day' },
];
const FEW = 12;
/** Seconds after which no gateway is awaited that reports minutes of a stretch, so that only a person asks again. */
const SETTLED = 300;

/** Each route before and after a release, over stretches of equal length. */
export function ReleaseChange({ release, period, live }: { release: Release; period: Period; live: Live }) {
  const zone = useZone();
  const [length, setLength] = useState('3600');
  const rollout = rolledOut(release);
  const stretches = stretchesOf(release, Number(length), Math.max(period.exact.to, timeOf(release)));
  return (
    <section className={cardStyles.card} aria-labelledby="change">
      <header className={classes(cardStyles.head, styles.head)}>
        <h2 id="change">
          {release.service} {nameOf(release)}
        </h2>
        <span className={cardStyles.aside}>
          {release.previous !== null && `after ${nameOf({ kind: release.kind, value: release.previous })}, `}
          {release.environment}, first seen {moment(timeOf(release), zone)}
          {rollout.to - rollout.from >= 60 && `, rolled out until ${shortMoment(rollout.to, zone)}`}
        </span>
        <Select className={styles.length} size="xs" aria-label="Length of the stretches" data={LENGTHS} value={length} allowDeselect={false} onChange={(value) => setLength(value ?? '3600')} />
      </header>
      {stretches ? (
        <Change release={release} stretches={stretches} period={period} onRetry={live.refresh} zone={zone} />
      ) : (
        <p className={cardStyles.note}>The first whole minute after this release is not over yet.</p>
      )}
    </section>
  );
}

interface ChangeProps {
  release: Release;
  stretches: Stretches;
  period: Period;
  onRetry: () => void;
  zone: Zone;
}

function Change({ release, stretches, period, onRetry, zone }: ChangeProps) {
  const filters: Filters = { service: exactly(release.service), environment: exactly(release.environment) };
  const by = { group_by: ROUTES.keys, limit: MOST };
  const seconds = stretches.after.to - stretches.after.from;
  const scope = `${release.id} ${seconds}`;
  const tickOf = ({ to }: Span) => (period.exact.to - to > SETTLED ? period.asked : period.refreshTick);
  const before = useQuery<Summary>(endpoint('summary', stretches.before, filters, by), scope, tickOf(stretches.before));
  const after = useQuery<Summary>(endpoint('summary', stretches.after, filters, by), scope, tickOf(stretches.after));
  const rows = useMemo(() => before.data && after.data && compared(before.data.rows, after.data.rows), [before.data, after.data]);
  const { shown, button } = useShowAll(rows ?? [], FEW);
  const hasEstimates = rows?.some((row) => row.before?.estimated === true || row.after?.estimated === true) ?? false;
  const worse = rows?.filter(({ verdict }) => verdict === 'worse').length ?? 0;
  const text = ({ from, to }: Span) => `${shortMoment(from, zone)} – ${shortMoment(to, zone)}`;
  const widened = [before, after].some(({ data, outdated }) => data && !outdated && Date.parse(data.to) - Date.parse(data.from) > 1000 * seconds);
  return (
    <>
      <ErrorBanner queries={[before, after]} onRetry={onRetry} />
      <p className={cardStyles.note}>
        <b role="status">{rows === undefined ? 'Comparing' : worse === 0 ? 'No route got worse' : `${exact(worse)} of ${exact(rows.length)} routes got worse`}</b>
        {`: ${text(stretches.before)} beside ${text(stretches.after)}, ${exact(seconds / 60)} whole minutes each. `}
        {release.previous !== null && <Link to={addressOf('overview', { ...filters, ...customPatch(stretches.before.from, stretches.after.to) })}>Show the charts</Link>}
        {widened && ' Minutes of that time are no longer kept, so that half hours are compared.'}
      </p>
      {rows === undefined ? (
        <Waiting rows={6} />
      ) : (
        rows.length > 0 && (
          <ScrollTable label="Routes before and after" columns={['Route', { title: 'Verdict', look: 'unseen' }, { title: 'Requests', look: 'number' }, { title: 'Errors', look: 'number' }, { title: 'p95', look: 'number' }]}>
            {shown.map((row) => <Line key={row.key} row={row} />)}
          </ScrollTable>
        )
      )}
      {rows?.length === 0 && <p className={cardStyles.note}>No requests of {release.service} in either stretch.</p>}
      {button}
      {hasEstimates && <p className={cardStyles.note}>{ESTIMATED}</p>}
      <p className={cardStyles.note}>
        “Worse”: the share of errors (status 5xx or no response) rose by a percentage point or more, or p95 by 20 % or more, with at least 20 requests on both sides.
      </p>
    </>
  );
}

const TONES = { worse: 'incident', better: 'plain', new: 'plain', gone: 'inactive', same: 'inactive' } as const;

function Line({ row }: { row: Compared }) {
  const { before, after, verdict } = row;
  const pair = (value: (row: Row) => string) => (
    <>
      <span className="faint">{before ? value(before) : NONE} → </span>
      {after ? value(after) : NONE}
    </>
  );
  return (
    <tr data-verdict={verdict}>
      <th scope="row">
        <RouteLink method={row.method} route={row.route} />
      </th>
      <td>{verdict !== 'same' && <Tag tone={TONES[verdict]}>{verdict}</Tag>}</td>
      <td className={tableStyles.number}>{pair(({ requests }) => tally(requests))}</td>
      <td className={tableStyles.number} data-level={verdict === 'worse' && isMoreErrors(row) ? 'many' : undefined}>
        {pair((one) => percent(errorShare(one)))}
      </td>
      <td className={tableStyles.number} data-level={verdict === 'worse' && isSlower(row) ? 'many' : undefined}>
        {pair((one) => percentile(one, one.p95_ms))}
      </td>
    </tr>
  );
}
