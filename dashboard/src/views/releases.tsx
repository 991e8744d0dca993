// Releases: other versions of services, other configurations of gateways, and what each changed.

import type { Release, Releases } from '../api';
import { classes } from '../classes';
import { moment } from '../format';
import { addressOf } from '../location';
import { usePages } from '../pages';
import { ErrorBanner } from '../parts/error-banner';
import { Link } from '../parts/link';
import { MoreRows } from '../parts/more-rows';
import { ReleaseChange } from '../parts/release-change';
import { ScrollTable } from '../parts/scroll-table';
import { Tag } from '../parts/tag';
import { Waiting } from '../parts/waiting';
import { useQuery } from '../query';
import { nameOf, RELEASES, timeOf } from '../releases';
import { useZone } from '../zone';
import type { ViewProps } from './view';
import cardStyles from '../parts/card.module.css';
import layoutStyles from '../parts/layout.module.css';
import styles from './releases.module.css';

export function ReleasesView({ period, live, params }: ViewProps) {
  const zone = useZone();
  const query = useQuery<Releases>(RELEASES, 'releases', period.refreshTick);
  const pages = usePages<Release>(query.data, RELEASES, ({ id }) => String(id));
  const asked = params.get('open');
  const rows = pages.rows;
  const open = rows?.find(({ id }) => String(id) === asked) ?? (asked === null ? rows?.find(({ previous }) => previous !== null) : undefined);
  return (
    <div className={layoutStyles.view}>
      <ErrorBanner queries={[query]} onRetry={live.refresh} />
      {open && <ReleaseChange key={open.id} release={open} period={period} live={live} />}
      {asked !== null && rows !== undefined && open === undefined && (
        <section className={cardStyles.card} data-blank>
          <p className={cardStyles.note}>This release is not among the latest. Load more below, or choose another one.</p>
        </section>
      )}
      <section className={cardStyles.card} aria-labelledby="releases">
        <header className={cardStyles.head}>
          <h2 id="releases">All releases</h2>
        </header>
        {rows === undefined && query.failure === undefined && <Waiting rows={5} />}
        {rows?.length === 0 && (
          <p className={cardStyles.note}>
            No gateway has reported yet. Set <code>service.version</code> in the filter’s configuration, and each new version appears here.
          </p>
        )}
        {rows !== undefined && rows.length > 0 && (
          <ScrollTable label="All releases" columns={['Release', 'Before', 'First seen', 'Service', 'Environment', 'Gateways']}>
            {rows.map((row) => (
              <tr key={row.id} className={classes(row.id === open?.id && styles.open)}>
                <th scope="row">
                  <Link to={addressOf('releases', { open: String(row.id) })} aria-current={row.id === open?.id ? 'true' : undefined} title={row.value}>
                    {nameOf(row)}
                  </Link>{' '}
                  {rows.some((other) => other.id < row.id && other.kind === row.kind && other.value === row.value && other.service === row.service && other.environment === row.environment) && (
                    <Tag tone="warning" title="This value ran before, and then another one did">
                      again
                    </Tag>
                  )}
                </th>
                <td title={row.previous ?? undefined}>{row.previous === null ? <span className="faint">first report</span> : nameOf({ kind: row.kind, value: row.previous })}</td>
                <td>
                  <time dateTime={row.first_seen}>{moment(timeOf(row), zone)}</time>
                </td>
                <td>{row.service}</td>
                <td>{row.environment}</td>
                <td className={styles.gateways} title={row.gateways.map(({ instance }) => instance).join('\n')}>
                  {row.gateways_total} <span className="faint">{row.gateways.map(({ instance }) => instance).join(', ')}</span>
                </td>
              </tr>
            ))}
          </ScrollTable>
        )}
        <p className={cardStyles.note}>
          A release begins with the first report of another <code>service.version</code> or of another configuration hash. Gateways that follow belong to it. A restart without change is none, and a value that comes
          back after another one is a release again.
        </p>
        <MoreRows pages={pages} />
      </section>
    </div>
  );
}
