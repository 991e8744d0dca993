// Redaction over all gateways: the hits of each rule, the fates of bodies, and a preview of a configuration.

import { Skeleton } from '@mantine/core';
import { exact } from '../format';
import { instancesOf } from '../gateways';
import { DataState } from '../parts/data-state';
import { RedactionPreview } from '../parts/redaction-preview';
import { BodiesInWords, RulesInWords } from '../parts/redaction-report';
import { RuleTable } from '../parts/rule-table';
import { redactionOfAll, type RedactionCount } from '../redaction';
import type { ViewProps } from './view';

export function RedactionView({ gateways, live }: ViewProps) {
  const count = gateways.data && redactionOfAll(instancesOf(gateways.data.rows));
  return (
    <div className="view">
      <DataState queries={[gateways]} needed={[gateways]} empty={gateways.data !== undefined && count === undefined ? <NotReported /> : null} live={live}>
        <Overview count={count} />
      </DataState>
      <RedactionPreview />
    </div>
  );
}

function NotReported() {
  return (
    <section className="card blank">
      <h2>No gateway reports redaction yet</h2>
      <p>
        Set <code>capture</code> in the configuration of a gateway, and <code>redact</code> to mask values. The hits of each rule and the fates of bodies then appear here. Test both in the
        preview below first.
      </p>
    </section>
  );
}

function Overview({ count }: { count: RedactionCount | undefined }) {
  return (
    <div className="pair redaction">
      <section className="card" aria-labelledby="rules" aria-busy={count === undefined}>
        <header className="card-head">
          <h2 id="rules">Rules</h2>
          <span className="card-aside">{count && `${exact(count.gateways)} ${count.gateways === 1 ? 'gateway reports' : 'gateways report'}; hits include earlier starts`}</span>
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
          <span className="card-aside">captured, or omitted with the reason</span>
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
