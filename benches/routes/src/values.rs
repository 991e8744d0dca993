//! Realistic identifiers for the parameters of templates.

use crate::api::Ids;
use crate::random::Random;
use crate::random::{Zipf, hash, mix};

/// Distinct values of a parameter that stands alone, and of one that belongs to a value before it.
const VALUES: usize = 3_000;
const VALUES_OF_ONE: usize = 12;
/// Exponent of the law by which values are drawn.
const EXPONENT: f64 = 0.8;

/// Draws values.
pub(crate) struct Values {
    ids: Ids,
    alone: Zipf,
    of_one: Zipf,
}

impl Values {
    pub(crate) fn new(ids: Ids) -> Self {
        Self { ids, alone: Zipf::new(VALUES, EXPONENT), of_one: Zipf::new(VALUES_OF_ONE, EXPONENT) }
    }

    /// A path of a template.
    pub(crate) fn path(&self, template: &str, random: &mut Random) -> String {
        let mut path = String::new();
        let mut before: Option<u64> = None;
        let mut word = "";
        for segment in template.split('/').skip(1) {
            path.push('/');
            let mut rest = segment;
            while let Some((text, behind)) = rest.split_once('{') {
                let (name, behind) = behind.split_once('}').unwrap_or((behind, ""));
                path.push_str(text);
                let rank = if before.is_some() { &self.of_one } else { &self.alone }.draw(random) as u64;
                let seed = mix(hash(name) ^ before.unwrap_or(0).wrapping_mul(31) ^ rank);
                path.push_str(&self.value(name, word, seed));
                before = Some(seed);
                rest = behind;
            }
            path.push_str(rest);
            if !segment.contains('{') {
                word = segment;
            }
        }
        path
    }

    /// The value of a parameter by its name and the word before it.
    fn value(&self, parameter: &str, word: &str, seed: u64) -> String {
        let name = parameter.to_ascii_lowercase();
        let is = |ends: &[&str]| ends.iter().any(|end| name == *end || name.ends_with(&format!("_{end}")));
        if is(&["sha", "commit", "tree", "ref_sha"]) {
            return hex(seed, if seed.is_multiple_of(4) { 7 } else { 40 });
        }
        if name == "version" && word == "apis" {
            return ["v1", "v1alpha1", "v1beta1"][(seed % 3) as usize].to_owned();
        }
        if name == "group" && word == "apis" {
            return format!("{}.example.com", name_of(seed % 30).replace(['-', '_', '.'], ""));
        }
        if is(&["uuid", "guid"]) {
            return uuid(seed);
        }
        if is(&["number", "num", "count", "index", "epoch", "slot", "page", "day", "attempt_number"]) {
            return (seed % 5_000 + 1).to_string();
        }
        if is(&["date"]) {
            return format!("{}-{:02}-{:02}", 2020 + seed % 6, seed / 8 % 12 + 1, seed / 128 % 28 + 1);
        }
        if is(&["email"]) {
            return format!("{}%40example.com", name_of(seed));
        }
        if is(&["ip", "ip_address", "reserved_ip", "reserved_ipv6"]) || name.ends_with("_ip") {
            return format!(
                "{}.{}.{}.{}",
                seed % 200 + 10,
                seed / 256 % 256,
                seed / 65_536 % 256,
                seed / 16_777_216 % 256
            );
        }
        if is(&["issueidorkey", "issuekey", "issue_key"]) {
            return format!(
                "{}-{}",
                ["SHOP", "PAY", "OPS", "WEB"][(seed % 4) as usize],
                seed / 4 % 9_000 + 1
            );
        }
        if is(&["projectidorkey", "projectkeyorid", "projectkey"]) {
            return name_of(seed).replace(['-', '_', '.'], "").to_uppercase().chars().take(6).collect();
        }
        if is(&["address", "stake_address"]) {
            return format!("addr1{}{}", base36(seed, 24), base36(mix(seed), 24));
        }
        if is(&["hash", "hash_or_number", "tx_hash", "asset", "policy_id", "script_hash", "data_hash"]) {
            return hex(seed, 56);
        }
        if is(&["path", "file", "filename", "file_path"]) {
            return format!("{}.{}", name_of(seed), ["md", "rs", "json", "txt"][(seed % 4) as usize]);
        }
        let names = [
            "owner",
            "org",
            "organization",
            "user",
            "username",
            "login",
            "repo",
            "repository",
            "template_owner",
            "template_repo",
            "name",
            "namespace",
            "slug",
            "branch",
            "ref",
            "tag",
            "label",
            "key",
            "group",
            "collection",
            "environment_name",
            "secret_name",
            "variable_name",
            "enterprise",
            "pool",
            "domain_name",
            "database_name",
            "registry_name",
            "team_slug",
            "basehead",
            "security_product",
            "topic_name",
            "package_name",
            "plural",
            "propertykey",
        ];
        if is(&names) || name.ends_with("name") || name.ends_with("slug") || name.ends_with("key") {
            return name_of(seed);
        }
        match self.ids {
            Ids::Number => (seed % 9_000_000 + 1_000).to_string(),
            Ids::Uuid if hash(parameter).is_multiple_of(3) => (seed % 9_000_000 + 1_000).to_string(),
            Ids::Uuid => uuid(seed),
            Ids::Hex => hex(seed, 64),
            Ids::Name => name_of(seed),
            Ids::Prefixed => {
                let prefix: String = word
                    .split('_')
                    .filter_map(|part| part.chars().next())
                    .chain(word.chars().skip(1).take(2))
                    .collect();
                format!("{prefix}_{}", base62(seed, 14 + (hash(word) % 3) as usize * 5))
            }
        }
    }
}

