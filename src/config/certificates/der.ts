/**
 * DER as far as it is needed here: elements with their tag, one inside the other, nothing copied.
 */

/** An element of DER. */
export interface Element {
  readonly tag: number;
  /** With its tag and length. */
  readonly whole: Uint8Array;
  readonly content: Uint8Array;
}

export const TAG = {
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utcTime: 0x17,
  generalTime: 0x18,
  sequence: 0x30,
} as const;

/** Thrown where DER is not what it must be. */
export class DerFault extends Error {}

/** The first element of `bytes`, and where it ends. Throws where it is cut off. */
export function firstOf(bytes: Uint8Array, from = 0): { readonly element: Element; readonly end: number } {
  const tag = bytes[from];
  const first = bytes[from + 1];
  if (tag === undefined || first === undefined || (tag & 0x1f) === 0x1f) throw new DerFault('an element is cut off');
  let [begin, length] = [from + 2, first];
  if (first >= 0x80) {
    const size = first & 0x7f;
    if (size === 0 || size > 4) throw new DerFault('a length cannot be');
    length = 0;
    for (; begin < from + 2 + size; begin++) length = length * 256 + (bytes[begin] ?? 0);
  }
  const end = begin + length;
  if (end > bytes.length) throw new DerFault('an element is cut off');
  return { element: { tag, whole: bytes.subarray(from, end), content: bytes.subarray(begin, end) }, end };
}

/** The elements that `bytes` consist of. */
export function* elementsOf(bytes: Uint8Array): Generator<Element> {
  for (let at = 0; at < bytes.length; ) {
    const { element, end } = firstOf(bytes, at);
    yield element;
    at = end;
  }
}

/** The only element that `bytes` consist of. */
export function onlyOf(bytes: Uint8Array, tag: number): Element {
  const { element, end } = firstOf(bytes);
  if (element.tag !== tag || end !== bytes.length) throw new DerFault('something else stands there');
  return element;
}

/** An object identifier with dots. */
export function oidOf({ tag, content }: Element): string {
  if (tag !== TAG.oid) throw new DerFault('an identifier is missing');
  const arcs: number[] = [];
  let arc = 0;
  for (const byte of content) {
    arc = arc * 128 + (byte & 0x7f);
    if ((byte & 0x80) !== 0) continue;
    if (arcs.length === 0) arcs.push(Math.min(2, Math.floor(arc / 40)), arc - 40 * Math.min(2, Math.floor(arc / 40)));
    else arcs.push(arc);
    arc = 0;
  }
  return arcs.join('.');
}

/** Milliseconds since the epoch (RFC 5280 §4.1.2.5). */
export function timeOf({ tag, content }: Element): number {
  const text = Buffer.from(content).toString('latin1');
  const parts = (tag === TAG.utcTime ? /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/ : /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/).exec(text);
  if ((tag !== TAG.utcTime && tag !== TAG.generalTime) || parts === null) throw new DerFault('a time cannot be read');
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = parts.slice(1).map(Number);
  return Date.UTC(tag === TAG.utcTime ? (year < 50 ? 2000 : 1900) + year : year, month - 1, day, hour, minute, second);
}
