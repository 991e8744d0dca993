import tableStyles from './table.module.css';
// The order of a table: its column, its direction, and the heading that changes it.

export interface Order {
  id: string;
  descending: boolean;
}

export interface HeadingProps {
  id: string;
  label: string;
  /** The meaning of the column. */
  help: string;
  /** Id of a longer explanation. */
  describedBy?: string | undefined;
  order: Order;
  /** The direction of the first click. */
  first: 'ascending' | 'descending';
  onOrder: (order: Order) => void;
}

export function Heading({ id, label, help, describedBy, order, first, onOrder }: HeadingProps) {
  const active = order.id === id;
  const direction = order.descending ? 'descending' : 'ascending';
  return (
    <th scope="col" className={id === 'name' ? undefined : tableStyles.number} data-col={id} aria-sort={active ? direction : 'none'}>
      <button type="button" title={help} aria-describedby={describedBy} onClick={() => onOrder({ id, descending: active ? !order.descending : first === 'descending' })}>
        <i className={tableStyles.sort} data-direction={active ? direction : 'none'} />
        {label}
      </button>
    </th>
  );
}

/** Rows by `value`, those of equal value by name; without a `value`, by name alone. */
export function sortedBy<R>(rows: R[], order: Order, value: ((row: R) => number) | undefined, nameOf: (row: R) => string): R[] {
  return rows.toSorted((a, b) => {
    const difference = value ? value(b) - value(a) : nameOf(b).localeCompare(nameOf(a));
    return (order.descending ? difference : -difference) || nameOf(a).localeCompare(nameOf(b));
  });
}

/** The order in the address: `p95` ascending, `-p95` descending. */
export function orderOf(text: string | null, known: string[], otherwise: Order): Order {
  const id = text?.replace(/^-/, '') ?? '';
  return known.includes(id) ? { id, descending: text?.startsWith('-') ?? false } : otherwise;
}

export function orderText({ id, descending }: Order): string {
  return descending ? `-${id}` : id;
}
