//! What the benchmarks redact: bodies as services send them, and the rules that are measured.

use std::fmt::Write;

use gatelens_redact::RedactConfig;

/// An array of orders, as a JSON text of about `bytes` bytes: nested addresses, lists of items, times, URLs, text in
/// several scripts, escapes, and some names that the built-in rules mask.
pub fn orders(bytes: usize) -> String {
    let mut out = String::with_capacity(bytes.saturating_add(1_024));
    out.push_str("{\"page\":1,\"total\":4711,\"orders\":[");
    let mut random = Random(7);
    for number in 1_u64.. {
        order(number, &mut random, &mut out);
        if out.len().saturating_add(2) >= bytes {
            break;
        }
        out.push(',');
    }
    out.push_str("]}");
    out
}

/// The same, in lines and indented, as people read it.
pub fn orders_indented(bytes: usize) -> String {
    let mut out = String::with_capacity(bytes.saturating_mul(2));
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for c in orders(bytes).chars() {
        if in_string {
            out.push(c);
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            '{' | '[' => depth = depth.saturating_add(1),
            '}' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        let newline = |out: &mut String| {
            out.push('\n');
            (0..depth).for_each(|_| out.push_str("  "));
        };
        if matches!(c, '}' | ']') {
            newline(&mut out);
        }
        out.push(c);
        match c {
            '{' | '[' | ',' => newline(&mut out),
            ':' => out.push(' '),
            '"' => in_string = true,
            _ => {}
        }
        if out.len() >= bytes && depth == 0 {
            break;
        }
    }
    out
}

/// An object of which every name is another one, as maps by identifier are.
pub fn by_identifier(bytes: usize) -> String {
    let mut out = String::from("{");
    let mut random = Random(11);
    while out.len() < bytes {
        let (a, b) = (random.next(), random.next());
        let _ = write!(out, "\"{a:016x}-{b:016x}\":{{\"seen\":{}}},", a % 1_000);
    }
    out.push_str("\"last\":null}");
    out
}

/// Orders, one on each line.
pub fn lines(bytes: usize) -> String {
    let (mut out, mut random) = (String::with_capacity(bytes.saturating_add(1_024)), Random(7));
    for number in 1_u64.. {
        order(number, &mut random, &mut out);
        out.push('\n');
        if out.len() >= bytes {
            break;
        }
    }
    out
}

/// Orders, each the data of a server-sent event.
pub fn events(bytes: usize) -> String {
    let event = |(number, line): (usize, &str)| format!("id: {number}\nevent: order\ndata: {line}\n\n");
    lines(bytes).lines().enumerate().map(event).collect()
}

/// A form with nested names, encoded values and some names that the built-in rules mask.
pub fn form(bytes: usize) -> String {
    let (mut out, mut random) = (String::from("page=1"), Random(7));
    for number in 1_u64.. {
        let id = random.next();
        let _ = write!(
            out,
            "&order%5B{number}%5D%5Bid%5D={id:016x}&order[{number}][name]=Ann+Smith&email=user{number}%40example.com\
             &shipping.street=Stra%C3%9Fe+{number}&accessToken={id:032x}&total=12.{number}&card[number]=4111&note=leave+it%21",
        );
        if out.len() >= bytes {
            break;
        }
    }
    out
}

/// Log lines with times, values and names before separators.
pub fn prose(bytes: usize) -> String {
    let (mut out, mut random) = (String::new(), Random(7));
    for number in 1_u64.. {
        let id = random.next();
        let _ = writeln!(
            out,
            "2026-03-01T12:{:02}:07Z level=info msg=\"order paid\" order={id:016x} took={}ms path=/orders/{number}: the customer \
             asked for an invoice, see https://shop.example.com/orders/{number}?view=full. Password: none",
            number % 60,
            id % 100,
        );
        if out.len() >= bytes {
            break;
        }
    }
    out
}

/// `count` paths of names, wildcards, indices, slices and descendants, of which some find something in [`orders`].
pub fn paths(count: usize) -> Vec<String> {
    let some = [
        "$.orders[*].customer.email",
        "$..iban",
        "$.orders[*].shipping.street",
        "$.orders[0].note",
        "$.orders[*].items[0:2].price",
    ];
    let field = |number: usize| match number % 4 {
        0 => format!("$.orders[*].customer.private_{number}"),
        1 => format!("$..hidden_{number}"),
        2 => format!("$.accounts[{number}].owner"),
        _ => format!("$.profile_{number}.*.phone"),
    };
    some.into_iter().map(str::to_owned).chain((0..).map(field)).take(count).collect()
}

/// The rules for request bodies.
pub fn rules(paths: Vec<String>, defaults: Defaults) -> RedactConfig {
    RedactConfig { request_body: paths, defaults: defaults == Defaults::On, ..RedactConfig::default() }
}

/// Whether the built-in names are masked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defaults {
    /// As without configuration.
    On,
    /// The configured rules alone.
    Off,
}

