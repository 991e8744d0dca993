// The page's pure parts, without a browser: whatever they are given, they come to an end with something that can be drawn.

import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, test } from 'node:test';
import { runnerImport } from 'vite';

const source = async (path) => (await runnerImport(fileURLToPath(new URL(`../src/${path}`, import.meta.url)), { configFile: false, logLevel: 'error' })).module;
const [scale, columns, plot, period, format, request, gateways, zone, jsonText, redaction, preview, paused, facts, filters, learned, search, live, exported, consumers, heat, proposal] = await Promise.all(
  ['charts/scale.ts', 'charts/columns.ts', 'charts/plot.ts', 'period.ts', 'format.ts', 'request.ts', 'gateways.ts', 'zone.ts', 'json-text.ts', 'redaction.ts', 'preview.ts', 'paused.ts', 'views/facts.ts', 'exactly.ts', 'learned.ts', 'search.ts', 'live-requests.ts', 'export.ts', 'consumers.ts', 'charts/heat.ts', 'proposal.ts'].map(source),
);

/** Numbers as they should not be, and many as they may be. The sequence is the same in each run. */
const ODD = [NaN, null, Infinity, -Infinity, 0, -0, -1, 5e-324, 1e-320, 1e-9, 0.001, 0.01, 1, 1.0000001, 1e12, 1e300, Number.MAX_VALUE, Number.MAX_SAFE_INTEGER];
let seed = 42;
const random = () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) / 2 ** 32;
const MANY = [...ODD, ...Array.from({ length: 300 }, () => 10 ** (random() * 40 - 20))];

describe('filters by one value', () => {
  test('are written so that the API reads one value, and read back', () => {
    for (const [value, filter] of [
      ['acme', 'acme'],
      ['CN=Ann,O=Acme', 'CN=Ann\\,O=Acme'],
      ['!a!', '\\!a!'],
      ['a\\b', 'a\\\\b'],
      ['', ''],
    ]) {
      assert.equal(filters.exactly(value), filter);
      if (value !== '') assert.deepEqual(filters.listed(`${filter},x`), [value, 'x']);
      assert.equal(filters.literally(filter), value);
    }
    for (const several of ['acme,globex', '!acme', 'acme,!globex']) assert.equal(filters.literally(several), several);
  });
});

describe('the search of the log', () => {
  const offered = (text, caret = text.length, known = []) => search.completions(search.typedAt(text, caret), known).map((each) => each.text);

  test('offers keys and values where the caret is', () => {
    assert.deepEqual(offered('sta'), ['status:', 'grpc_status:']);
    assert.deepEqual(offered('acme -cons'), ['acme -consumer:']);
    assert.deepEqual(offered('status:4', 8).slice(0, 2), ['status:4xx ', 'status:429 ']);
    assert.deepEqual(offered('status:429,50', 13), ['status:429,500 ', 'status:429,503 ', 'status:429,504 ']);
    assert.deepEqual(offered('meth status:5xx', 4), ['method: status:5xx']);
    assert.deepEqual(offered('consumer:ac', 11, ['acme', 'globex', 'Acme, Inc.']), ['consumer:acme ', 'consumer:"Acme, Inc." ']);
    assert.deepEqual(offered('errors:true'), []);
    assert.deepEqual(offered('/v1/orders'), []);
  });

  test('holds any value in quotes', () => {
    for (const [value, written] of [['acme', 'acme'], ['a b', '"a b"'], ['a,b', '"a,b"'], ['say "no"\\', '"say \\"no\\"\\\\"'], ['a*', '"a*"'], ['', '""']]) assert.equal(search.quoted(value), written);
  });

  test('understands the parameters of older links', () => {
    const of = (query) => search.searchOf(new URLSearchParams(query));
    assert.equal(of('q=acme&path=/v1/*&min_duration_ms=20'), 'acme path:/v1/* duration>=20ms');
    assert.equal(of('path=/a b&request_id=x&max_duration_ms=0.5'), 'path="/a b" request_id:x duration<=0.5ms');
    assert.equal(of(''), '');
  });
});

