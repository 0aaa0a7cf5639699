// JSON that is still being written, made readable.

const kIndent = '  ';
const kDeepest = 40;  // levels that are indented: each line costs its own

// A string, which may lack its end, a mark, or what stands between those.
const kParts = /"(?:[^"\\]+|\\.)*(?:"|\\?$)|[{}[\],:]|[^\s"{}[\],:]+/gs;

// `text` with a line for each member and element. It may break off anywhere, and what is no JSON
// stays as it is but for its spaces outside of strings.
export function indented(text) {
  let out = '';
  let depth = 0;
  let last = '';  // the last character that is no space
  const line = () => `\n${kIndent.repeat(Math.min(depth, kDeepest))}`;
  for (const [part] of text.matchAll(kParts)) {
    if (part === '}' || part === ']') {
      depth = Math.max(0, depth - 1);
      if (last && last !== '{' && last !== '[') out += line();
    } else if (last === '{' || last === '[' || last === ',') {
      out += line();
    } else if (last === ':') {
      out += ' ';
    }
    if (part === '{' || part === '[') ++depth;
    out += part;
    last = part;
  }
  return out;
}
