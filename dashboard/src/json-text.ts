// Indents JSON as text. Values are not parsed, so numbers keep their digits and members their order.

/** The limit on the indented text, in characters. Only a text with extremely deep nesting exceeds it. */
const LONGEST = 4_000_000;

/** The text with every member and element on a line of its own; `undefined` if it is not JSON. */
export function laidOut(text: string): string | undefined {
  if (!isJson(text)) return undefined;
  let out = '';
  let depth = 0;
  for (let at = 0; at < text.length; ) {
    const char = text[at] ?? '';
    if (char === '"') {
      const end = endOfString(text, at);
      out += text.slice(at, end);
      at = end;
    } else if (char === '{' || char === '[') {
      const next = afterBlanks(text, at + 1);
      if (text[next] === '}' || text[next] === ']') {
        out += char + text[next];
        at = next + 1;
      } else {
        depth += 1;
        out += char + line(depth);
        at += 1;
      }
    } else {
      if (char === '}' || char === ']') {
        depth -= 1;
        out += line(depth) + char;
      } else if (char === ',') out += char + line(depth);
      else if (char === ':') out += ': ';
      else if (!BLANK.has(char)) out += char;
      at += 1;
    }
    if (out.length > LONGEST) return undefined;
  }
  return out;
}

/** The end of the string that opens at `start`, or the end of the text if the string is not closed. */
export function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at += 1) {
    if (text[at] === '\\') at += 1;
    else if (text[at] === '"') return at + 1;
  }
  return text.length;
}

const BLANK = new Set([' ', '\t', '\n', '\r']);

function afterBlanks(text: string, start: number): number {
  let at = start;
  while (BLANK.has(text[at] ?? '')) at += 1;
  return at;
}

function line(depth: number): string {
  return `\n${'  '.repeat(depth)}`;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
