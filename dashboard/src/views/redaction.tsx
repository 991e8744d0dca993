// Redaction over all gateways: which rules match, what became of bodies; and what a configuration would do to a body.

import { Skeleton } from '@mantine/core';
import { exact } from '../format';
import { instancesOf } from '../gateways';
import { Unreachable } from '../parts/empty';
import { RedactionPreview } from '../parts/redaction-preview';
import { BodiesInWords, RulesInWords } from '../parts/redaction-report';
import { RuleTable } from '../parts/rule-table';
import { Trouble } from '../parts/trouble';
import { redactionOfAll, type RedactionCount } from '../redaction';
import type { ViewProps } from './view';

export function RedactionView({ gateways, live }: ViewProps) {
  const count = gateways.data && redactionOfAll(instancesOf(gateways.data.rows));
  return (
    <div className="view">
      <Trouble queries={[gateways]} onRetry={live.refresh} />
      {gateways.data === undefined && gateways.failure ? (
        <Unreachable live={live} />
      ) : gateways.data !== undefined && count === undefined ? (
        <section className="card blank">
          <h2>No gateway reports redaction yet</h2>
          <p>
            What rules match and what becomes of bodies is shown here once a gateway captures something: its configuration says what in <code>capture</code>, and what is masked in it in{' '}
            <code>redact</code>. Try both below before a gateway does.
          </p>
        </section>
      ) : (
        <Overview count={count} />
      )}
      <RedactionPreview />
    </div>
  );
}

function Overview({ count }: { count: RedactionCount | undefined }) {
  return (
    <div className="pair redaction">
      <section className="card" aria-labelledby="rules" aria-busy={count === undefined}>
        <header className="card-head">
          <h2 id="rules">Rules</h2>
          <span className="card-aside">{count && `${exact(count.gateways)} ${count.gateways === 1 ? 'gateway reports' : 'gateways report'}; hits over all of their starts`}</span>
        </header>
        {count ? (
          <div className="report">
            <RulesInWords rules={count.rules} />
            {count.rules.length > 0 && <RuleTable rules={count.rules} gateways={count.gateways} />}
          </div>
        ) : (
          <Waiting />
        )}
      </section>
      <section className="card" aria-labelledby="bodies" aria-busy={count === undefined}>
        <header className="card-head">
          <h2 id="bodies">Bodies</h2>
          <span className="card-aside">captured, or left out and why</span>
        </header>
        {count ? (
          <div className="report">
            <BodiesInWords bodies={count.bodies} />
          </div>
        ) : (
          <Waiting />
        )}
      </section>
    </div>
  );
}

function Waiting() {
  return (
    <div className="report">
      <Skeleton height={14} my={6} />
      <Skeleton height={14} my={6} />
      <Skeleton height={14} my={6} />
    </div>
  );
}
