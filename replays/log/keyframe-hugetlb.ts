// The hugetlb pool out of a keyframe: the other half of hugetlbOf() in keyframe-encode.ts.
import type { Hugetlb } from '../../reducers/hugetlb-state.js';
import { MalformedError } from './columns.js';
import { arrayOf, isCount } from './event-codec.js';
import { LIMIT, WIDTH } from './keyframe-encode.js';
import { eachRow, numbersIn, placeIn, rowsOf } from './rows.js';

/** The pool, reservation maps, whose they are, and files. Throws MalformedError. */
export function hugetlbFrom(data: unknown): Hugetlb {
  const [counterData, freeData, restoreData, mapData, regionData, vmaData, ...later] = arrayOf(data, 'hugetlb');
  const counters = numbersIn(counterData, LIMIT.numbers, 'counters of the pool', LIMIT.ids);
  const [total = 0, free = 0, resv = 0, surplus = 0, max = 0, overcommit = 0, length = 1] = counters;
  if (!isCount(length, LIMIT.ids) || length < 1) throw new MalformedError('an impossible number of reservation maps');
  const maps = new Array<Hugetlb['maps'][0]>(length).fill(null);
  eachRow(rowsOf(mapData, WIDTH.resvMap, LIMIT.ids, 'reservation maps', LIMIT.ids), (row) => {
    const [id, inode, refs] = row as [number, number, number];
    maps[placeIn(maps, id, 'reservation map')] = { id, inode, refs, regions: [] };
  });
  eachRow(rowsOf(regionData, WIDTH.region, LIMIT.numbers, 'regions', LIMIT.ids), (row) => {
    const [id, from, to] = row as [number, number, number];
    const map = maps[placeIn(maps, id, 'reservation map')];
    if (!map) throw new MalformedError('a region of no map');
    map.regions.push(from, to);
  });
  const vmas: Hugetlb['vmas'] = [];
  eachRow(rowsOf(vmaData, WIDTH.hugetlbVma, LIMIT.numbers, 'owners of reservations', LIMIT.ids), (row) => {
    const [mm, start, map, flags, reserved] = row as [number, number, number, number, number];
    vmas.push({ mm, start, map, flags, reserved });
  });
  const freeList = numbersIn(freeData, LIMIT.frames, 'free huge pages');
  const restore = numbersIn(restoreData, LIMIT.frames, 'huge pages with a reservation');
  // Of an older log there are none.
  const [fileData, mountData = [], chargedData, stuckData] = later;
  const alike = LIMIT.ids;
  const fileNumbers = fileData === undefined ? [] : numbersIn(fileData, LIMIT.ids, 'files of hugetlbfs', alike);
  const files = rows(fileNumbers, 4, 'files of hugetlbfs').map(([inode = 0, sb = 0, seals = 0, mode = 0]) => {
    return { inode, sb, seals, mode };
  });
  const subpools = arrayOf(mountData, 'mounts of hugetlbfs').map(subpoolFrom);
  const chargedNumbers =
    chargedData === undefined ? [] : numbersIn(chargedData, LIMIT.frames, 'pages of mounts', alike);
  const charged = rows(chargedNumbers, 2, 'pages of mounts').map(([pfn = 0, sb = 0]) => ({ pfn, sb }));
  const unmovable = stuckData === undefined ? [] : numbersIn(stuckData, LIMIT.frames, 'huge pages that stay');
  return {
    total,
    free,
    resv,
    surplus,
    max,
    overcommit,
    freeList,
    restore,
    unmovable,
    maps,
    vmas,
    files,
    subpools,
    charged,
  };
}

/** Rows of `width` numbers each that stand one behind the other. Throws MalformedError. */
function rows(numbers: readonly number[], width: number, what: string): (readonly number[])[] {
  if (numbers.length % width !== 0) throw new MalformedError(`a part of a row of ${what}`);
  return Array.from({ length: numbers.length / width }, (_, i) => numbers.slice(i * width, (i + 1) * width));
}

function subpoolFrom(data: unknown): Hugetlb['subpools'][0] {
  const [name, ...bounds] = arrayOf(data, 'a mount of hugetlbfs');
  const numbers = bounds.map((each) => (Number.isSafeInteger(each) ? (each as number) : Number.NaN));
  const [max = Number.NaN, min = Number.NaN, used = Number.NaN, rsv = Number.NaN] = numbers;
  if (typeof name !== 'string' || [max, min, used, rsv].some(Number.isNaN))
    throw new MalformedError('a mount of hugetlbfs that is none');
  return { name, max, min, used, rsv };
}