fn order(number: u64, random: &mut Random, out: &mut String) {
    let pick = |texts: &[&'static str], random: &mut Random| {
        texts[usize::try_from(random.next()).unwrap_or(0) % texts.len()]
    };
    let name = pick(&["Ann Smith", "Jürgen Groß", "山田太郎", "Łukasz Żak", "O\\u2019Neill"], random);
    let city = pick(&["Berlin", "São Paulo", "東京", "New York", "Kraków"], random);
    let note = pick(
        &[
            "",
            "leave it at the door",
            "call \\\"Bob\\\" first\\nthen ring twice \\u00e0 gauche",
            "Gift. Please do not put the invoice into the parcel; it goes to the address of the company, by post.",
        ],
        random,
    );
    let (id, price) = (random.next(), random.next() % 100_000);
    let _ = write!(
        out,
        "{{\"id\":\"{id:016x}\",\"number\":{number},\"createdAt\":\"2026-03-{:02}T{:02}:14:07.123Z\",\"status\":\"{}\",\
         \"customer\":{{\"id\":{},\"name\":\"{name}\",\"email\":\"user{number}@example.com\",\"phone\":\"+49 30 {price:07}\",\
         \"loyal\":{},\"accessToken\":\"{id:032x}\",\"preferences\":{{\"newsletter\":true,\"language\":\"de-DE\",\"tags\":\
         [\"a\",\"b\",\"{city}\"]}}}},\"shipping\":{{\"street\":\"Straße {}\",\"zip\":\"{:05}\",\"city\":\"{city}\",\
         \"location\":{{\"lat\":52.{price},\"lon\":-13.{number}}},\"instructions\":null}},\"items\":[",
        number % 28 + 1,
        number % 24,
        pick(&["paid", "shipped", "returned"], random),
        id % 10_000,
        id % 2 == 0,
        number % 200,
        price,
    );
    for item in 0..random.next() % 5 + 1 {
        if item > 0 {
            out.push(',');
        }
        let _ = write!(
            out,
            "{{\"sku\":\"SKU-{:06}\",\"title\":\"{}\",\"quantity\":{},\"price\":{}.{:02},\"currency\":\"EUR\",\
             \"image\":\"https://cdn.example.com/p/{id:x}/{item}.webp?w=640\",\"attributes\":{{\"color\":\"blue\",\"size\":null}}}}",
            random.next() % 1_000_000,
            pick(&["Mug", "Kaffeemaschine „Roma“", "Notebook 14\\\"", "抹茶 set", "T-shirt"], random),
            item + 1,
            price / 100,
            price % 100,
        );
    }
    let _ = write!(
        out,
        "],\"total\":{}.{:02},\"payment\":{{\"method\":\"card\",\"cardNumber\":\"4111111111111111\",\"holder\":\"{name}\",\
         \"expires\":\"2029-01\"}},\"note\":\"{note}\",\"self\":\"/orders/{id:016x}\"}}",
        price / 10,
        price % 100,
    );
}

/// The same numbers each time (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
