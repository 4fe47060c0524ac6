// The hugetlb pool out of a keyframe: the other half of hugetlbOf() in keyframe-encode.ts.
import type { Hugetlb } from '../../reducers/hugetlb-state.js';
import { MalformedError } from './columns.js';
import { arrayOf, isCount } from './event-codec.js';
import { LIMIT, WIDTH } from './keyframe-encode.js';
import { eachRow, numbersIn, placeIn, rowsOf } from './rows.js';

/** The pool, reservation maps, whose they are, and files. Throws MalformedError. */
export function hugetlbFrom(data: unknown): Hugetlb {
  const [counterData, freeData, restoreData, mapData, regionData, vmaData, fileData] = arrayOf(data, 'hugetlb');
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
  const files =
    fileData === undefined ? [] : hugetlbFilesFrom(numbersIn(fileData, LIMIT.ids, 'files of hugetlbfs', LIMIT.ids));
  return { total, free, resv, surplus, max, overcommit, freeList, restore, maps, vmas, files };
}

function hugetlbFilesFrom(numbers: readonly number[]): Hugetlb['files'] {
  if (numbers.length % 4 !== 0) throw new MalformedError('a part of a file of hugetlbfs');
  const files: Hugetlb['files'] = [];
  for (let i = 0; i < numbers.length; i += 4) {
    const [inode, sb, seals, mode] = numbers.slice(i, i + 4) as [number, number, number, number];
    files.push({ inode, sb, seals, mode });
  }
  return files;
}
