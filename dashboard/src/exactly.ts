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
