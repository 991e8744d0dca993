//! The forms of keys, by vendor, as the vendors document them and as scanners for leaked keys know them.
//!
//! A form is here if it is a secret, has a prefix of its own, and can be found without a look at what is around. Public
//! keys (`pk_live_…`), identifiers and bare hexadecimal digits are not.

/// The form of a key.
#[derive(Debug)]
pub(super) struct Format {
    /// The rule's name.
    pub(super) rule: &'static str,
    /// Its beginning. One of the bytes by which keys are found must be at its third place or after it.
    pub(super) prefix: &'static str,
    /// Length of what follows the prefix; `None` when it is not a key.
    pub(super) body: fn(&[u8]) -> Option<usize>,
}

const fn format(rule: &'static str, prefix: &'static str, body: fn(&[u8]) -> Option<usize>) -> Format {
    Format { rule, prefix, body }
}

pub(super) const FORMATS: &[Format] = &[
    format("default:private_key_pem", "-----BEGIN ", pem),
    format("default:stripe_key", "sk_live_", letters::<10>),
    format("default:stripe_key", "sk_test_", letters::<10>),
    format("default:stripe_key", "rk_live_", letters::<10>),
    format("default:stripe_key", "rk_test_", letters::<10>),
    format("default:webhook_secret", "whsec_", base64::<10>),
    format("default:github_token", "ghp_", letters::<20>),
    format("default:github_token", "gho_", letters::<20>),
    format("default:github_token", "ghu_", letters::<20>),
    format("default:github_token", "ghr_", letters::<20>),
    format("default:github_token", "ghs_", dotted::<20>),
    format("default:github_token", "github_pat_", words::<20>),
    format("default:gitlab_token", "glpat-", dotted::<20>),
    format("default:gitlab_token", "gldt-", dotted::<20>),
    format("default:gitlab_token", "glrt-", dotted::<20>),
    format("default:gitlab_token", "glptt-", dotted::<20>),
    format("default:gitlab_token", "glcbt-", dotted::<20>),
    format("default:gitlab_token", "glft-", dotted::<20>),
    format("default:gitlab_token", "gloas-", dotted::<20>),
    format("default:gitlab_token", "glsoat-", dotted::<20>),
    format("default:gitlab_token", "glagent-", dotted::<20>),
    format("default:slack_token", "xoxa-", words::<10>),
    format("default:slack_token", "xoxb-", words::<10>),
    format("default:slack_token", "xoxc-", words::<10>),
    format("default:slack_token", "xoxd-", base64::<10>),
    format("default:slack_token", "xoxe-", words::<10>),
    format("default:slack_token", "xoxp-", words::<10>),
    format("default:slack_token", "xoxr-", words::<10>),
    format("default:slack_token", "xoxs-", words::<10>),
    format("default:slack_token", "xapp-", words::<20>),
    format("default:slack_webhook", "hooks.slack.com/services/", base64::<20>),
    format("default:slack_webhook", "hooks.slack.com/workflows/", base64::<20>),
    format("default:discord_webhook", "discord.com/api/webhooks/", path::<30>),
    format("default:discord_webhook", "discordapp.com/api/webhooks/", path::<30>),
    format("default:aws_key", "AKIA", capitals::<16>),
    format("default:aws_key", "ASIA", capitals::<16>),
    format("default:aws_key", "ABIA", capitals::<16>),
    format("default:aws_key", "ACCA", capitals::<16>),
    format("default:google_key", "AIza", exactly_words::<35>),
    format("default:google_key", "GOCSPX-", words::<28>),
    format("default:google_key", "ya29.", dotted::<20>),
    format("default:sendgrid_key", "SG.", sendgrid),
    format("default:npm_token", "npm_", exactly_letters::<36>),
    format("default:pypi_token", "pypi-AgE", words::<16>),
    format("default:shopify_token", "shpat_", hex::<32>),
    format("default:shopify_token", "shpca_", hex::<32>),
    format("default:shopify_token", "shppa_", hex::<32>),
    format("default:shopify_token", "shpss_", hex::<32>),
    format("default:digitalocean_token", "dop_v1_", hex::<40>),
    format("default:digitalocean_token", "doo_v1_", hex::<40>),
    format("default:digitalocean_token", "dor_v1_", hex::<40>),
    format("default:square_token", "sq0atp-", words::<22>),
    format("default:square_token", "sq0csp-", words::<22>),
    format("default:plaid_token", "access-sandbox-", uuid),
    format("default:plaid_token", "access-development-", uuid),
    format("default:plaid_token", "access-production-", uuid),
    format("default:mollie_key", "live_", exactly_letters::<30>),
    format("default:mollie_key", "test_", exactly_letters::<30>),
    format("default:flutterwave_key", "FLWSECK-", words::<20>),
    format("default:flutterwave_key", "FLWSECK_TEST-", words::<20>),
    format("default:openai_key", "sk-proj-", words::<20>),
    format("default:openai_key", "sk-svcacct-", words::<20>),
    format("default:openai_key", "sk-admin-", words::<20>),
    format("default:openai_key", "sk-", openai),
    format("default:anthropic_key", "sk-ant-", words::<20>),
    format("default:openrouter_key", "sk-or-v1-", hex::<40>),
    format("default:huggingface_token", "hf_", exactly_letters::<34>),
    format("default:linear_key", "lin_api_", letters::<32>),
    format("default:notion_token", "ntn_", letters::<40>),
    format("default:notion_token", "secret_", exactly_letters::<43>),
    format("default:figma_token", "figd_", words::<40>),
    format("default:postman_key", "PMAK-", words::<56>),
    format("default:newrelic_key", "NRAK-", capitals::<27>),
    format("default:grafana_token", "glsa_", words::<41>),
    format("default:grafana_token", "glc_", base64::<32>),
    format("default:vault_token", "hvs.", words::<24>),
    format("default:vault_token", "hvb.", words::<24>),
    format("default:vault_token", "hvr.", words::<24>),
    format("default:doppler_token", "dp.pt.", letters::<40>),
    format("default:doppler_token", "dp.st.", dotted::<40>),
    format("default:pulumi_token", "pul-", hex::<40>),
    format("default:atlassian_token", "ATATT3xF", padded::<50>),
    format("default:docker_token", "dckr_pat_", words::<20>),
    format("default:docker_token", "dckr_oat_", words::<20>),
    format("default:rubygems_key", "rubygems_", hex::<48>),
    format("default:sentry_token", "sntrys_", padded::<30>),
    format("default:sentry_token", "sntryu_", hex::<40>),
    format("default:planetscale_token", "pscale_tkn_", dotted::<32>),
    format("default:planetscale_token", "pscale_pw_", dotted::<32>),
    format("default:planetscale_token", "pscale_oauth_", dotted::<32>),
    format("default:supabase_key", "sbp_", hex::<40>),
    format("default:supabase_key", "sb_secret_", words::<20>),
    format("default:brevo_key", "xkeysib-", words::<64>),
    format("default:age_key", "AGE-SECRET-KEY-1", capitals::<58>),
    format("default:heroku_key", "HRKU-", words::<36>),
];

