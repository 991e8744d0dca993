import { Skeleton } from '@mantine/core';
import type { Issue } from '../api';
import { classes } from '../classes';
import { exact, NONE, shortMoment, tally } from '../format';
import { MEANINGS, nameOf, releasesOf, TONES } from '../issues';
import { addressOf } from '../location';
import { useZone } from '../zone';
import { RouteName, StatusCode } from './labels';
import { Link } from './link';
import { ScrollTable } from './scroll-table';
import { Spark } from './spark';
import { Tag } from './tag';
import styles from './issues.module.css';
import tableStyles from './table.module.css';

const COLUMNS = [
  'Issue',
  'State',
  { title: 'Requests', look: 'number' as const },
  'Last 24 hours',
  { title: 'Consumers', look: 'number' as const },
  'First seen',
  'Last seen',
  'Release',
];

/** The issues of a period; a click on the name opens one. */
export function IssueTable({ rows, outdated, open }: { rows: Issue[] | undefined; outdated: boolean; open: string | null }) {
  const zone = useZone();
  const when = (time: string) => (
    <time dateTime={time} title={time}>
      {shortMoment(Date.parse(time) / 1000, zone)}
    </time>
  );
  return (
    <div className={classes(styles.issues, outdated && 'outdated')}>
      <ScrollTable label="Issues" columns={COLUMNS}>
        {rows === undefined
          ? Array.from({ length: 6 }, (_, index) => (
              <tr key={index}>
                <td colSpan={COLUMNS.length}>
                  <Skeleton height={14} my={4} width={`${90 - index * 6}%`} />
                </td>
              </tr>
            ))
          : rows.map((issue) => (
              <tr key={issue.id} className={issue.id === open ? styles.opened : undefined}>
                <th scope="row">
                  <Link to={addressOf('issues', { open: issue.id })} className={styles.name} title={nameOf(issue)}>
                    {nameOf(issue)}
                  </Link>
                  <span className={styles.where}>
                    <StatusCode code={issue.status} grpc={issue.grpc_status} /> <RouteName method={issue.method} route={issue.route} />
                  </span>
                </th>
                <td>
                  <Tag tone={TONES[issue.state]} title={MEANINGS[issue.state]}>
                    {issue.state}
                  </Tag>
                </td>
                <td className={tableStyles.number} title={exact(issue.requests)}>
                  {tally(issue.requests)}
                </td>
                <td>
                  <Spark values={issue.spark} label={`Requests in each of the last 24 hours: ${issue.spark.join(', ')}`} />
                </td>
                <td className={tableStyles.number}>
                  {exact(issue.consumers)}
                  {issue.more_consumers && '+'}
                </td>
                <td>{when(issue.first_seen)}</td>
                <td>{when(issue.last_seen)}</td>
                <td>{releasesOf(issue) ?? NONE}</td>
              </tr>
            ))}
      </ScrollTable>
    </div>
  );
}
