/**
 * What is wrong with a value of a body or a query, in the words in which a configuration would be
 * told.
 */
import type { FastifyError } from 'fastify';
import { showValue } from '../../config/problem.ts';

/** What the validator says of one value; `verbose` adds the value and its schema. */
interface Fault {
  readonly instancePath: string;
  readonly keyword: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly data?: unknown;
  readonly parentSchema?: Shape;
}

interface Shape {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly properties?: Readonly<Record<string, unknown>>;
  readonly required?: readonly string[];
  readonly oneOf?: readonly { readonly required: readonly string[] }[];
}

/** One line about the first value at fault: which it is, what was found, what is expected. */
export function explainValue({ validation, validationContext }: FastifyError): string | undefined {
  const faults = (validation ?? []) as unknown as Fault[];
  // Of a choice the validator also tells why each of the other forms does not fit.
  const fault = faults.find(({ keyword }) => keyword === 'oneOf') ?? faults[0];
  if (fault === undefined) return undefined;
  const { instancePath, keyword, params, data, parentSchema = {} } = fault;
  const place = instancePath.slice(1).replaceAll('/', '.') || String(validationContext ?? 'body');
  switch (keyword) {
    case 'additionalProperties': {
      const known = Object.keys(parentSchema.properties ?? {}).join(', ');
      return `${place}: ${String(params['additionalProperty'])} is not a key here; expected ${known}`;
    }
    case 'required':
      return `${place}: ${String(params['missingProperty'])} is missing; expected ${(parentSchema.required ?? []).join(', ')}`;
    case 'oneOf': {
      const forms = (parentSchema.oneOf ?? []).map(({ required }) => required.join(', '));
      return `${place}: has ${Object.keys(Object(data)).join(', ') || 'no key'}; expected either ${forms.join(', or ')}`;
    }
    case 'minimum':
    case 'maximum':
      return `${place}: ${showValue(data)} lies outside the range; expected ${expectation(parentSchema)}`;
    default:
      return `${place}: ${showValue(data)} is not acceptable; expected ${expectation(parentSchema)}`;
  }
}

function expectation({ type, enum: words, minimum, maximum, minItems, maxItems }: Shape): string {
  if (words !== undefined) return `one of ${words.join(', ')}`;
  if (type === 'integer')
    return `a whole number${minimum === undefined ? '' : ` from ${minimum}`}${maximum === undefined ? '' : ` to ${maximum}`}`;
  if (type === 'array') return `a list of ${minItems ?? 0} to ${maxItems ?? 'any number of'} entries`;
  return type === 'object' ? 'a mapping' : 'a text';
}
