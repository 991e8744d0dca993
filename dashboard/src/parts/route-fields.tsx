// The fields of a route's bodies: types, formats and presence.

import { shapeKey, shapesPath, typesOf, type Shape, type Shapes } from '../drift';
import { classes } from '../classes';
import { exact, percent, shortMoment } from '../format';
import type { Filters } from '../location';
import { usePages } from '../pages';
import { useQuery } from '../query';
import { useZone } from '../zone';
import { MoreRows } from './more-rows';
import { ScrollTable } from './scroll-table';
import { Tag } from './tag';
import cardStyles from './card.module.css';
import tableStyles from './table.module.css';
import styles from './route-fields.module.css';

/** Fields shown of each body. */
const MOST_FIELDS = 200;

/** A card for each kind of body that was seen; nothing where none was. */
export function RouteFields({ filters, refreshTick }: { filters: Filters; refreshTick: number }) {
  const path = shapesPath(filters);
  // The view is whole without it, so a failure is not reported.
  const { data } = useQuery<Shapes>(path, path, refreshTick);
  const pages = usePages(data, path, shapeKey);
  return (
    <>
      {pages.rows?.map((shape) => <Fields key={shapeKey(shape)} shape={shape} />)}
      <MoreRows pages={pages} />
    </>
  );
}

function Fields({ shape }: { shape: Shape }) {
  const { service, environment, method, message, status, bodies, fields } = shape;
  const title = `Fields of ${message}s, ${status}`;
  return (
    <section className={cardStyles.card} aria-label={`${title}, ${method}, ${service}, ${environment}`} data-fields={message}>
      <header className={cardStyles.head}>
        <h2>{title}</h2>
        <span className={cardStyles.aside}>
          {method}, {service}, {environment}: {exact(bodies)} {bodies === 1 ? 'body' : 'bodies'} read
        </span>
      </header>
      <ScrollTable label={title} columns={['Field', 'Type', { title: 'Present', look: 'number' }, 'First seen', 'Last seen']}>
        {fields.slice(0, MOST_FIELDS).map((field) => (
          <tr key={field.field} data-vanished={field.vanished || undefined}>
            <th scope="row" className={classes('mono', styles.field)} title={field.field}>
              {field.field === '' ? 'whole body' : field.field}
              {field.vanished && <Tag tone="inactive">vanished</Tag>}
            </th>
            <td>{typesOf(field)}</td>
            <td className={tableStyles.number} title={`${exact(field.seen)} of ${exact(field.of)}`}>
              {field.always ? 'always' : percent(field.of === 0 ? 0 : field.seen / field.of)}
            </td>
            <td>
              <Moment time={field.first_seen} />
            </td>
            <td>
              <Moment time={field.last_seen} />
            </td>
          </tr>
        ))}
      </ScrollTable>
      {fields.length > MOST_FIELDS && <p className={cardStyles.note}>{exact(fields.length - MOST_FIELDS)} more are in the API.</p>}
    </section>
  );
}

function Moment({ time }: { time: string }) {
  const zone = useZone();
  return <time dateTime={time}>{shortMoment(Date.parse(time) / 1000, zone)}</time>;
}
