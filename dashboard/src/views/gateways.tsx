// Every gateway that has reported: is it alive, what does it run, does it lose anything.

import { exact, percent, tally } from '../format';
import { instancesOf, lifeKey, noticesOf, pulseOf, total, useBusy, type Instance } from '../gateways';
import { Empty, Unreachable } from '../parts/empty';
import { Figure } from '../parts/figure';
import { GatewayTable } from '../parts/gateway-table';
import { Trouble } from '../parts/trouble';
import type { ViewProps } from './view';

export function GatewaysView({ gateways, period, live, params }: ViewProps) {
  const busy = useBusy(gateways.data?.rows);
  const instances = gateways.data && instancesOf(gateways.data.rows);
  return (
    <div className="view">
      <Trouble queries={[gateways]} onRetry={live.refresh} />
      {instances?.length === 0 ? (
        <Empty filters={{}} period={period} gateways={gateways.data} />
      ) : instances === undefined && gateways.failure ? (
        <Unreachable live={live} />
      ) : (
        <>
          {noticesOf(instances ?? []).map(({ level, title, text }) => (
            <section key={title} className={`notice ${level}`} aria-label={level === 'incident' ? 'Incident' : 'Warning'}>
              <h2>
                {level === 'incident' && <span className="tag incident">incident</span>}
                {title}
              </h2>
              <p>{text}</p>
            </section>
          ))}
          <Figures instances={instances} busy={busy} />
          <GatewayTable instances={instances} busy={busy} open={params.get('open')} />
        </>
      )}
    </div>
  );
}

/** All gateways together. */
function Figures({ instances, busy }: { instances: Instance[] | undefined; busy: ReadonlyMap<string, number> }) {
  const live = (instances ?? []).filter(({ latest }) => pulseOf(latest) === 'alive');
  const lives = { lives: (instances ?? []).flatMap((each) => each.lives) };
  const latest = { lives: live.map((each) => each.latest) };
  const [captured, sent] = [total(lives, (life) => life.captured), total(lives, (life) => life.sent)];
  const dropped = total(lives, (life) => Object.values(life.dropped ?? {}).reduce((a, b) => a + b, 0)) ?? 0;
  const held = total(latest, (life) => life.held);
  const active = total(latest, (life) => life.active_requests);
  const shares = latest.lives.map((life) => busy.get(lifeKey(life))).filter((share) => share !== undefined);
  const text = (value: number | undefined, show: (value: number) => string) => (instances === undefined ? undefined : value === undefined ? '–' : show(value));
  const heading = (value: number | undefined, detail: string) => (value === undefined ? 'not reported' : detail);
  return (
    <dl className="figures">
      <Figure label="Live gateways" value={instances && exact(live.length)} detail={instances && `of ${exact(instances.length)} that have reported`} />
      <Figure label="Requests in flight" value={text(active, tally)} detail={heading(active, 'begun and not ended')} />
      <Figure label="Log records captured" value={text(captured, tally)} detail={heading(captured, `${tally(sent ?? 0)} delivered`)} />
      <Figure
        label="Dropped"
        value={text(captured, () => tally(dropped))}
        detail={captured !== undefined && captured > 0 ? <span className={dropped > 0 ? 'change worse' : undefined}>{percent(dropped / captured)} of those captured</span> : 'not reported'}
      />
      <Figure label="Held" value={text(held, tally)} detail={heading(held, 'not delivered yet')} />
      <Figure
        label="Filter’s own time"
        value={text(shares.length === 0 ? undefined : shares.reduce((a, b) => a + b, 0), percent)}
        detail={shares.length === 0 ? 'after two reports' : 'of one core, all gateways'}
      />
    </dl>
  );
}
