//! Words that look like identifiers and are none.

/// Whether `@…` names a role and not a user.
pub(super) fn is_mention(text: &str) -> bool {
    matches!(text, "@me" | "@self" | "@all" | "@original" | "@current" | "@here" | "@everyone")
}

/// Whether a word with digits is a technical term or a version.
pub(super) fn is_technical(word: &str) -> bool {
    is_version(word) || TECHNICAL.iter().any(|term| term.eq_ignore_ascii_case(word))
}

/// `v1alpha1`, `v20`, `V2`: one letter, a number of up to three digits, and a stage with its own number.
fn is_version(word: &str) -> bool {
    let Some(rest) = word.strip_prefix(['v', 'V']) else { return false };
    let stage = rest.trim_start_matches(|character: char| character.is_ascii_digit());
    let number = rest.len().saturating_sub(stage.len());
    let name = stage.trim_start_matches('p').trim_start_matches(|character: char| character.is_ascii_digit());
    let name = name.trim_end_matches(|character: char| character.is_ascii_digit());
    (1..=3).contains(&number)
        && matches!(name, "" | "alpha" | "beta" | "rc" | "preview" | "review" | "dev" | "stable")
}

/// Whether a number behind this prefix is a standard's: `sha-256`, `iso-8601`.
pub(super) fn is_standard(prefix: &str) -> bool {
    const PREFIXES: [&str; 26] = [
        "aes", "base", "bip", "cbor", "crc", "cve", "ean", "eip", "en", "es", "fips", "hs", "ieee", "iso",
        "md", "mil", "oauth", "pkcs", "ps", "rfc", "rs", "rsa", "sha", "sha3", "utf", "http",
    ];
    // A vulnerability's number has two parts; the prefix is here for its year alone.
    PREFIXES.iter().any(|known| known.eq_ignore_ascii_case(prefix))
}

/// Whether five letters without a vowel are a word.
pub(super) fn is_vowel_free_word(word: &str) -> bool {
    matches!(
        word,
        "https"
            | "html5"
            | "xhtml"
            | "mssql"
            | "pgsql"
            | "grpcs"
            | "htmls"
            | "sdlcs"
            | "https2"
            | "mhtml"
            | "sftps"
            | "dhcps"
            | "rtmps"
            | "xmlns"
            | "mqtts"
            | "nsswt"
            | "kmssk"
            | "ntfs2"
    )
}

/// Whether a suffix behind a dot is the name of a format.
pub(super) fn is_extension(extension: &str) -> bool {
    EXTENSIONS.binary_search(&extension).is_ok()
}

/// Whether two small letters are a language that web sites use.
pub(super) fn is_language(code: &str) -> bool {
    LANGUAGES.binary_search(&code).is_ok()
}

/// Whether two small letters are a region that web sites use.
pub(super) fn is_region(code: &str) -> bool {
    REGIONS.binary_search(&code).is_ok()
}

/// Whether a word is a script of ISO 15924 that stands in locales.
pub(super) fn is_script(code: &str) -> bool {
    matches!(
        code,
        "Hans" | "Hant" | "Latn" | "Cyrl" | "Arab" | "Deva" | "Beng" | "Guru" | "Hebr" | "Jpan" | "Kore"
    )
}

const TECHNICAL: [&str; 77] = [
    "aes128",
    "aes192",
    "aes256",
    "argon2id",
    "b2b2c",
    "base16",
    "base32",
    "base58",
    "base64",
    "base64url",
    "blake2b256",
    "covid19",
    "crc32c",
    "curve25519",
    "d2c2b",
    "ed25519",
    "edwards25519",
    "en16931",
    "erc1155",
    "erc20",
    "erc721",
    "es256",
    "es256k",
    "es384",
    "es512",
    "fips140",
    "float32",
    "float64",
    "gs1128",
    "h264",
    "h265",
    "hmacsha1",
    "hmacsha256",
    "hmacsha512",
    "hs256",
    "hs384",
    "hs512",
    "i386",
    "int128",
    "int256",
    "iso20022",
    "iso27001",
    "iso3166",
    "iso4217",
    "iso639",
    "iso8583",
    "iso8601",
    "mp3tomp4",
    "office365",
    "p256",
    "p384",
    "p521",
    "pbkdf2",
    "ps256",
    "ps384",
    "ps512",
    "rfc3339",
    "ripemd160",
    "rs256",
    "rs384",
    "rs512",
    "rsa2048",
    "rsa4096",
    "s390x",
    "secp256k1",
    "secp256r1",
    "sha1",
    "sha224",
    "sha256",
    "sha384",
    "sha3256",
    "sha512",
    "uint128",
    "uint256",
    "x25519",
    "x509",
    "x509v3",
];

const EXTENSIONS: [&str; 60] = [
    "atom", "avif", "avro", "bin", "bmp", "bz2", "css", "csv", "doc", "docx", "eml", "epub", "flac",
    "geojson", "gif", "git", "gpx", "gz", "htm", "html", "ico", "ics", "ipynb", "jpeg", "jpg", "js", "json",
    "jsonl", "jsonld", "kml", "log", "m3u8", "map", "md", "mov", "mp3", "mp4", "mpd", "ndjson", "odt",
    "parquet", "pdf", "png", "ppt", "pptx", "proto", "rss", "svg", "tar", "tgz", "tif", "tiff", "ts", "tsv",
    "txt", "webp", "xml", "yaml", "yml", "zip",
];

const LANGUAGES: [&str; 30] = [
    "ar", "bg", "cs", "da", "de", "el", "en", "es", "et", "fi", "fr", "he", "hr", "hu", "it", "ja", "ko",
    "lt", "lv", "nb", "nl", "pl", "pt", "ro", "ru", "sk", "sv", "tr", "uk", "zh",
];

const REGIONS: [&str; 40] = [
    "ae", "ar", "at", "au", "be", "br", "ca", "ch", "cl", "cn", "co", "cz", "de", "dk", "es", "fi", "fr",
    "gb", "gr", "hk", "hu", "ie", "il", "jp", "kr", "mx", "nl", "nz", "pe", "pl", "pt", "ro", "ru", "sa",
    "se", "sg", "tw", "uk", "us", "za",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_that_are_searched_are_sorted() {
        assert!(EXTENSIONS.is_sorted());
        assert!(LANGUAGES.is_sorted());
        assert!(REGIONS.is_sorted());
    }
}
