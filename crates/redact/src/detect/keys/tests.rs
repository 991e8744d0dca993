use super::*;
use crate::MASK;
use proptest::prelude::*;

fn keys() -> (KeyFormats, RuleRegistry) {
    let mut rules = RuleRegistry::default();
    (KeyFormats::new(&mut rules), rules)
}

/// Text with every key replaced by its rule's name.
fn replaced(text: &str) -> String {
    let (keys, rules) = keys();
    let mut out = text.to_owned();
    let mut by_rule = Hits::default();
    let found = keys.find(text, &mut by_rule);
    assert_eq!(keys.is_in(text.as_bytes()), !found.is_empty(), "{text}");
    for range in found.into_iter().rev() {
        let mut own = Hits::default();
        keys.find(&text[range.clone()], &mut own);
        let (rule, _) = own.drain().next().expect("a key is a key by itself");
        out.replace_range(range, &format!("<{}>", &rules.names()[rule]));
    }
    out
}

/// The keys are written in two parts, so that no scanner takes this file for a leak.
#[test]
fn keys_of_vendors_are_found() {
    let check = |begin: &str, end: &str, rule: &str| {
        let key = format!("{begin}{end}");
        let found = format!("<default:{rule}>");
        assert_eq!(replaced(&key), found, "{key}");
        for (before, after) in
            [("", " "), ("a ", ","), ("Bearer ", ""), ("é", "é"), ("\\n", "\\n"), ("x/", ")"), ("k=", "&b")]
        {
            assert_eq!(
                replaced(&format!("{before}{key}{after}")),
                format!("{before}{found}{after}"),
                "{key}"
            );
        }
        // Another word ends there.
        if key.starts_with(char::is_alphanumeric) {
            assert_ne!(replaced(&format!("x{key}")), format!("x{found}"), "{key}");
        }
        for cut in 0..begin.len() {
            assert_eq!(replaced(&key[..cut]), key[..cut], "{key}");
        }
    };
    let (hex, letters) = ("0123456789abcdef".repeat(8), "a1B2c3D4e5F6g7H8i9J0".repeat(6));
    for kind in ["sk_live_", "sk_test_", "rk_live_", "rk_test_"] {
        check(kind, "4eC39HqLyjWDarjtT1zdp7dc", "stripe_key");
    }
    check("whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "webhook_secret");
    for kind in ["ghp_", "gho_", "ghu_", "ghs_", "ghr_"] {
        check(kind, "16C7e42F292c6912E7710c838347Ae178B4a", "github_token");
    }
    check("github_pat_", "11AAAAAAA0abcdefghijkl_0123456789", "github_token");
    check("glpat-", "a1B2c3D4e5F6g7H8i9J0", "gitlab_token");
    check("xoxb-", "123456789012-123456789012-a1B2c3D4", "slack_token");
    check("xoxp-", "123456789012-a1B2c3D4", "slack_token");
    check("xapp-", "1-A0123456789-1234567890123-0a1b2c", "slack_token");
    check("hooks.slack.com/services/", "T00000000/B00000000/a1B2c3D4e5F6", "slack_webhook");
    check("discord.com/api/webhooks/", "123456789012345678/a1B2c3D4e5F6g7H8i9", "discord_webhook");
    check("AKIA", "IOSFODNN7EXAMPLE", "aws_key");
    check("ASIA", "IOSFODNN7EXAMPLE", "aws_key");
    check("AIza", &letters[..35], "google_key");
    check("GOCSPX-", &letters[..28], "google_key");
    check("ya29.", &letters[..40], "google_key");
    check("SG.", &format!("{}.{}", &letters[..22], &letters[..43]), "sendgrid_key");
    check("npm_", &letters[..36], "npm_token");
    check("pypi-AgE", &letters[..60], "pypi_token");
    check("shpat_", &hex[..32], "shopify_token");
    check("dop_v1_", &hex[..64], "digitalocean_token");
    check("sq0atp-", &letters[..22], "square_token");
    check("access-production-", "0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f", "plaid_token");
    check("live_", &letters[..30], "mollie_key");
    check("sk-proj-", &letters[..40], "openai_key");
    check("sk-", &format!("{}T3BlbkFJ{}", &letters[..20], &letters[..20]), "openai_key");
    check("sk-ant-", "api03-a1B2c3D4e5F6g7H8i9J0", "anthropic_key");
    check("hf_", &letters[..34], "huggingface_token");
    check("hvs.", &letters[..24], "vault_token");
    check("glsa_", &format!("{}_{}", &letters[..32], &hex[..8]), "grafana_token");
    check("dckr_pat_", &letters[..27], "docker_token");
    check("AGE-SECRET-KEY-1", &"QPZRY9X8GF".repeat(6)[..58], "age_key");
}

#[test]
fn private_keys_are_found_with_their_lines() {
    let pem = |label: &str| format!("-----BEGIN {label}-----\nMIIEvQ==\nab+/\n-----END {label}-----");
    for label in [
        "PRIVATE KEY",
        "RSA PRIVATE KEY",
        "OPENSSH PRIVATE KEY",
        "ENCRYPTED PRIVATE KEY",
        "PGP PRIVATE KEY BLOCK",
    ] {
        let text = pem(label);
        assert_eq!(replaced(&text), "<default:private_key_pem>", "{label}");
        assert_eq!(replaced(&format!("key{text}\nrest")), "key<default:private_key_pem>\nrest", "{label}");
        assert_eq!(replaced(&text.replace('\n', "\\n")), "<default:private_key_pem>", "{label}");
    }
    assert_eq!(replaced("a -----BEGIN PRIVATE KEY-----\nMIIE"), "a <default:private_key_pem>");
    for harmless in [pem("CERTIFICATE"), pem("PUBLIC KEY"), "-".repeat(100), "-----BEGIN ".to_owned()] {
        assert_eq!(replaced(&harmless), harmless);
    }
}

#[test]
fn what_only_resembles_a_key_stays() {
    let uuid = "0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f";
    for harmless in [
        "",
        "pk_live_4eC39HqLyjWDarjtT1zdp7dc",
        "sk_live_",
        "sk_live_short",
        "risk_live_4eC39HqLyjWDarjtT1zdp7dc",
        "task_test_0123456789",
        "ghp_short",
        "npm_config_registry_and_some_more_of_the_same",
        "npm_lifecycle_event",
        "xoxo-abcdefghijkl",
        "AKIA",
        "AKIAIOSFODNN7EXAMPL",
        "AKIAIOSFODNN7EXAMPLE7",
        "AKIAiosfodnn7example",
        "MALAYSIA1234567890123456",
        "AIzawa Prefecture is not a key but a text",
        "SG.1.2",
        "SG.Holdings.Limited.Singapore",
        "live_stream_number_seven_of_the_day",
        "test_that_all_of_these_stay_as_they_are",
        "secret_santa_list_of_the_whole_company_2026",
        "access-control-allow-origin",
        "access-sandbox-environment-for-everybody-here",
        "sk-learn-contrib-and-other-packages",
        "pypi-mirror-and-cache-for-everybody",
        "hf_transformers_and_datasets_of_the_year",
        "dop_v1_deployment-of-the-production-cluster",
        "glpat-",
        "shop_at_the_corner_of_the_street",
        "https://cdn.example.com/p/0123456789abcdef/0.webp",
        "hooks.slack.com/docs",
        "2026-03-01T10:14:07.123Z",
        "--------------------------------",
        uuid,
    ] {
        assert_eq!(replaced(harmless), harmless);
    }
}

proptest! {
    #[test]
    fn anchors_are_found_wherever_they_stand(bytes in prop::collection::vec(prop::sample::select(b"_-.Az`,/@By^\x80\xdf".to_vec()), 0..40)) {
        // The search by eight bytes finds what a look at each place finds.
        let (keys, _) = keys();
        let mut text = bytes.clone();
        text.extend_from_slice(b" sk_live_0123456789 ");
        text.extend_from_slice(&bytes);
        let slow = (0..text.len()).find_map(|at| is_anchor(text[at]).then(|| keys.at_anchor(&text, 0, at)).flatten());
        prop_assert_eq!(keys.next(&text, 0), slow);
    }

    #[test]
    fn any_text_is_survived(text in "([A-Za-z0-9_.-]|sk_live_|ghp_|AKIA|SG\\.|-----BEGIN |PRIVATE KEY-----|-----END |é){0,60}") {
        let (keys, _) = keys();
        let mut last = 0;
        for range in keys.find(&text, &mut Hits::default()) {
            prop_assert!(range.start >= last && range.start < range.end);
            prop_assert!(text.get(range.clone()).is_some());
            last = range.end;
        }
        prop_assert!(!keys.is_in(MASK.as_bytes()));
    }
}
