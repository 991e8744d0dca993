// All gateways: liveness, version, configuration, and the delivery of events; and what the ingest stores of it.

import { GATEWAYS } from '../api';
import { classes } from '../classes';
import { exact, percent, tally } from '../format';
import { deliveryOf, epochKey, instancesOf, livenessOf, noticesOf, total, useBusy, type Instance } from '../gateways';
import { usePages } from '../pages';
import { DataState } from '../parts/data-state';
import { Empty } from '../parts/empty';
import { Figure } from '../parts/figure';
import { GatewayTable } from '../parts/gateway-table';
import { MoreRows } from '../parts/more-rows';
import { StorageCard } from '../parts/storage';
import { Tag } from '../parts/tag';
import type { ViewProps } from './view';
import figureStyles from '../parts/figure.module.css';
import layoutStyles from '../parts/layout.module.css';
import styles from './gateways.module.css';

export function GatewaysView({ gateways, period, live, params }: ViewProps) {
  const pages = usePages(gateways.data, GATEWAYS, epochKey);
  const busy = useBusy(gateways.data?.rows);
  const instances = pages.rows && instancesOf(pages.rows);
  return (
    <div className={layoutStyles.view}>
      <DataState queries={[gateways]} needed={[gateways]} empty={instances?.length === 0 ? <Empty filters={{}} period={period} gateways={gateways.data} /> : null} live={live}>
        {noticesOf(instances ?? []).map(({ level, title, text }) => (
          <section key={title} className={classes(styles.notice, level === 'incident' && styles.incident)} aria-label={level === 'incident' ? 'Incident' : 'Warning'}>
            <h2>
              {level === 'incident' && <Tag tone="incident">incident</Tag>}
              {title}
            </h2>
            <p>{text}</p>
          </section>
        ))}
        <Figures instances={instances} busy={busy} />
        <GatewayTable instances={instances} busy={busy} open={params.get('open')} />
        <MoreRows pages={pages} />
      </DataState>
      <StorageCard refreshTick={period.refreshTick} onRetry={live.refresh} />
    </div>
  );
}

/** All gateways together. Captured = stored + dropped + held, over all epochs. */
function Figures({ instances, busy }: { instances: Instance[] | undefined; busy: ReadonlyMap<string, number> }) {
  const live = (instances ?? []).filter(({ latest }) => livenessOf(latest) === 'alive');
  const delivery = deliveryOf({ epochs: (instances ?? []).flatMap((each) => each.epochs) });
  const latest = { epochs: live.map((each) => each.latest) };
  const active = total(latest, (epoch) => epoch.active_requests);
  const shares = latest.epochs.map((epoch) => busy.get(epochKey(epoch))).filter((share) => share !== undefined);
  const cpu = shares.length === 0 ? undefined : shares.reduce((a, b) => a + b, 0);
  const text = (value: number | undefined, show: (value: number) => string) => (instances === undefined ? undefined : value === undefined ? '–' : show(value));
  const detail = (value: number | undefined, words: string) => (value === undefined ? 'not reported' : words);
  // All digits as long as they fit, so that the figures visibly add up.
  const inFull = (value: number) => (value < 100_000_000 ? exact(value) : tally(value));
  return (
    <dl className={figureStyles.figures}>
      <Figure label="Live gateways" value={instances && exact(live.length)} detail={instances && `of ${exact(instances.length)} seen`} />
      <Figure label="Active requests" value={text(active, tally)} detail={detail(active, 'in progress')} />
      <Figure label="Events captured" value={text(delivery?.captured, inFull)} detail={delivery ? `${exact(delivery.stored)} stored` : 'not reported'} />
      <Figure
        label="Events dropped"
        value={text(delivery?.drops, inFull)}
        detail={delivery ? <span className={delivery.drops > 0 ? classes(figureStyles.change, figureStyles.worse) : undefined}>{percent(delivery.captured > 0 ? delivery.drops / delivery.captured : 0)} of captured</span> : 'not reported'}
      />
      <Figure label="Events held" value={text(delivery?.held, inFull)} detail={delivery ? 'not sent yet' : 'not reported'} />
      <Figure label="Filter CPU" value={text(cpu, percent)} detail={cpu === undefined ? 'needs two reports' : 'of one core, all gateways'} />
    </dl>
  );
}