/// A name as people give it to users, repositories, buckets.
pub(crate) fn name_of(seed: u64) -> String {
    const FIRST: [&str; 48] = [
        "acme", "blue", "river", "swift", "red", "north", "ann", "bob", "carol", "delta", "echo", "fox",
        "green", "happy", "iron", "jade", "kilo", "lime", "mint", "nova", "oak", "pine", "quartz", "rose",
        "sun", "tango", "ultra", "vega", "west", "xeno", "young", "zen", "alpha", "bright", "crisp", "dusty",
        "early", "fancy", "grand", "hidden", "ivory", "jolly", "keen", "lunar", "mellow", "noble", "olive",
        "proud",
    ];
    const SECOND: [&str; 48] = [
        "otter", "labs", "shop", "pay", "web", "tools", "stack", "works", "bird", "cloud", "forge", "garden",
        "house", "island", "jungle", "kit", "lake", "moon", "nest", "ocean", "parser", "queue", "rocket",
        "stone", "tower", "union", "valley", "wind", "yard", "zone", "agent", "bridge", "castle", "dragon",
        "engine", "falcon", "gate", "harbor", "ink", "jet", "knot", "lion", "mill", "net", "orbit", "pixel",
        "ridge", "spark",
    ];
    let (first, second) = (FIRST[(seed % 48) as usize], SECOND[(seed / 64 % 48) as usize]);
    match seed / 4_096 % 20 {
        0..=5 => format!("{first}-{second}"),
        6..=9 => format!("{first}{second}"),
        10..=11 => format!("{first}_{second}"),
        12..=13 => format!("{first}-{second}-{}", SECOND[(seed / 131_072 % 48) as usize]),
        14..=16 => format!("{first}{}", &second[..3]),
        17 => format!("{}{}", first[..1].to_uppercase(), &format!("{first}{second}")[1..]),
        18 => format!("{first}{}", seed / 131_072 % 1_000),
        _ => format!("{first}.{second}"),
    }
}

fn hex(seed: u64, length: usize) -> String {
    (0..length).map(|at| char::from(b"0123456789abcdef"[(mix(seed ^ at as u64) % 16) as usize])).collect()
}

fn base36(seed: u64, length: usize) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    (0..length).map(|at| char::from(DIGITS[(mix(seed ^ at as u64) % 36) as usize])).collect()
}

fn base62(seed: u64, length: usize) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    (0..length).map(|at| char::from(DIGITS[(mix(seed ^ at as u64) % 62) as usize])).collect()
}

fn uuid(seed: u64) -> String {
    let digits = hex(seed, 32);
    format!("{}-{}-4{}-8{}-{}", &digits[..8], &digits[8..12], &digits[13..16], &digits[17..20], &digits[20..])
}
