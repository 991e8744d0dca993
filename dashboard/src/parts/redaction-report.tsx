// The redaction report of one gateway or of all, in words.

import { exact } from '../format';
import { bodyReason, MESSAGES, type BodyCount, type RedactionCount, type Message } from '../redaction';
import { Reasons } from './reasons';
import styles from './redaction-report.module.css';

/** The number of rules, and what to do about rules that never matched. */
export function RulesInWords({ rules }: Pick<RedactionCount, 'rules'>) {
  const never = rules.filter(({ hits }) => hits === 0).length;
  if (rules.length === 0) return <p className={styles.words}>No rule is configured, and no built-in rule has matched yet.</p>;
  return (
    <p className={styles.words}>
      {never === 0 ? (
        <>Every rule has matched at least once.</>
      ) : (
        <>
          <b>
            {exact(never)} of {exact(rules.length)} {rules.length === 1 ? 'rule' : 'rules'} never matched.
          </b>{' '}
          Check the spelling: a misspelt rule masks nothing. Otherwise no matching value has passed yet. Use the preview to test a rule.
        </>
      )}
    </p>
  );
}

const TITLES: Record<Message, string> = { request: 'Request bodies', response: 'Response bodies' };

/** Captured and omitted bodies, by message and reason. */
export function BodiesInWords({ bodies }: Pick<RedactionCount, 'bodies'>) {
  return MESSAGES.map((message) => (
    <div key={message} className={styles.bodies} role="group" aria-label={TITLES[message]}>
      <h3>{TITLES[message]}</h3>
      <Sums count={bodies[message]} />
    </div>
  ));
}

function Sums({ count: { captured, omitted, none } }: { count: BodyCount }) {
  const left = omitted.reduce((sum, [, n]) => sum + n, 0);
  if (captured + left + none === 0) return <p className="faint">No bodies yet. Either capture is off for this message, or no request has passed.</p>;
  return (
    <>
      <p>
        <b>{exact(captured)}</b> captured, <b>{exact(left)}</b> omitted{none > 0 && <span className="faint">; {exact(none)} requests had none</span>}
      </p>
      {omitted.length > 0 && <Reasons reasons={omitted.map(([name, count]) => ({ name, count, ...bodyReason(name) }))} />}
    </>
  );
}
