/**
 * JSON for reading, with integers that JavaScript's numbers cannot hold kept digit by digit.
 * `JSON.parse` rounds 12345678901234567890; a payload shown wrong is worse than none.
 */
export function prettyJson(text: string): string {
  let out = '';
  let depth = 0;
  let isString = false;
  const line = () => '\n' + '  '.repeat(depth);
  for (let at = 0; at < text.length; at++) {
    const char = text[at] as string;
    if (isString) {
      out += char;
      if (char === '\\') out += text[++at] ?? '';
      else if (char === '"') isString = false;
    } else if (char === '"') {
      isString = true;
      out += char;
    } else if (char === '{' || char === '[') {
      const next = /\S/.exec(text.slice(at + 1))?.[0];
      if (next === (char === '{' ? '}' : ']')) {
        out += char + next;
        at = text.indexOf(next, at + 1);
      } else {
        depth++;
        out += char + line();
      }
    } else if (char === '}' || char === ']') {
      depth--;
      out += line() + char;
    } else if (char === ',') out += char + line();
    else if (char === ':') out += ': ';
    else if (!/\s/.test(char)) out += char;
  }
  return out;
}

/** The text of one member of a JSON object, as it stands in the text. */
export function member(text: string, name: string): string | undefined {
  let depth = 0;
  let isString = false;
  let key: string | undefined;
  let begin = -1;
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (isString) {
      if (char === '\\') at++;
      else if (char === '"') {
        isString = false;
        if (depth === 1 && begin < 0) key = JSON.parse(text.slice(text.lastIndexOf('"', at - 1), at + 1)) as string;
      }
      continue;
    }
    if (char === '"') isString = true;
    else if (char === ':' && depth === 1 && begin < 0 && key === name) begin = at + 1;
    else if (char === '{' || char === '[') depth++;
    else if (char === '}' || char === ']') {
      depth--;
      if (begin >= 0 && depth === 0) return text.slice(begin, at).trim();
    } else if (char === ',' && depth === 1) {
      if (begin >= 0) return text.slice(begin, at).trim();
      key = undefined;
    }
  }
  return undefined;
}
