import type { ReactNode } from 'react';
import type { Links, Request } from '../api';
import { bytes, exact, instant, milliseconds, NONE } from '../format';
import { addressOf } from '../location';
import { MESSAGES } from '../redaction';
import { useQuery } from '../query';
import { keyOf } from '../request';
import { useZone, type Zone } from '../zone';
import { CapturedMessage } from './captured-message';
import { CopyButton } from './copy-button';
import { Copyable } from './copyable';
import { ConsumerName, GroupName, MethodName, RouteName, StatusCode } from './labels';
import { Link } from './link';
import { Masked } from './masked';
import { RelatedRequests } from './related-requests';
import { Waterfall } from './waterfall';
import detailStyles from './detail.module.css';
import styles from './request-detail.module.css';

/** Every field of one request, including fields that this page does not know. */
export function RequestDetail({ request }: { request: Request }) {
  const zone = useZone();
  const links = useQuery<Links>('/api/v1/links', 'links', 0).data;
  const groups = groupsOf(request, zone, links);
  return (
    <div className={detailStyles.detail}>
      <TimeSplit request={request} />
      <div className={detailStyles.groups}>
        {groups.map(({ title, fields }) => (
          <section key={title}>
            <h3>{title}</h3>
            <dl>
              {fields.map(([label, value]) => (
                <div key={label}>
                  <dt>{label}</dt>
                  <dd>{value}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
      {request.withheld !== undefined && request.withheld.length > 0 && (
        <p className={styles.withheld} data-withheld>
          <b>Withheld from your role:</b> {request.withheld.map((field) => field.replaceAll('_', ' ')).join(', ')}. An analyst sees them.
        </p>
      )}
      <div className={detailStyles.messages}>
        {MESSAGES.map((message) => (
          <CapturedMessage key={message} request={request} message={message} />
        ))}
      </div>
      <Waterfall request={request} />
      <RelatedRequests request={request} />
      <p className={detailStyles.actions}>
        <Link to={addressOf('requests', { open: keyOf(request) })}>Link to this request</Link>
        <CopyButton text={JSON.stringify(request, null, 2)} label="Copy as JSON" />
      </p>
    </div>
  );
}

/** The upstream's part of the duration. The rest is not the gateway's own time alone: it includes uploads and downloads. */
function TimeSplit({ request: { duration_ms, upstream_ms } }: { request: Request }) {
  if (upstream_ms === null || upstream_ms === undefined || duration_ms === null) return null;
  const share = duration_ms > 0 ? Math.min(1, upstream_ms / duration_ms) : 0;
  return (
    <div className={styles.split}>
      <div className={styles.splitBar} aria-hidden="true">
        <i style={{ width: `${share * 100}%` }} />
      </div>
      <p>
        <span className={styles.upstream}>Upstream {milliseconds(upstream_ms)}</span>
        <span className={styles.rest} title="Total minus upstream: the gateway, the upload and the download">
          Gateway and transfer {milliseconds(Math.max(0, duration_ms - upstream_ms))}
        </span>
        <span>Total {milliseconds(duration_ms)}</span>
      </p>
    </div>
  );
}

interface Group {
  title: string;
  fields: [string, ReactNode][];
}

const PLACED = new Set([
  'time', 'consumer', 'method', 'route', 'path', 'query', 'status', 'duration_ms', 'upstream_ms', 'request_bytes', 'response_bytes', 'client_address', 'client_port', 'user_agent',
  'consumer_trusted', 'consumer_name', 'consumer_group', 'method_original', 'resend_count', 'weight', 'span_id', 'service', 'environment', 'request_id', 'trace_id', 'response_flags', 'code_details', 'error_type', 'gateway', 'request_headers', 'response_headers', 'request_body', 'response_body',
  'request_body_omitted', 'response_body_omitted', 'grpc_status', 'withheld',
]);

function groupsOf(request: Request, zone: Zone, links: Links | undefined): Group[] {
  const withheld = new Set(request.withheld);
  const text = (field: string): ReactNode => withheld.has(field) ? <span className={styles.away}>withheld</span> : (filled(request[field]) ? <span className="mono"><Masked text={plain(request[field])} /></span> : NONE);
  const size = (field: string) => (typeof request[field] === 'number' ? <span title={`${exact(request[field])} B`}>{bytes(request[field])}</span> : NONE);
  const others = Object.keys(request).filter((field) => !PLACED.has(field));
  return [
    {
      title: 'Request',
      fields: [
        ['Time', <time dateTime={request.time}>{request.time}</time>],
        ...(zone === 'local' ? [['Local', instant(Date.parse(request.time) / 1000, zone)] as [string, ReactNode]] : []),
        ['Route', <RouteName method={request.method} route={request.route} />],
        ['Method', filled(request['method_original']) ? text('method_original') : <MethodName method={request.method} />],
        ['Path', text('path')],
        ['Query', text('query')],
        ['Size', size('request_bytes')],
        ...(typeof request.weight === 'number' && request.weight > 1 ? [['Stands for', `${exact(Math.round(request.weight * 100) / 100)} requests of the sample`] as [string, ReactNode]] : []),
      ],
    },
    {
      title: 'Response',
      fields: [
        ['Status', <StatusCode code={request.status} grpc={request.grpc_status} />],
        ...(typeof request.grpc_status === 'number' ? [['gRPC status', grpcStatus(request.grpc_status)] as [string, ReactNode]] : []),
        ['Error type', text('error_type')],
        ['Flags', <Flags flags={request['response_flags']} />],
        ['Code details', text('code_details')],
        ['Size', size('response_bytes')],
        ['Duration', <span title={request.duration_ms === null ? undefined : `${exact(request.duration_ms)} ms`}>{milliseconds(request.duration_ms)}</span>],
        ['Upstream', milliseconds(request.upstream_ms)],
        ...(filled(request['resend_count']) ? [['Retries', text('resend_count')] as [string, ReactNode]] : []),
      ],
    },
    {
      title: 'Client',
      fields: [
        ['Consumer', <ConsumerName consumer={request.consumer} name={request.consumer_name} />],
        ...(filled(request.consumer_group) ? [['Group', <GroupName group={plain(request.consumer_group)} />] as [string, ReactNode]] : []),
        ['Identity', request['consumer_trusted'] === true ? 'trusted' : 'client-supplied (untrusted)'],
        ['Address', text('client_address')],
        ['Port', text('client_port')],
        ['User agent', text('user_agent')],
      ],
    },
    {
      title: 'Identifiers',
      fields: [
        ['Request id', filled(request.request_id) ? <Copyable text={plain(request.request_id)} name="request id" /> : text('request_id')],
        ['Trace id', filled(request.trace_id) ? <TraceId id={plain(request.trace_id)} links={links} /> : text('trace_id')],
        ['Span id', text('span_id')],
        ['Gateway', text('gateway')],
        ['Service', text('service')],
        ['Environment', text('environment')],
        ...others.map((field): [string, ReactNode] => [words(field), text(field)]),
      ],
    },
  ];
}

function TraceId({ id, links }: { id: string; links: Links | undefined }) {
  return (
    <Copyable text={id} name="trace id">
      {links?.trace.map(({ name, url }) => (
        <a key={name} href={url.replaceAll('{trace_id}', encodeURIComponent(id))} target="_blank" rel="noreferrer">
          Open in {name}
        </a>
      ))}
    </Copyable>
  );
}

/** Envoy's response flags in words; unknown flags are shown as they are. */
const FLAGS: Record<string, string> = {
  DC: 'client disconnected',
  DI: 'delay injected',
  DPE: 'client protocol error',
  DT: 'duration timeout',
  FI: 'abort injected',
  IH: 'invalid header',
  LH: 'local health check failed',
  LR: 'reset by the gateway',
  NC: 'no such cluster',
  NR: 'no route',
  OM: 'overload manager',
  RL: 'rate limited',
  RLSE: 'rate limit service failed',
  SI: 'stream idle timeout',
  UAEX: 'denied by authorization',
  UC: 'upstream connection terminated',
  UF: 'upstream connection failure',
  UH: 'no healthy upstream',
  UMSDR: 'upstream stream too long',
  UO: 'upstream overflow',
  UPE: 'upstream protocol error',
  UR: 'upstream reset',
  URX: 'retries exhausted',
  UT: 'upstream timeout',
};

function Flags({ flags }: { flags: unknown }) {
  if (typeof flags !== 'string' || flags === '') return NONE;
  return flags.split(',').map((flag) => (
    <span key={flag} className={styles.flag}>
      <span className="mono">{flag}</span> {FLAGS[flag]}
    </span>
  ));
}

/** Names of gRPC's status codes, in order from 0. */
const GRPC_STATUSES = [
  'OK', 'CANCELLED', 'UNKNOWN', 'INVALID_ARGUMENT', 'DEADLINE_EXCEEDED', 'NOT_FOUND', 'ALREADY_EXISTS', 'PERMISSION_DENIED', 'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION', 'ABORTED', 'OUT_OF_RANGE', 'UNIMPLEMENTED', 'INTERNAL', 'UNAVAILABLE', 'DATA_LOSS', 'UNAUTHENTICATED',
];

function grpcStatus(code: number): string {
  return `${code} ${GRPC_STATUSES[code] ?? ''}`.trimEnd();
}

function filled(value: unknown): boolean {
  return value !== null && value !== undefined && value !== '' && !(typeof value === 'object' && Object.keys(value).length === 0);
}

function plain(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function words(field: string): string {
  const text = field.replaceAll('_', ' ');
  return text.charAt(0).toUpperCase() + text.slice(1);
}
