// A strict reader of small XML documents: what is not well-formed throws.

export interface XmlElement {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: readonly (XmlElement | string)[];
}

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };
/** Characters that XML 1.0 has. */
const CHARACTERS = /^[\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]*$/u;

function decoded(text: string): string {
  return text.replace(/&([^;]*);?/g, (whole, name: string) => {
    const number = /^#(\d+)$/.exec(name)?.[1];
    const value = number === undefined ? ENTITIES[name] : String.fromCodePoint(Number(number));
    if (value === undefined || !whole.endsWith(';') || !CHARACTERS.test(value)) throw new Error(`no entity: ${whole}`);
    return value;
  });
}

/** The root element of `text`. */
export function parseXml(text: string): XmlElement {
  if (!CHARACTERS.test(text)) throw new Error('a character that XML does not have');
  const declared = /^<\?xml version="1\.0" encoding="UTF-8"\?>\s*/.exec(text);
  if (declared === null) throw new Error('no XML declaration');
  const token = /<(\/?)([A-Za-z][\w.-]*)((?:\s+[\w.-]+="[^"<]*")*)\s*(\/?)>|([^<]+)/gy;
  token.lastIndex = declared[0].length;
  type Open = { name: string; attributes: Record<string, string>; children: (XmlElement | string)[] };
  const document: Open = { name: '', attributes: {}, children: [] };
  const stack = [document];
  while (token.lastIndex < text.length) {
    const from = token.lastIndex;
    const match = token.exec(text);
    if (match === null) throw new Error(`not XML: ${text.slice(from, from + 60)}`);
    const [, closing, name, attributes = '', empty, characters] = match;
    const top = stack.at(-1) as Open;
    if (characters !== undefined) top.children.push(decoded(characters));
    else if (closing === '/') {
      if (stack.pop()?.name !== name || attributes !== '') throw new Error(`</${name}> closes nothing`);
    } else {
      const element: Open = { name: name as string, attributes: {}, children: [] };
      for (const [, key, value] of attributes.matchAll(/([\w.-]+)="([^"]*)"/g)) {
        if (Object.hasOwn(element.attributes, key as string)) throw new Error(`${key} twice`);
        element.attributes[key as string] = decoded(value as string);
      }
      top.children.push(element);
      if (empty !== '/') stack.push(element);
    }
  }
  const roots = document.children.filter((each) => typeof each !== 'string' || each.trim() !== '');
  const [root] = roots;
  if (stack.length !== 1 || roots.length !== 1 || root === undefined || typeof root === 'string')
    throw new Error('not one element that is closed');
  return root;
}