/// Letters and digits.
fn letters<const MIN: usize>(body: &[u8]) -> Option<usize> {
    at_least::<MIN>(body, |byte| byte.is_ascii_alphanumeric())
}

/// Letters, digits, `_` and `-`.
fn words<const MIN: usize>(body: &[u8]) -> Option<usize> {
    at_least::<MIN>(body, is_word)
}

/// Letters, digits, `_`, `-` and `=`.
fn padded<const MIN: usize>(body: &[u8]) -> Option<usize> {
    at_least::<MIN>(body, |byte| is_word(byte) || byte == b'=')
}

/// Letters, digits, `_`, `-` and `.`.
fn dotted<const MIN: usize>(body: &[u8]) -> Option<usize> {
    at_least::<MIN>(body, |byte| is_word(byte) || byte == b'.')
}

/// Letters, digits, `_`, `-` and `/`.
fn path<const MIN: usize>(body: &[u8]) -> Option<usize> {
    at_least::<MIN>(body, |byte| is_word(byte) || byte == b'/')
}

/// The alphabets of base64 and base64url, and `%` of their encoding.
fn base64<const MIN: usize>(body: &[u8]) -> Option<usize> {
    at_least::<MIN>(body, |byte| is_word(byte) || matches!(byte, b'+' | b'/' | b'=' | b'%'))
}

fn hex<const MIN: usize>(body: &[u8]) -> Option<usize> {
    at_least::<MIN>(body, |byte| byte.is_ascii_hexdigit())
}

fn exactly_letters<const LENGTH: usize>(body: &[u8]) -> Option<usize> {
    exactly::<LENGTH>(body, |byte| byte.is_ascii_alphanumeric())
}

fn exactly_words<const LENGTH: usize>(body: &[u8]) -> Option<usize> {
    exactly::<LENGTH>(body, is_word)
}

/// Exactly this number of capital letters and digits.
fn capitals<const LENGTH: usize>(body: &[u8]) -> Option<usize> {
    exactly::<LENGTH>(body, |byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

fn uuid(body: &[u8]) -> Option<usize> {
    exactly::<36>(body, |byte| byte.is_ascii_hexdigit() || byte == b'-')
}

/// 22 characters, a dot and 43 more.
fn sendgrid(body: &[u8]) -> Option<usize> {
    let first = at_least::<16>(body.get(..32).unwrap_or(body), is_word)?;
    let rest = body.get(first..)?.strip_prefix(b".")?;
    let second = at_least::<16>(rest, is_word)?;
    Some(first.saturating_add(1).saturating_add(second))
}

/// Keys without a kind: 20 characters, eight that are always the same, and 20 more.
fn openai(body: &[u8]) -> Option<usize> {
    (body.get(20..28) == Some(b"T3BlbkFJ")).then_some(())?;
    letters::<40>(body)
}

/// A private key from its first line to its last, or to the end of the text where the last line is missing.
fn pem(body: &[u8]) -> Option<usize> {
    let label = body.get(..48).unwrap_or(body);
    let dashes = find(label, b"-----")?;
    let label = label.get(..dashes)?;
    (label.ends_with(b"PRIVATE KEY") || label.ends_with(b"PRIVATE KEY BLOCK")).then_some(())?;
    let Some(end) = find(body, b"-----END ") else { return Some(body.len()) };
    let after = end.saturating_add(b"-----END ".len());
    let line = body.get(after..)?;
    let last = find(line.get(..48).unwrap_or(line), b"-----").map_or(line.len(), |at| at.saturating_add(5));
    Some(after.saturating_add(last))
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// Length of all such bytes from the beginning, if there are enough.
fn at_least<const MIN: usize>(body: &[u8], is_in: fn(u8) -> bool) -> Option<usize> {
    let length = body.iter().position(|byte| !is_in(*byte)).unwrap_or(body.len());
    (length >= MIN).then_some(length)
}

/// `LENGTH`, if there is exactly this number of these bytes.
fn exactly<const LENGTH: usize>(body: &[u8], is_in: fn(u8) -> bool) -> Option<usize> {
    let near = body.get(..LENGTH.saturating_add(1)).unwrap_or(body);
    (at_least::<LENGTH>(near, is_in)? == LENGTH).then_some(LENGTH)
}