describe('ranges and ticks', () => {
  test('a linear range can be drawn, whatever the data', () => {
    for (const max of MANY) {
      const [low, high] = scale.fromZero(max);
      assert.ok(low === 0 && high > 0 && high < 1e16, `${max}: ${low}..${high}`);
    }
  });

  test('a logarithmic range can be drawn, and has few ticks, all of them inside', () => {
    for (const min of MANY) {
      for (const max of MANY) {
        const [low, high] = scale.decades(min, max);
        assert.ok(low > 0 && low < high && Number.isFinite(high), `${min}..${max}: ${low}..${high}`);
        const ticks = scale.roundValues(low, high);
        assert.ok(ticks.length >= 2 && ticks.length <= 40, `${ticks.length} ticks`);
        assert.ok(ticks.every((tick, index) => tick >= low && tick <= high && (index === 0 || tick > ticks[index - 1])), `${ticks}`);
      }
    }
  });

  test('ticks of any range come to an end', () => {
    for (const min of MANY) for (const max of MANY) assert.ok(scale.roundValues(min, max).length <= 60);
  });

  test('decades of ordinary latencies have their round values', () => {
    assert.deepEqual(scale.roundValues(0.8, 12), [1, 2, 5, 10]);
    assert.deepEqual(scale.roundValues(0.02, 3), [0.03, 0.1, 0.3, 1, 3]);
    assert.deepEqual(scale.roundValues(0.01, 1000), [0.01, 0.1, 1, 10, 100, 1000]);
  });
});

describe('slots', () => {
  test('of any period are few, and hold every moment of it', () => {
    for (let n = 0; n < 2000; n += 1) {
      const now = Math.floor(random() * 4e9);
      const length = Math.ceil(10 ** (random() * 9));
      const choice = random() < 0.5 ? { kind: 'range', range: period.RANGES[Math.floor(random() * 5)] } : { kind: 'custom', from: now, to: now + length };
      const made = period.periodAt(choice.kind === 'custom' ? choiceOf(choice) : choice, Math.max(now, 1e6), 0);
      const slots = columns.slotsOf(made, made.step);
      assert.ok(slots.starts.length >= 1 && slots.starts.length <= 98, `${slots.starts.length} slots`);
      assert.equal(slots.starts[0], made.from, 'the first slot begins with the period');
      assert.equal(made.from % made.step, 0);
      assert.equal(slots.indexOf(made.from), 0);
      assert.equal(slots.indexOf(Math.min(made.exact.to, made.to) - 0.001), slots.starts.length - 1);
      assert.equal(slots.indexOf(made.from - 1), -1);
      assert.ok(made.from <= made.exact.from && made.to >= made.exact.to, 'all that was chosen is in it');
      assert.ok(made.previous.from < made.previous.to);
    }
  });

  test('of a stretch without end are cut', () => {
    assert.ok(columns.slotsOf({ from: 0, to: 1e12 }, 60).starts.length <= 2000);
  });

  test('count failed gRPC calls, whose HTTP status is 200, as errors', () => {
    const classes = (status, requests, errors) => ['ok', 'client', 'server'].map((kind) => columns.ofClass(kind, { status, requests, errors }));
    assert.deepEqual(classes(200, 10, 3), [7, 0, 3]);
    assert.deepEqual(classes(404, 10, 0), [0, 10, 0]);
    assert.deepEqual(classes(503, 10, 10), [0, 0, 10]);
    assert.deepEqual(classes(0, 10, 10), [0, 0, 10]);
  });

  test('whose values are odd give columns of numbers and gaps', () => {
    const slots = columns.slotsOf({ from: 0, to: ODD.length * 60 }, 60);
    for (const kind of ['bars', 'lines']) {
      for (const column of plot.columnsOf(kind, slots, [{ values: ODD }, { values: ODD }], true)) {
        assert.equal(column.length, ODD.length);
        assert.ok(column.every((value) => value === null || Number.isFinite(value) || kind === 'bars'), `${kind}: ${column}`);
      }
    }
  });

  const choiceOf = ({ from, to }) => period.choiceOf(new URLSearchParams({ from: new Date(from * 1000).toISOString(), to: new Date(to * 1000).toISOString() }));
});

