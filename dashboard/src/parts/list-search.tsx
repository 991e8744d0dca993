import { TextInput } from '@mantine/core';
import { patchInPlace } from '../location';

/** The search of a list, which is kept in the address. */
export function searchOf(params: URLSearchParams): string {
  return params.get('q') ?? '';
}

/** Whether a text has the words that are searched for. */
export function isFound(text: string, search: string): boolean {
  return text.toLowerCase().includes(search.trim().toLowerCase());
}

export function ListSearch({ title, search, className }: { title: string; search: string; className?: string | undefined }) {
  return (
    <TextInput
      {...(className !== undefined && { className })}
      type="search"
      size="xs"
      aria-label={`Search ${title.toLowerCase()}`}
      placeholder="Search"
      value={search}
      onChange={({ currentTarget: { value } }) => patchInPlace({ q: value === '' ? null : value })}
    />
  );
}
