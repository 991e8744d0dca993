// What gateways report of redaction, in words: of one of them or of all.

import { exact } from '../format';
import { bodyReason, SIDES, type BodyCount, type RedactionCount, type Side } from '../redaction';

/** How many rules there are, and what it may mean that some never matched. */
export function RulesInWords({ rules }: Pick<RedactionCount, 'rules'>) {
  const never = rules.filter(({ hits }) => hits === 0).length;
  if (rules.length === 0) return <p className="report-words">No rule is configured and no built-in one has matched yet.</p>;
  return (
    <p className="report-words">
      {never === 0 ? (
        <>Every rule has matched.</>
      ) : (
        <>
          <b>
            {exact(never)} of {exact(rules.length)} {rules.length === 1 ? 'rule' : 'rules'} never matched.
          </b>{' '}
          {never === 1 ? 'It' : 'Such a rule'} may be misspelt, and then what it should mask is sent as it is; or nothing that it is about has come yet. The preview shows what a rule does to a body.
        </>
      )}
    </p>
  );
}

const TITLES: Record<Side, string> = { request: 'Request bodies', response: 'Response bodies' };

/** Bodies captured and left out, by direction and reason. */
export function BodiesInWords({ bodies }: Pick<RedactionCount, 'bodies'>) {
  return SIDES.map((side) => (
    <div key={side} className="bodies" role="group" aria-label={TITLES[side]}>
      <h3>{TITLES[side]}</h3>
      <Sums count={bodies[side]} />
    </div>
  ));
}

function Sums({ count: { captured, omitted, none } }: { count: BodyCount }) {
  const left = omitted.reduce((sum, [, n]) => sum + n, 0);
  if (captured + left + none === 0) return <p className="faint">None was captured or left out: capture is off in this direction, or nothing has come yet.</p>;
  return (
    <>
      <p>
        <b>{exact(captured)}</b> captured, <b>{exact(left)}</b> left out{none > 0 && <span className="faint">; {exact(none)} exchanges had none</span>}
      </p>
      {omitted.length > 0 && (
        <ul className="reasons">
          {omitted.map(([reason, n]) => {
            const { label, meaning, weight } = bodyReason(reason);
            return (
              <li key={reason} className={weight}>
                <b>{exact(n)}</b> {label}
                {meaning && <span className="faint">: {meaning}</span>}
              </li>
            );
          })}
        </ul>
      )}
    </>
  );
}
