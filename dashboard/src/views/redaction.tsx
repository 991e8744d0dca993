// Redaction over all gateways: the hits of each rule, the fates of bodies, and a preview of a configuration.

import { Skeleton } from '@mantine/core';
import { classes } from '../classes';
import { exact } from '../format';
import { instancesOf } from '../gateways';
import { DataState } from '../parts/data-state';
import { RedactionPreview } from '../parts/redaction-preview';
import { BodiesInWords, RulesInWords } from '../parts/redaction-report';
import { RuleTable } from '../parts/rule-table';
import { redactionOfAll, type RedactionCount } from '../redaction';
import type { ViewProps } from './view';
import cardStyles from '../parts/card.module.css';
import emptyStyles from '../parts/empty.module.css';
import layoutStyles from '../parts/layout.module.css';
import redactionReportStyles from '../parts/redaction-report.module.css';

export function RedactionView({ gateways, live }: ViewProps) {
  const count = gateways.data && redactionOfAll(instancesOf(gateways.data.rows));
  return (
    <div className={layoutStyles.view}>
      <DataState queries={[gateways]} needed={[gateways]} empty={gateways.data !== undefined && count === undefined ? <NotReported /> : null} live={live}>
        <Overview count={count} />
      </DataState>
      <RedactionPreview />
    </div>
  );
}

function NotReported() {
  return (
    <section className={classes(cardStyles.card, emptyStyles.blank)} data-blank>
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
    <div className={layoutStyles.pair}>
      <section className={cardStyles.card} aria-labelledby="rules" aria-busy={count === undefined}>
        <header className={cardStyles.head}>
          <h2 id="rules">Rules</h2>
          <span className={cardStyles.aside}>{count && `${exact(count.gateways)} ${count.gateways === 1 ? 'gateway reports' : 'gateways report'}; hits include earlier starts`}</span>
        </header>
        {count ? (
          <div className={redactionReportStyles.report}>
            <RulesInWords rules={count.rules} />
            {count.rules.length > 0 && <RuleTable rules={count.rules} gateways={count.gateways} />}
          </div>
        ) : (
          <Waiting />
        )}
      </section>
      <section className={cardStyles.card} aria-labelledby="bodies" aria-busy={count === undefined}>
        <header className={cardStyles.head}>
          <h2 id="bodies">Bodies</h2>
          <span className={cardStyles.aside}>captured, or omitted with the reason</span>
        </header>
        {count ? (
          <div className={redactionReportStyles.report}>
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
    <div className={redactionReportStyles.report}>
      <Skeleton height={14} my={6} />
      <Skeleton height={14} my={6} />
      <Skeleton height={14} my={6} />
    </div>
  );
}