describe('texts', () => {
  const check = (name, show, cases) =>
    test(name, () => {
      for (const [value, text] of cases) assert.equal(show(value), text, String(value));
    });
  check('durations', format.milliseconds, [
    [null, '–'], [NaN, '–'], [0, '0 ms'], [0.0004, '0.4 µs'], [0.001, '1 µs'], [0.049, '49 µs'], [0.0993, '99 µs'], [0.0996, '0.1 ms'], [0.1, '0.1 ms'], [0.49, '0.49 ms'],
    [1, '1 ms'], [9.99, '10 ms'], [12.34, '12.3 ms'], [999, '999 ms'], [1500, '1.5 s'], [90_000, '1.5 min'],
  ]);
  check('counts', format.count, [[0, '0'], [999, '999'], [1000, '1k'], [1_402_118, '1.4M'], [NaN, '–']]);
  check('shares', format.percent, [[0, '0 %'], [0.00001, '< 0.01 %'], [0.0437, '4.37 %'], [0.9999, '> 99.9 %'], [1, '100 %']]);

  test('times, in both zones', () => {
    // The tests run wherever they run: local time is compared with what the machine says.
    const iso = '2025-03-30T01:30:05.007Z';
    assert.equal(format.clock(iso, 'utc'), 'Mar 30, 2025 01:30:05.007');
    const local = new Date(iso);
    assert.equal(format.minute(local, 'local'), `${String(local.getHours()).padStart(2, '0')}:${String(local.getMinutes()).padStart(2, '0')}`);
    for (const each of ['utc', 'local']) assert.equal(zone.secondsOf(zone.inputOf(1_769_860_800, each), each), 1_769_860_800);
    assert.equal(zone.zoneWords('utc', local), 'UTC');
  });
});

describe('a table as CSV', () => {
  test('is quoted', () => {
    assert.equal(request.linesOf([['a', 'b'], ['x,"y"', -1], [null, true]]), 'a,b\r\n"x,""y""",-1\r\n,true\r\n');
  });

  test('steers neither a terminal nor a spreadsheet', () => {
    const check = (text, expected) => {
      assert.equal(request.linesOf([[text]]), `${expected}\r\n`, JSON.stringify(text));
    };
    for (const first of ['=', '+', '-', '@', '\t', "'", '＝', '＠']) check(`${first}1`, `'${first}1`);
    check('\u001b[31mred', '\\u{1b}[31mred');
    check('a\u202eb\u009b', 'a\\u{202e}b\\u{9b}');
    check('\u001b=1', '\\u{1b}=1');
    check('é\t1', 'é\t1');
  });
});

describe('a request', () => {
  test('is in both the page and the stream, and is shown once', () => {
    const row = (id, second) => ({ time: `2026-01-05T10:00:0${second}Z`, request_id: id });
    const page = { rows: [row('b', 2), row('a', 1)], next: 'n' };
    assert.equal(live.merged(page, [row('b', 2)], 2), page);
    assert.deepEqual(live.merged(page, [row('c', 3), row('b', 2)], 2), { rows: [row('c', 3), row('b', 2)], next: 'n' });
    // A request is logged when it ends, so that an earlier one may come later.
    assert.deepEqual(live.merged(page, [row('x', 1), row('c', 3)], 4).rows.map(({ request_id }) => request_id), ['c', 'b', 'x', 'a']);
  });

  test('of an export is counted across pieces and quotes', () => {
    const rows = (format, ...pieces) => {
      const lines = new exported.Lines(format);
      pieces.forEach((piece) => lines.take(new TextEncoder().encode(piece)));
      return lines.rows;
    };
    assert.equal(rows('csv', 'time,path\r\n', '1,"a\r\n', 'b"\r\n2,c\r', '\n'), 2);
    assert.equal(rows('csv', 'time,path\r\n'), 0);
    assert.equal(rows('ndjson', '{"a":1}\n{"b', '":2}\n'), 2);
    assert.equal(rows('ndjson'), 0);
  });

  test('is looked for where its key says, or not at all', () => {
    assert.match(request.placeOf('2026-01-05T10:00:00.123456789Z~id'), /from=2026-01-05T10%3A00%3A00\.123Z&to=2026-01-05T10%3A00%3A00\.125Z/);
    assert.match(request.placeOf('2026-01-05T10:00:00Z~id'), /direction=inbound%2Coutbound/, 'a call out has an address, too');
    for (const wrong of ['', '~', 'x~y', '2026-13-01T00:00:00Z~a', 'no key']) assert.equal(request.placeOf(wrong), null, wrong);
  });
});

