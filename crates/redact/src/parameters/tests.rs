use super::*;

/// Takes names with `token` and texts with `4111` for secrets.
struct Simple;

impl SecretMatcher for Simple {
    fn name(&mut self, name: &str) -> bool {
        name.to_lowercase().contains("token")
    }

    fn text(&mut self, text: &str) -> bool {
        text.contains("4111")
    }
}

#[test]
fn parameters() {
    let check = |raw: &str, masked: &str| {
        let got = redact_parameters(raw.as_bytes(), &mut Simple);
        let masked = masked.replace("***", MASK);
        assert_eq!(String::from_utf8_lossy(&got), masked, "{raw}");
        assert_eq!(matches!(got, Cow::Borrowed(_)), raw == masked, "{raw}: copied for nothing");
        assert_eq!(redact_parameters(masked.as_bytes(), &mut Simple), masked.as_bytes(), "{raw}: twice");
    };
    check("", "");
    check("a=1&b=&c&&d=%20+x", "a=1&b=&c&&d=%20+x");
    check("a=1&token=s3cret&b=2", "a=1&token=***&b=2");
    check("TOKEN=x&Token=y", "TOKEN=***&Token=***");
    check("%74oken=x", "%74oken=***");
    check("%2574oken=x", "%2574oken=***");
    check("token=&b=1", "token=&b=1");
    check("token", "token");
    check("token%3Dx", "***");
    check("a[token]=x", "a[token]=***");
    check("token=a=b", "token=***");
    check("a=1;token=x;b=2", "a=1;token=***;b=***");
    check("token=x;rest&b=2", "token=***;***&b=2");
    check("a=1;b=2&token=x", "a=1;b=2&token=***");
    check("a%zz=1&b%=2&c=100%", "a%zz=***&b%=***&c=100%");
    check("a%ff=1", "a%ff=***");
    check("card=4111&x=%34111", "card=***&x=***");
    check("4111=a", "***=a");
    check("4111", "***");
    check("next=https%3A%2F%2Fx%2F%3Ftoken%3Dabc&p=1", "next=***&p=1");
    check("next=https%253A%252F%252Fx%252F%253Ftoken%253Dabc", "next=***");
    check("next=https%3A%2F%2Fann%3Apw%40x%2F", "next=***");
    check("next=https%3A%2F%2Fx%2F%3Fpage%3D1", "next=https%3A%2F%2Fx%2F%3Fpage%3D1");
    check("filter=a%3D1%26token%3Dx", "filter=***");
}

#[test]
fn urls() {
    let check = |raw: &str, masked: &str| {
        let got = redact_url(raw.as_bytes(), &mut Simple);
        let masked = masked.replace("***", MASK);
        assert_eq!(String::from_utf8_lossy(&got), masked, "{raw}");
        assert_eq!(redact_url(masked.as_bytes(), &mut Simple), masked.as_bytes(), "{raw}: twice");
    };
    check("https://x.test/a?b=1#c", "https://x.test/a?b=1#c");
    check("/a?token=x", "/a?token=***");
    check("https://ann:pw@x.test/", "https://***@x.test/");
    check("https://ann@x.test", "https://***@x.test");
    check("//ann:p@w@x.test/@home", "//***@x.test/@home");
    check("https://x.test/@home", "https://x.test/@home");
    check("/cb#access_token=x&state=1", "/cb#access_token=***&state=1");
    check("/#/view?token=x", "/#/view?token=***");
    check("/a;token=x/b;v=1?c=2", "/a;token=***/b;v=1?c=2");
    check("<https://a:b@x/?token=1>; rel=\"next\"", "<https://***@x/?token=***; rel=***");
    check("https://a:b@x/ https://c:d@y/", "https://***@x/ https://***@y/");
    check("?", "?");
    check("#", "#");
}

#[test]
fn forms_are_numbered_as_their_fields() {
    let got: Vec<_> = fields(b"a=1&b+c=%41;d").collect();
    let text = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(got, [text("a", "1"), text("b c", "A"), text("d", "")]);
}
