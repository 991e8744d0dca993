import type { ReactNode } from 'react';
import { Button, CloseButton } from '@mantine/core';
import type { Issue, IssueChange, IssueDetail } from '../api';
import { useChanges } from '../change';
import { exact, moment, NONE, tally } from '../format';
import { exampleAddress, KINDS, MEANINGS, nameOf, releasesOf, TONES } from '../issues';
import { patch } from '../location';
import { useZone } from '../zone';
import { ChangeFailure } from './change-failure';
import { ConsumerLink, RouteLink } from './labels';
import { Link } from './link';
import { ScrollTable } from './scroll-table';
import { Tag } from './tag';
import cardStyles from './card.module.css';
import styles from './issues.module.css';
import tableStyles from './table.module.css';

const NUMBER = (title: string) => ({ title, look: 'number' as const });

/** All that is known of one issue, and the buttons to decide about it. */
export function IssueCard({ detail, refresh }: { detail: IssueDetail; refresh: () => void }) {
  const { issue, fields, consumers, examples, versions, hosts, gateways, tags, upstream_clusters: clusters } = detail;
  const zone = useZone();
  const at = (time: string) => moment(Date.parse(time) / 1000, zone);
  const facts: [string, ReactNode][] = [
    ['Kind', KINDS[issue.kind]],
    ['Route', <RouteLink key="route" method={issue.method} route={issue.route} />],
    ['Status', issue.status === 0 ? 'no response' : issue.status],
    ['Cause', issue.error_type ?? NONE],
    ['Service', `${issue.service}, ${issue.environment}`],
    ['First seen', at(issue.first_seen)],
    ['Last seen', at(issue.last_seen)],
    ['Releases', releasesOf(issue) ?? NONE],
    ['Requests', `${exact(issue.total)} since it was first seen`],
    ['Consumers', `${exact(issue.consumers)}${issue.more_consumers ? ' or more' : ''}`],
    ...(issue.changed_at === null ? [] : [['Decided', `${at(issue.changed_at)}${issue.changed_by === null ? '' : ` by ${issue.changed_by}`}`] satisfies [string, ReactNode]]),
  ];
  return (
    <section className={cardStyles.card} aria-labelledby="issue">
      <header className={cardStyles.head}>
        <h2 id="issue" className={styles.title}>
          {nameOf(issue)}
        </h2>
        <Tag tone={TONES[issue.state]} title={MEANINGS[issue.state]}>
          {issue.state}
        </Tag>
        <CloseButton className={styles.close} size="sm" aria-label="Close the issue" onClick={() => patch({ open: null })} />
      </header>
      <div className={styles.detail}>
        {issue.withheld && <p className={styles.aside}>The text of the error is made of response bodies, which the role viewer does not see.</p>}
        <Decisions issue={issue} refresh={refresh} />
        <dl className={styles.facts}>
          {facts.map(([label, value]) => (
            <div key={label}>
              <dt>{label}</dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
        {fields.length > 0 && (
          <Part title="Refused fields">
            <ScrollTable label="Refused fields" columns={['Field', 'Type', 'Message', NUMBER('Requests')]}>
              {fields.map(({ field, type, message, requests }) => (
                <tr key={`${field} ${type}`}>
                  <th scope="row" className="mono">
                    {field === '' ? NONE : field}
                  </th>
                  <td className="mono">{type ?? NONE}</td>
                  <td>{message ?? NONE}</td>
                  <td className={tableStyles.number}>{tally(requests)}</td>
                </tr>
              ))}
            </ScrollTable>
          </Part>
        )}
        <Part title="Affected consumers">
          <ScrollTable label="Affected consumers" columns={['Consumer', NUMBER('Requests'), 'Last seen']}>
            {consumers.map(({ value, name, requests, last_seen: last }) => (
              <tr key={value}>
                <th scope="row">
                  <ConsumerLink consumer={value} name={name} />
                </th>
                <td className={tableStyles.number}>{tally(requests)}</td>
                <td>{at(last)}</td>
              </tr>
            ))}
          </ScrollTable>
        </Part>
        <Part title="Example requests">
          {examples.length === 0 ? (
            <p className={styles.aside}>The log no longer has any of its requests.</p>
          ) : (
            <ScrollTable label="Example requests" columns={['Time', 'Request ID', 'Consumer', 'Gateway']}>
              {examples.map((example) => (
                <tr key={`${example.time} ${example.request_id}`}>
                  <th scope="row">
                    <Link to={exampleAddress(example)}>{at(example.time)}</Link>
                  </th>
                  <td className="mono">{example.request_id ?? NONE}</td>
                  <td>{example.consumer}</td>
                  <td>{example.gateway}</td>
                </tr>
              ))}
            </ScrollTable>
          )}
        </Part>
        <Values title="Releases" values={versions} />
        <Values title="Tags" values={tags} />
        <Values title="Hosts" values={hosts} />
        <Values title="Upstream clusters" values={clusters} />
        <Values title="Gateways" values={gateways} />
      </div>
    </section>
  );
}

function Part({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section aria-label={title}>
      <h3>{title}</h3>
      {children}
    </section>
  );
}

/** Values with their requests in one line; nothing without. */
function Values({ title, values }: { title: string; values: IssueDetail['hosts'] }) {
  if (values.length === 0) return null;
  return (
    <p className={styles.values}>
      <b>{title}</b> {values.map(({ value, requests }) => `${value} (${tally(requests)})`).join(', ')}
    </p>
  );
}

/** The states that a person can give, except the present one. */
function Decisions({ issue, refresh }: { issue: Issue; refresh: () => void }) {
  const { busy, failure, run } = useChanges(refresh);
  const decide = (change: IssueChange) => run('PUT', `/api/v1/issues/${issue.id}`, change);
  const { state } = issue;
  const decided = state === 'resolved' || state === 'ignored';
  return (
    <div>
      <div className={styles.decisions}>
        {state !== 'resolved' && (
          <Button size="xs" disabled={busy} onClick={() => decide({ state: 'resolved' })}>
            Resolve
          </Button>
        )}
        {state !== 'resolved' && issue.last_version !== null && (
          <Button size="xs" variant="default" disabled={busy} onClick={() => decide({ state: 'resolved', in_next_release: true })}>
            Resolve in the next release
          </Button>
        )}
        {state !== 'ignored' && (
          <Button size="xs" variant="default" disabled={busy} onClick={() => decide({ state: 'ignored' })}>
            Ignore
          </Button>
        )}
        {state !== 'ongoing' && (
          <Button size="xs" variant="default" disabled={busy} onClick={() => decide({ state: 'ongoing' })}>
            {decided ? 'Reopen' : 'Acknowledge'}
          </Button>
        )}
        {issue.in_next_release && <span className={styles.aside}>It regresses when it is seen in another release.</span>}
      </div>
      {failure && <ChangeFailure failure={failure} />}
    </div>
  );
}