describe('gateways', () => {
  const live = (instance, config_hash) => ({ instance, epoch: 'e', service: 's', environment: 'p', version: '1', config_hash, first_seen: '', last_seen: new Date().toISOString(), series: 1, overflow: 0, gaps: { metrics: 0, logs: 0 } });
  const check = (name, hashes, expected) =>
    test(`of which some run another configuration: ${name}`, () => {
      const instances = gateways.instancesOf(hashes.map((hash, index) => live(`g${index}`, hash)));
      const odd = gateways.odd(instances, (gateway) => gateway.config_hash);
      assert.deepEqual(instances.filter(({ key }) => odd.has(key)).map(({ latest }) => latest.instance), expected);
    });
  check('all the same', ['a', 'a', 'a'], []);
  check('one of three', ['a', 'b', 'a'], ['g1']);
  check('no majority', ['a', 'b'], ['g0', 'g1']);
  check('alone', ['a'], []);

  test('add up delivery over their epochs, whatever their reports lack', () => {
    const epoch = (captured, sent, dropped, held) => ({ ...live('g', 'a'), captured, sent, dropped, held });
    const sum = (...epochs) => gateways.deliveryOf({ epochs });
    assert.equal(sum(epoch(null, null, null, null), live('g', 'a')), undefined);
    assert.deepEqual(sum(epoch(10, 7, { lost: 3, expired: 0 }, 0), epoch(5, 3, { lost: 0 }, 2), live('g', 'a')), { captured: 15, stored: 10, drops: 3, dropped: [['lost', 3]], held: 2, unaccounted: 0 });
    assert.deepEqual(sum(epoch(3, 0, null, null)), { captured: 3, stored: 0, drops: 0, dropped: [], held: 0, unaccounted: 3 });
  });

  test('use the share of one core between two reports that are far enough apart', () => {
    const at = (seconds, busy_seconds) => [{ instance: 'g', epoch: 'e', busy_seconds, last_seen: new Date(seconds * 1000).toISOString() }];
    const shareAfter = (...reports) => reports.reduce((before, report) => gateways.withReport(before, report), gateways.NO_READINGS).shares.get('g e');
    assert.equal(shareAfter(at(0, 1)), undefined);
    assert.equal(shareAfter(at(0, 1), at(1, 2)), undefined, 'too close');
    assert.equal(shareAfter(at(0, 1), at(10, 2)), 0.1);
    assert.equal(shareAfter(at(0, 1), at(10, 2), at(11, 9)), 0.1, 'the last share stays');
    assert.equal(shareAfter(at(0, 5), at(10, 2)), undefined, 'a counter that went back');
    assert.equal(shareAfter(at(0, null)), undefined);
  });
});

describe('a paused list', () => {
  const row = (time, request_id) => ({ time: new Date(time).toISOString(), request_id });
  const check = (name, rows, shown, expected) => test(`with ${name} waits for ${expected || 'nothing'}`, () => assert.equal(paused.waitingIn(rows, shown), expected));
  check('the same rows', [row(2, 'b'), row(1, 'a')], [row(2, 'b'), row(1, 'a')], '');
  check('one newer row', [row(3, 'c'), row(2, 'b')], [row(2, 'b'), row(1, 'a')], '1');
  check('a page of newer rows', [row(4, 'd'), row(3, 'c')], [row(2, 'b'), row(1, 'a')], '2+');
  check('an older row', [row(2, 'b'), row(0, 'z')], [row(2, 'b')], '');
  check('nothing shown', [row(2, 'b')], [], '1+');
  check('nothing at all', [], [], '');
});

