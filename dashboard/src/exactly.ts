// Filters in the grammar of the read API: commas separate values, a leading `!` excludes, a backslash takes the next
// character as it is.

/** The filter that takes this value and no other. */
export function exactly(value: string): string {
  return value.replace(/[\\,]/g, '\\$&').replace(/^!/, '\\!');
}

/** The value of a filter that `exactly` has made; other filters as they are written. */
export function literally(filter: string): string {
  const value = filter.replace(/\\(.)/g, '$1');
  return exactly(value) === filter ? value : filter;
}

/** The values of a filter that asks for any of some; `undefined` where it excludes some. */
export function listed(filter: string): string[] | undefined {
  const parts = filter.match(/(?:\\.|[^,\\])+/g) ?? [];
  return parts.some((part) => part.startsWith('!')) ? undefined : parts.map((part) => part.replace(/\\(.)/g, '$1'));
}
