// The events that a log is written in: today's, or those of an earlier catalogue, which become today's as they are read.
import type { KernelEvent } from '../../events/index.js';
import { CATALOGUE_VERSION, SHAPES, TYPE_BY_OPCODE } from '../../events/index.js';
import type { OldCatalogue, PlainEvent } from '../../events/history.js';
import { HISTORY, upcasterFrom } from '../../events/history.js';
import type { TypeCodec } from './type-codec.js';
import { typeCodec } from './type-codec.js';

/** How the events of one catalogue are read. */
export interface Vocabulary {
  readonly version: number;
  /** By opcode. */
  readonly codecs: readonly (TypeCodec | undefined)[];
  /** Null: they are today's. */
  readonly upcast: ((event: PlainEvent) => KernelEvent) | null;
}

/** Today's. */
export const TODAY: Vocabulary = {
  version: CATALOGUE_VERSION,
  codecs: Array.from(TYPE_BY_OPCODE, (type) =>
    type === undefined ? undefined : typeCodec(type, SHAPES[type].opcode, Object.entries(SHAPES[type].fields)),
  ),
  upcast: null,
};

/** That of an earlier catalogue; `history` is what leads from it to today's. */
export function oldVocabulary(catalogue: OldCatalogue, history: readonly OldCatalogue[] = HISTORY): Vocabulary {
  const codecs: (TypeCodec | undefined)[] = [];
  for (const { opcode, type, fields } of catalogue.shapes) codecs[opcode] = typeCodec(type, opcode, fields);
  return { version: catalogue.version, codecs, upcast: upcasterFrom(catalogue.version, history) };
}

const made = new Map<number, Vocabulary>([[CATALOGUE_VERSION, TODAY]]);

/** That of catalogue `version`; null if there is none such. */
export function vocabularyOf(version: number): Vocabulary | null {
  let vocabulary = made.get(version);
  if (vocabulary !== undefined) return vocabulary;
  const catalogue = HISTORY.find((each) => each.version === version);
  if (catalogue === undefined) return null;
  made.set(version, (vocabulary = oldVocabulary(catalogue)));
  return vocabulary;
}