describe('the source', () => {
  test('has no import cycle', async () => {
    const root = fileURLToPath(new URL('../src', import.meta.url));
    const files = (await readdir(root, { recursive: true })).filter((name) => /\.tsx?$/.test(name));
    const graph = new Map();
    for (const name of files) {
      const imports = [...(await readFile(join(root, name), 'utf8')).matchAll(/ from '(\.[^']*)'/g)].map(([, path]) => relative(root, join(root, dirname(name), path)));
      graph.set(name.replace(/\.tsx?$/, ''), imports);
    }
    assert.ok(graph.size > 40 && [...graph.values()].flat().every((path) => graph.has(path) || path.endsWith('.css')), 'every import is found');
    const done = new Set();
    const visit = (name, path) => {
      assert.ok(!path.includes(name), [...path, name].join(' -> '));
      if (done.has(name)) return;
      for (const next of graph.get(name) ?? []) visit(next, [...path, name]);
      done.add(name);
    };
    for (const name of graph.keys()) visit(name, []);
  });

  test('uses every class of its style sheets, and no other', async () => {
    const root = fileURLToPath(new URL('../src', import.meta.url));
    const files = (await readdir(root, { recursive: true })).filter((name) => /\.(tsx|module\.css)$/.test(name));
    const texts = new Map(await Promise.all(files.map(async (name) => [name, await readFile(join(root, name), 'utf8')])));
    const [sheets, components] = [[...texts].filter(([name]) => name.endsWith('.css')), [...texts].filter(([name]) => name.endsWith('.tsx'))];
    const defined = sheets.flatMap(([name, text]) =>
      [...new Set([...text.replace(/:global\([^)]*\)|\/\*[\s\S]*?\*\//g, '').matchAll(/\.([a-zA-Z][\w-]*)(?=[^{};]*\{)/g)].map(([, each]) => each))].map((each) => `${name} ${each}`),
    );
    const used = components.flatMap(([name, text]) =>
      [...text.matchAll(/^import (\w+) from '(.*\.module\.css)'/gm)].flatMap(([, alias, path]) => {
        const sheet = relative(root, join(root, dirname(name), path));
        const names = [...text.matchAll(new RegExp(`\\b${alias}\\.(\\w+)`, 'g'))].map(([, each]) => each);
        // Looked up by a value.
        if (text.includes(`${alias}[`)) names.push(...defined.filter((each) => each.startsWith(`${sheet} `)).map((each) => each.split(' ')[1]));
        assert.ok(names.length > 0, `${name} imports ${path} and does not use it`);
        return names.map((each) => `${sheet} ${each}`);
      }),
    );
    assert.deepEqual([...new Set(used)].sort(), defined.sort());
    const scoped = defined.map((each) => each.replace(/^.*\/|\.module\.css/g, '').split(' ')).map(([file, name]) => (file === name ? name : `${file}-${name}`));
    assert.equal(new Set(scoped).size, scoped.length, 'scoped names are unique');
  });

  test('has a path of its own for every view, and lists for the views of one', () => {
    for (const [view, { path, list, admin }] of Object.entries(facts.VIEWS)) {
      assert.equal(facts.viewAt(path), view);
      if (path !== '/') assert.equal(facts.viewAt(`${path}/`), view);
      // Each stands in one place: in the navigation or in its menu. The views of admins are in the menu of the person.
      const places = [...facts.NAVIGATION, ...facts.MORE].filter((each) => each === view).length;
      assert.equal(places, list === undefined && !admin ? 1 : 0, view);
      if (list) assert.ok(facts.NAVIGATION.includes(list.view), view);
    }
    for (const path of ['', '/nowhere', '/routes/x', '//']) assert.equal(facts.viewAt(path), 'unknown', path);
  });
});

describe('a consumer that changed', () => {
  test('is new only when it is known since when it is counted', () => {
    const of = (news, first) => consumers.standingOf({ news }, first === undefined ? undefined : { first, last: 2000 }, 1000);
    assert.deepEqual([of('new'), of('new', 1200), of('new', 300), of('inactive'), of(undefined, 300)], [undefined, 'new', 'returning', 'gone', undefined]);
  });
});

describe('the durations of two stretches', () => {
  // As the ingest makes bounds: of buckets, 32 for each factor of 2, rounded down to nanoseconds.
  const bounds = (from, to, width) => Array.from({ length: (to - from) / width + 1 }, (_, row) => Math.floor(2 ** ((from + row * width) / 32) * 1e6) / 1e6);
  const sum = (counts) => counts.reduce((a, b) => a + b, 0);

  test('have the same rows, those of the coarser one', () => {
    const now = { bounds: bounds(64, 96, 8), counts: [1, 2, 3, 4] };
    const before = { bounds: bounds(48, 80, 16), counts: [5, 6] };
    for (const [one, other] of [[now, before], [before, now]]) {
      const shared = heat.sharedRows(one, other);
      assert.deepEqual(shared.bounds, bounds(48, 96, 16));
      assert.deepEqual([shared.now, shared.before], one === now ? [[0, 3, 7], [5, 6, 0]] : [[5, 6, 0], [0, 3, 7]]);
    }
  });

  test('lose no request, whatever the rows', () => {
    const rows = (from, to, width, zero) => ({ bounds: bounds(from, to, width).map((bound, index) => (index === 0 && zero ? 0 : bound)), counts: Array.from({ length: (to - from) / width }, (_, row) => row + 1) });
    const some = [rows(-64, -32, 32, false), rows(0, 32, 1, true), rows(32, 64, 2, false), rows(96, 352, 16, true), rows(-640, -608, 32, true)];
    for (const one of some) {
      for (const other of some) {
        const shared = heat.sharedRows(one, other);
        assert.deepEqual([sum(shared.now), sum(shared.before)], [sum(one.counts), sum(other.counts)]);
        assert.ok(shared.bounds.every((bound, index) => index === 0 || bound > shared.bounds[index - 1]), `${shared.bounds}`);
        assert.ok(shared.bounds.length < 500);
      }
    }
  });
});

describe('a rule that the address proposes', () => {
  const of = (query, filters = { method: 'GET', route: '/users/{id}' }, rules = []) => proposal.proposalOf(new URLSearchParams(query), filters, rules);

  test('has the filters as its scope, and bounds that quiet traffic reaches', () => {
    assert.deepEqual(of('measure=error_percent&above=2&least=12'), { name: 'error-percent-get-users-id', measure: 'error_percent', above: 2, min_requests: 12, min_errors: 2, scope: { method: 'GET', route: '/users/{id}' } });
    assert.deepEqual(of('measure=requests_per_minute&below=3', {}), { name: 'requests-per-minute', measure: 'requests_per_minute', below: 3, scope: {} });
    for (const query of ['', 'measure=x', 'measure=disk_percent&above=2']) assert.equal(of(query), undefined);
  });

  test('has a name that the API takes and no other rule has', () => {
    const long = of('measure=p95_ms', { route: '/é/'.repeat(50), consumer: '-'.repeat(80) }).name;
    assert.match(long, /^[a-z0-9-]{1,60}$/);
    assert.equal(of('measure=p95_ms', {}, [{ name: 'p95-ms' }, { name: 'p95-ms-2' }]).name, 'p95-ms-3');
  });
});

describe('a body laid out', () => {
  test('is as JSON.stringify would have it, where that keeps the numbers', () => {
    for (const value of [{}, [], '', 'x', 0, true, null, { a: [] }, [{}], [[], {}], { a: 1, b: [1, { c: '{"d":[,]}\\' }], '': 'é\n"' }, [[[[1], 2]], 'a:b,c']]) {
      const wanted = JSON.stringify(value, null, 2);
      for (const text of [JSON.stringify(value), wanted, ` ${JSON.stringify(value, null, '\t')}\r\n`]) assert.equal(jsonText.laidOut(text), wanted, text);
    }
  });

  test('keeps digits, order and repeated names', () => {
    const text = '{"b":12345678901234567890,"a":1.50,"a":-0,"c":[1E+400,0.1e-7]}';
    assert.equal(jsonText.laidOut(text)?.replace(/\s/g, ''), text);
  });

  test('is left alone where it is not JSON, or nothing would be gained', () => {
    for (const text of ['', 'text', '{"a":1}\n{"a":2}', '{"a":', "{'a':1}", '[1,]', 'a=[CLIENT_REDACTED]&b=1', `${'['.repeat(6000)}${']'.repeat(6000)}`]) {
      assert.equal(jsonText.laidOut(text), undefined, text.slice(0, 40));
    }
  });
});

describe('redaction', () => {
  const bodies = { request: { captured: 1, omitted: { too_large: 2, no_body: 5, spent: 0 } }, response: { captured: 0, omitted: {} } };
  const life = (instance, seconds, hits) => ({
    instance, epoch: `${seconds}`, service: 's', environment: 'p', last_seen: new Date(Date.now() - seconds * 1000).toISOString(),
    redaction: hits && { rules: Object.entries(hits).map(([rule, n]) => ({ rule, hits: n })), bodies },
  });
  const check = (name, lives, expected) =>
    test(`over ${name}`, () => {
      const count = redaction.redactionOfAll(gateways.instancesOf(lives));
      assert.deepEqual(count && Object.fromEntries(count.rules.map(({ rule, hits, gateways: n }) => [rule, [hits, n]])), expected);
    });
  check('nothing', [], undefined);
  check('gateways that do not report', [life('a', 1, null), life('b', 1, undefined)], undefined);
  check('one gateway', [life('a', 1, { 'keys:x': 3, 'keys:y': 0 })], { 'keys:y': [0, 1], 'keys:x': [3, 1] });
  check('two lives, the latest of which says which rules exist', [life('a', 90, { 'keys:x': 3, 'keys:gone': 7 }), life('a', 1, { 'keys:x': 0, 'keys:y': 0 })], { 'keys:y': [0, 1], 'keys:x': [3, 1] });
  check('a life that has not reported yet', [life('a', 90, { 'keys:x': 3 }), life('a', 1, null)], { 'keys:x': [3, 1] });
  check('built-in rules, which are reported once hit', [life('a', 90, { 'default:token': 3 }), life('a', 1, { 'keys:x': 0 })], { 'keys:x': [0, 1], 'default:token': [3, 0] });
  check('two gateways', [life('a', 1, { 'keys:x': 3 }), life('b', 1, { 'keys:x': 0, 'keys:y': 0 })], { 'keys:y': [0, 1], 'keys:x': [3, 2] });
  check('one that fell silent, which has no say in which rules exist', [life('a', 1, { 'keys:x': 0 }), life('b', 900, { 'keys:x': 3, 'keys:misspelt': 0 })], { 'keys:x': [3, 1] });
  check('silent ones alone', [life('b', 900, { 'keys:x': 0 })], { 'keys:x': [0, 1] });

  test('of bodies adds up, those without a body apart', () => {
    const count = redaction.redactionOfAll(gateways.instancesOf([life('a', 1, {}), life('b', 1, {})]));
    assert.deepEqual(count.bodies, { request: { captured: 2, omitted: [['too_large', 4]], none: 10 }, response: { captured: 0, omitted: [], none: 0 } });
  });

  test('names rules as the configuration does', () => {
    const cases = { 'request_body:$.a:b': ['request body', '$.a:b'], 'headers:x-*': ['headers', 'x-*'], 'default:token': ['built-in', 'token'], novel: ['', 'novel'], 'constructor:x': ['', 'constructor:x'] };
    for (const [rule, [list, text]] of Object.entries(cases)) assert.deepEqual(redaction.partsOf(rule), { list, text }, rule);
  });

  test('has a sentence for every reason of the wire, and shows others as they are', () => {
    const names = [
      'no_body', 'grpc', 'upgrade', 'unsupported_media_type', 'unknown_encoding', 'unsupported_charset', 'too_large', 'inflate_bound', 'truncated', 'malformed',
      'invalid_utf8', 'too_deep', 'duplicate_names', 'number_beyond_f64', 'rule_failed', 'memory_limit', 'not_seen',
    ];
    for (const name of names) assert.ok(redaction.bodyReason(name).meaning, name);
    for (const name of ['solar_flare', 'toString']) assert.deepEqual(redaction.bodyReason(name), { label: name, weight: 'notable' });
  });
});

describe('a place in a configuration', () => {
  const check = (text, line, column, marked) =>
    test(`${JSON.stringify(text)} ${line}:${column}`, () => {
      const place = preview.placeIn(text, line, column);
      assert.equal(place && text.slice(place.start, place.end), marked);
    });
  check('{"a": 1}', 1, 2, '"a"');
  check('{"a": true}', 1, 7, 'true');
  check('{\n  "a\\"b": 1\n}', 2, 3, '"a\\"b"');
  check('{"é😀": 1, "b": 2}', 1, 11, '"b"');
  check('{"a": [', 1, 7, '[');
  check('{"a": [\n\n', 3, 1, '[');
  check('{"a": 1}', 1, 0, '{');
  check('{"a": 1}', 1, 900, '}');
  check('{"a": "open\n}', 1, 7, '"open');
  check('{"a": 1}', 2, 1, undefined);
  check('{"a": 1}', 0, 1, undefined);
  check('', 1, 1, undefined);
  check(' \n ', 1, 1, undefined);
});

describe('learned routes', () => {
  const scope = { templates: [{ method: 'GET', route: '/shops/search' }, { method: 'GET', route: '/shops/{param}' }, { method: '_OTHER', route: '/shops/{param}' }] };

  test('are those with a learned parameter, by method', () => {
    const known = (method, route) => learned.isLearned({ rows: [scope] }, method, route);
    assert.deepEqual([known('GET', '/shops/{param}'), known('GET', '/shops/search'), known('POST', '/shops/{param}'), known('GET', '/carts/{param}')], [true, false, false, false]);
    assert.equal(learned.isLearned(undefined, 'GET', '/shops/{param}'), false);
  });

  test('are pasted as templates of known methods', () => {
    assert.deepEqual(JSON.parse(learned.pasteOf(scope)), ['GET /shops/search', 'GET /shops/{param}']);
    assert.equal(learned.learnedPath({ service: 'a b', consumer: 'acme' }), '/api/v1/patterns?service=a+b');
  });
});
