// Rules with their hits. Rules that never matched come first and are highlighted.

import { TextInput } from '@mantine/core';
import { useState } from 'react';
import { exact, NONE, tally } from '../format';
import { byConcern, partsOf, type RuleCount } from '../redaction';
import { Heading, sortedBy, type Order } from './sort';
import { Tag } from './tag';
import cardStyles from './card.module.css';
import tableStyles from './table.module.css';
import styles from './rule-table.module.css';

export interface RuleTableProps {
  rules: RuleCount[];
  /** The number of gateways; absent for a single gateway. */
  gateways?: number;
}

/** Longer lists have a search field. */
const MANY = 12;

const HEADINGS = [
  { id: 'name', label: 'Rule', help: 'Sort by rule', first: 'ascending' },
  { id: 'hits', label: 'Hits', help: 'Values masked by the rule', first: 'descending' },
] as const;

export function RuleTable({ rules, gateways }: RuleTableProps) {
  const [search, setSearch] = useState('');
  const [order, setOrder] = useState<Order>({ id: 'concern', descending: false });
  const words = search.trim().toLowerCase();
  const found = rules.filter(({ rule }) => `${rule} ${partsOf(rule).list}`.toLowerCase().includes(words));
  const sorted = order.id === 'concern' ? found.toSorted(byConcern) : sortedBy(found, order, order.id === 'hits' ? ({ hits }) => hits : undefined, ({ rule }) => partsOf(rule).text);
  return (
    <div className={styles.rules}>
      {rules.length > MANY && (
        <TextInput type="search" size="xs" className={styles.search} aria-label="Search rules" placeholder="Search" value={search} onChange={(event) => setSearch(event.currentTarget.value)} />
      )}
      <div className={styles.scroll} tabIndex={0} role="group" aria-label="Rules">
        <table className={tableStyles.table}>
          <thead>
            <tr>
              {HEADINGS.map((heading) => (
                <Heading key={heading.id} {...heading} order={order} onOrder={setOrder} />
              ))}
              {gateways !== undefined && (
                <th scope="col" className={tableStyles.number} title="Gateways that have this rule">
                  Gateways
                </th>
              )}
            </tr>
          </thead>
          <tbody>
            {sorted.map(({ rule, hits, gateways: having }) => (
              <tr key={rule} className={hits === 0 ? styles.never : undefined}>
                <th scope="row">
                  <RuleName rule={rule} />
                </th>
                <td className={tableStyles.number} title={exact(hits)}>
                  {hits === 0 ? <Tag tone="warning">never matched</Tag> : tally(hits)}
                </td>
                {gateways !== undefined && <td className={tableStyles.number}>{having === 0 ? NONE : exact(having)}</td>}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {found.length === 0 && rules.length > 0 && <p className={cardStyles.note}>No rule matches “{search}”.</p>}
    </div>
  );
}

function RuleName({ rule }: { rule: string }) {
  const { list, text } = partsOf(rule);
  return (
    <>
      <span className="mono">{text}</span> {list && <small className="faint">{list}</small>}
    </>
  );
}
