use gatelens_model::Message;

use super::super::{MASK, Redactor, work};
use super::*;
use crate::{DetectorKind, RedactConfig};
use proptest::prelude::*;
use serde_json::{Value, json};

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn redactor(paths: &[&str]) -> Redactor {
    Redactor::new(&RedactConfig { request_body: strings(paths), ..RedactConfig::default() }).unwrap()
}

fn redact(redactor: &Redactor, kind: BodyKind, body: &str) -> Result<String, OmissionReason> {
    redactor.body(Message::Request, kind, body, &mut Hits::default())
}

/// `***` stands for the mask.
#[track_caller]
fn check(paths: &[&str], kind: BodyKind, body: &str, wanted: Result<&str, OmissionReason>) {
    let redactor = redactor(paths);
    let got = redact(&redactor, kind, body);
    assert_eq!(got, wanted.map(|text| text.replace("***", MASK)), "{paths:?} on {body}");
    if let Ok(got) = got {
        assert_eq!(redact(&redactor, kind, &got), Ok(got.clone()), "{paths:?} on {body}: twice");
    }
}

#[test]
fn json_is_copied_but_for_what_is_masked() {
    let check = |paths: &[&str], body: &str, wanted: &str| check(paths, BodyKind::Json, body, Ok(wanted));
    // As it was written: blanks, order, digits, escapes.
    let odd = "\u{feff} {\"b\" :1.50e+3,\r\n\t\"a\":[ -0, 123456789012345678901234567890, 1E400,\"\\u00e9\\/\"] }\n";
    check(&[], odd, odd);
    check(&["$.a[3]"], odd, &odd.replace("\"\\u00e9\\/\"", "\"***\""));
    // The paths of the documentation.
    check(
        &["$.user.addresses[*].zip", "$.user.credit_card", "$.users[*].email"],
        r#"{"user": {"addresses": [{"zip": 12345, "city": "X"}, {"zip": "54321"}], "credit_card": {"no": [1, 2]}}, "users": [{"email": "a"}, {}, 7]}"#,
        r#"{"user": {"addresses": [{"zip": "***", "city": "X"}, {"zip": "***"}], "credit_card": "***"}, "users": [{"email": "***"}, {}, 7]}"#,
    );
    // Any type of value, at any place.
    for value in
        ["1", "-1.5e3", "true", "false", "null", "\"s\"", "\"\"", "[]", "{}", "[1,[2]]", "{\"x\":{\"y\":1}}"]
    {
        check(&["$.a"], &format!("{{\"a\":{value},\"b\":1}}"), r#"{"a":"***","b":1}"#);
        check(&["$.a"], &format!("{{\"b\":1,\"a\" : {value} }}"), r#"{"b":1,"a" : "***" }"#);
        check(&["$[1]"], &format!("[0,{value} ,2]"), r#"[0,"***" ,2]"#);
        check(&["$"], value, r#""***""#);
        check(&["$..a"], &format!("[{{\"b\":{{\"a\":{value}}}}}]"), r#"[{"b":{"a":"***"}}]"#);
        check(&["$[-1]"], &format!("[0,{value}]"), r#"[0,"***"]"#);
        let body = format!("{{\"userPassword\":{value}}}");
        let masked = match value {
            "null" | "true" | "false" => &*body,
            _ => r#"{"userPassword":"***"}"#,
        };
        check(&[], &body, masked);
    }
    // Names as they read, not as they are written.
    check(&["$.secret2"], r#"{"s\u0065cret2":1}"#, r#"{"s\u0065cret2":"***"}"#);
    check(
        &[],
        r#"{"p\u0061ssword":1,"API key":2,"x":{"card-number":3}}"#,
        r#"{"p\u0061ssword":"***","API key":"***","x":{"card-number":"***"}}"#,
    );
    // A name that repeats.
    check(&["$.a"], r#"{"a":1,"a":2}"#, r#"{"a":"***","a":"***"}"#);
    // Root arrays, slices, descendants within what is masked.
    check(&["$[*].e"], r#"[{"e":1},{"e":2,"f":3}]"#, r#"[{"e":"***"},{"e":"***","f":3}]"#);
    check(&["$[1:3]"], "[0,1,2,3]", r#"[0,"***","***",3]"#);
    check(&["$[::2]"], "[0,1,2,3]", r#"["***",1,"***",3]"#);
    check(&["$..a", "$.b.a.a"], r#"{"b":{"a":{"a":1}},"a":2}"#, r#"{"b":{"a":"***"},"a":"***"}"#);
    // Filters.
    check(
        &["$..[?@.name == 'Cookie'].value"],
        r#"{"headers":[{"name":"Cookie","value":"a=b"},{"name":"Accept","value":"c"}]}"#,
        r#"{"headers":[{"name":"Cookie","value":"***"},{"name":"Accept","value":"c"}]}"#,
    );
    check(
        &["$.u[?@.admin == true].email"],
        r#"{"u":[{"admin":true,"email":"a"},{"admin":false,"email":"b"}]}"#,
        r#"{"u":[{"admin":true,"email":"***"},{"admin":false,"email":"b"}]}"#,
    );
    check(
        &["$[?@.k == 'x'].v", "$[*].w"],
        r#"[{"k":"x","v":1.50},{"k":"y","v":2,"w":3}]"#,
        r#"[{"k":"x","v":"***"},{"k":"y","v":2,"w":"***"}]"#,
    );
}

#[test]
fn built_in_names_leave_what_reports_on_a_secret() {
    let check = |body: &str, wanted: &str| check(&["$.x"], BodyKind::Json, body, Ok(wanted));
    for harmless in [
        r#"{"password":null,"token":true,"ssn":false,"iban":null,"pin":true}"#,
        r#"{"cvc_check":"pass","token_type":"bearer","authorization_method":"online","id_number_provided":true}"#,
        r#"{"token_type":{"name":"bearer"},"cvc_check":[{"result":"fail"}]}"#,
        r#"{"iban":"required","account_number":"not_provided","dob":"match","tax_id":"UNVERIFIED"}"#,
    ] {
        check(harmless, harmless);
    }
    check(
        r#"{"password":"pass","token":"none","cvc":"pass","pin":"required","secret":7,"ssn":[null],"iban":{"a":1}}"#,
        r#"{"password":"***","token":"***","cvc":"***","pin":"***","secret":"***","ssn":"***","iban":"***"}"#,
    );
    // An object behind a harmless name is looked into.
    check(r#"{"token_type":{"token":"x","a":1}}"#, r#"{"token_type":{"token":"***","a":1}}"#);
    // Configured rules mask all values.
    for value in ["null", "true", "\"pass\"", "{\"a\":1}"] {
        let config = RedactConfig { keys: strings(&["token_type"]), ..RedactConfig::default() };
        let redactor = Redactor::new(&config).unwrap();
        let got = redact(&redactor, BodyKind::Json, &format!("{{\"token_type\":{value}}}"));
        assert_eq!(got, Ok(format!("{{\"token_type\":\"{MASK}\"}}")));
    }
}

/// The same names are sensitive in a form and in JSON.
#[test]
fn a_form_is_masked_as_its_json() {
    let redactor =
        Redactor::new(&RedactConfig { keys: strings(&["shoe_size"]), ..RedactConfig::default() }).unwrap();
    let check = |path: &[&str], masked: bool| {
        let leaf = path.iter().rev().fold("\"zq\"".to_owned(), |inner, name| match name.parse::<usize>() {
            Ok(_) => format!("[{inner}]"),
            Err(_) => format!("{{\"{name}\":{inner}}}"),
        });
        let bracketed: String = path[1..].iter().map(|name| format!("[{name}]")).collect();
        let bracketed = format!("{}{bracketed}=zq", path[0]);
        let dotted = format!("{}=zq", path.join("."));
        let encoded = bracketed.replace('[', "%5B").replace(']', "%5D");
        let quoted = json!({ "s": leaf }).to_string();
        for (kind, body) in [
            (BodyKind::Json, &leaf),
            (BodyKind::Json, &quoted),
            (BodyKind::Form, &bracketed),
            (BodyKind::Form, &dotted),
            (BodyKind::Form, &encoded),
        ] {
            let got = redact(&redactor, kind, body).unwrap();
            assert_eq!(!got.contains("zq"), masked, "{body}: {got}");
            assert_eq!(redact(&redactor, kind, &got), Ok(got.clone()), "{body}: twice");
        }
        let query = redactor.query(format!("data={leaf}").as_bytes(), &mut Hits::default()).into_owned();
        assert_eq!(!String::from_utf8(query).unwrap().contains("zq"), masked, "{leaf} in a query");
        let query = redactor.query(bracketed.as_bytes(), &mut Hits::default()).into_owned();
        assert_eq!(!String::from_utf8(query).unwrap().contains("zq"), masked, "{bracketed}");
    };
    check(&["card", "number"], true);
    check(&["cards", "0", "number"], true);
    check(&["items", "0", "card", "number"], true);
    check(&["payment_method_data", "card", "number"], true);
    check(&["card", "cvc"], true);
    check(&["creditCard", "number"], true);
    check(&["card_details", "number"], true);
    check(&["account", "number"], true);
    check(&["bank_account", "account_number"], true);
    check(&["bankAccounts", "1", "number"], true);
    check(&["bank_account", "routing_number"], true);
    check(&["api", "key"], true);
    check(&["shoe", "size"], true);
    check(&["shoes", "0", "size"], true);
    check(&["token", "card", "a"], true);
    check(&["user", "otp"], true);
    check(&["individual", "dob", "day"], true);
    check(&["card", "checks", "cvc_check"], false);
    check(&["card", "brand"], false);
    check(&["card", "number_type"], false);
    check(&["invoice", "number"], false);
    check(&["card", "holder", "number"], false);
    check(&["account", "name"], false);
    check(&["token_type", "number"], false);
    check(&["number"], false);
    check(&["shoe", "sizes"], false);
}

#[test]
fn strings_that_hold_json_or_urls_are_looked_into() {
    let check = |body: &str, wanted: &str| check(&["$.x"], BodyKind::Json, body, Ok(wanted));
    check(r#"{"s":"{\"token\":\"t\",\"x\": 1}"}"#, r#"{"s":"{\"token\":\"***\",\"x\": 1}"}"#);
    check(r#"{"s":" [ {\u0022token\u0022:[1]}]"}"#, r#"{"s":" [ {\"token\":\"***\"}]"}"#);
    check(r#"["{\"a\":\"{\\\"token\\\":1}\"}"]"#, r#"["{\"a\":\"{\\\"token\\\":\\\"***\\\"}\"}"]"#);
    check(r#"["{\"token\":\"t"]"#, r#"["***"]"#);
    check(r#"["{\u0022a\u0022:1}"]"#, r#"["{\u0022a\u0022:1}"]"#);
    check(r#"["{name} [1]", "[{x"]"#, r#"["{name} [1]", "[{x"]"#);
    check(r#"["https:\/\/a:b@x\/?token=1&p=2"]"#, r#"["https://***@x/?token=***&p=2"]"#);
    check(
        r#"["/next?page=2&sig=abc", "/a/b", "see https://x/?token=1"]"#,
        r#"["/next?page=2&sig=***", "/a/b", "see https://x/?token=***"]"#,
    );
    check(r#"["[1,{\"token\":\"t\"}]"]"#, r#"["[1,{\"token\":\"***\"}]"]"#);
    check("[\"\u{feff}{\\\"token\\\":1}\"]", "[\"\u{feff}{\\\"token\\\":\\\"***\\\"}\"]");
    check(
        r##"["?token=1", "#token=1", " https://a:b@x", "#1"]"##,
        r##"["?token=***", "#token=***", " https://***@x", "#1"]"##,
    );
    check(
        r#"["jdbc:mysql://h/d?user=a&password=b", "12:30"]"#,
        r#"["jdbc:mysql://h/d?user=a&password=***", "12:30"]"#,
    );
    let mut wrapped = r#"{"token":1}"#.to_owned();
    for layer in 0..8 {
        let got = redact(&redactor(&[]), BodyKind::Json, &wrapped).unwrap();
        assert!(got.contains(MASK) && !got.contains(":1"), "{layer}: {got}");
        wrapped = json!({ "a": wrapped }).to_string();
    }
}

#[test]
fn strings_that_hold_text_are_looked_into_as_text() {
    let check = |text: &str, wanted: &str| {
        let body = |text: &str| json!({ "s": [text, 1] }).to_string();
        check(&["$.x"], BodyKind::Json, &body(text), Ok(&body(wanted)));
    };
    check("see https://ann:x@h", "see https://***@h");
    check("see //ann@h/a", "see //***@h/a");
    check("Server=db;Password=x", "Server=db;Password=***");
    check("u=1&password=x", "u=1&password=***");
    check("Authorization: Bearer x", "Authorization: ***");
    check("Cookie: a=b; c=d", "Cookie: ***");
    check("\"quoted\"\npassword = \"x\"\nmore", "\"quoted\"\npassword = ***\nmore");
    check("failed: {\"token\":\"x\"}", "failed: {\"token\":***");
    check("https://h/a then https://ann:x@h password: y", "https://h/a then https://***@h password: ***");
    check("https://h/?token=x and password: y", "https://h/?token=***");
    check("https://h/cb?code=x&page=2", "https://h/cb?code=***&page=2");
    for harmless in [
        "2026-03-01T10:14:07.123Z",
        "ann@x.io, bob@x.io",
        "note: ring twice",
        "session: 7, sig: a, code: 5",
        "tokens = 3, author: ann, monkey=a, compass: north",
        "https://h/a b?x=1: y",
        "data:image/png;base64,iVBORw0KGgoAAAANSUhEUg.SSN==",
        "cvv=",
        "password:\n",
        "urn:ietf:params:oauth:grant-type:device",
    ] {
        check(harmless, harmless);
    }
}

#[test]
fn long_strings_are_read_as_text_in_a_stroke() {
    let check = |begin: &str, piece: &str, masks: usize| {
        let body = json!([format!("{begin}{}", piece.repeat(200_000 / piece.len()))]).to_string();
        let got = redact(&redactor(&[]), BodyKind::Json, &body).unwrap();
        assert_eq!(got.matches(MASK).count(), masks, "{begin}{piece}");
        assert_eq!(got == body, masks == 0, "{begin}{piece}");
    };
    for piece in [":", "=", "@", "a:", "b=", "password ", " :", "x//", "é=", "pas=", "tokenize:"] {
        check("-", piece, 0);
    }
    check("password", "=", 0);
    check("password", " \n", 0);
    check("-", "password: x\n", 16_666);
    check("-", "token=", 1);
    check("-", "//a@ ", 40_000);
}

#[test]
fn what_cannot_be_redacted_is_left_out() {
    let check =
        |paths: &[&str], body: &str, reason: OmissionReason| check(paths, BodyKind::Json, body, Err(reason));
    check(&[], "", OmissionReason::Truncated);
    check(&[], "{\"password\":\"x", OmissionReason::Truncated);
    check(&[], "{\"password\":\"x\"", OmissionReason::Truncated);
    check(&[], "{\"password\":\"x\"}}", OmissionReason::Malformed);
    check(&[], "password=x", OmissionReason::Malformed);
    check(&[], &"[".repeat(10_000_000), OmissionReason::TooDeep);
    check(&[], &"{\"a\":".repeat(2_000_000), OmissionReason::TooDeep);
    check(&["$[?@.a]"], &"[".repeat(10_000_000), OmissionReason::TooDeep);
    check(&["$[?@.a]"], r#"{"a":1,"a":2}"#, OmissionReason::DuplicateNames);
    check(&["$[?@.a]"], r#"{"a":1"#, OmissionReason::Truncated);
    check(
        &["$[?@.a != $[1].a]"],
        r#"[{"a":9007199254740993},{"a":9007199254740992}]"#,
        OmissionReason::NumberBeyondF64,
    );
    check(
        &["$..[?@..b]"],
        &format!("[{}1]", format!("{}1{},", "[".repeat(100), "]".repeat(100)).repeat(200)),
        OmissionReason::RuleFailed,
    );
}

#[test]
fn lines_forms_and_text() {
    let lines = BodyKind::JsonLines;
    check(
        &["$.a"],
        lines,
        "{\"a\":1}\r\n\n{\"b\":2,\"a\":3}\n",
        Ok("{\"a\":\"***\"}\r\n\n{\"b\":2,\"a\":\"***\"}\n"),
    );
    check(&["$.a"], lines, "{\"a\":1}\n{\"a\"", Err(OmissionReason::Truncated));
    check(&["$.a"], lines, "", Ok(""));

    let form = BodyKind::Form;
    check(&[], form, "user=ann&password=x&b=", Ok("user=ann&password=***&b="));
    check(
        &[],
        form,
        "cardNumber=4111&user%5Bpwd%5D=x&code=7&passwor%64=y",
        Ok("cardNumber=***&user%5Bpwd%5D=***&code=***&passwor%64=***"),
    );
    check(&["$.email"], form, "email=a%40b&x=1", Ok("email=***&x=1"));
    check(&["$..email"], form, "x=1&email=a", Ok("x=1&email=***"));
    check(&["$"], form, "x=1&y=2", Ok("x=***&y=***"));
    check(&["$[?@ == '1']"], form, "x=1&y=2", Ok("x=***&y=2"));
    check(&["$[?@ == '1']"], form, "x=1&x=2", Err(OmissionReason::DuplicateNames));

    let text = BodyKind::Text;
    check(&[], text, "# Title\npassword", Ok("# Title\npassword"));
    check(&[], text, " {\"password\": 1}", Ok(" {\"password\": \"***\"}"));
    check(&[], text, "{\"password\": 1", Err(OmissionReason::Truncated));
    check(&[], text, "[link](https://x)", Ok("[link](https://x)"));
    check(&[], text, "[{\"password\":\"x\"", Err(OmissionReason::Truncated));
    check(&[], text, "[[{\"password\":\"x\"", Err(OmissionReason::Truncated));
    check(&[], text, "[[page]] x", Ok("[[page]] x"));
    check(&["$[0]"], text, "[1, 2]", Ok("[\"***\", 2]"));
    check(&["$[*].a"], text, "[{\"a\":1}]", Ok("[{\"a\":\"***\"}]"));
}

#[test]
fn what_is_sent_as_a_form_and_is_json_is_json() {
    let form = BodyKind::Form;
    check(&[], form, "{\"password\":\"x\",\"a\":1}", Ok("{\"password\":\"***\",\"a\":1}"));
    check(&["$[0].a"], form, "[{\"a\":\"=&\"}]", Ok("[{\"a\":\"***\"}]"));
    check(&[], form, "{\"x\":\"&password=y", Err(OmissionReason::Truncated));
    check(&[], form, "[0].name=a&[0].password=b", Ok("[0].name=a&[0].password=***"));
    check(&[], form, "payload={\"password\":\"x\"}&b=1", Ok("payload=***&b=1"));
    check(&[], form, "payload=%7B%22a%22%3A%22%7B%5C%22token%5C%22%3A1%7D%22%7D", Ok("payload=***"));
    check(&[], form, "payload=%5B1%2C%7B%22token%22%3A1%7D%5D&q=%7Ba%7D", Ok("payload=***&q=%7Ba%7D"));
    check(&[], form, "payload={\"name\":\"x\"}&b={\"name\":", Ok("payload={\"name\":\"x\"}&b=***"));
}

#[test]
fn a_json_string_as_a_text_or_form_is_json_and_text() {
    let hidden = r#""{\"\\u0070assword\":\"zq\"}""#;
    let masked = r#""{\"\\u0070assword\":\"***\"}""#;
    check(&[], BodyKind::Text, hidden, Ok(masked));
    check(&[], BodyKind::Form, hidden, Ok("***"));
    check(&[], BodyKind::EventStream, &format!("data: {hidden}\n\n"), Ok(&format!("data: {masked}\n\n")));
    let hidden = r#""{\"\u0070assword\":\"zq\"}""#;
    check(&[], BodyKind::Text, hidden, Ok(r#""{\"password\":***"#));
    check(&[], BodyKind::Form, hidden, Ok("***"));
    let check = |text: &str, wanted: &str| check(&[], BodyKind::Text, text, Ok(wanted));
    check(r#" "a\n\u0070assword: zq""#, r#" "a\npassword: ***"#);
    // Here only the text, but not the JSON string, has a sensitive name.
    check(r#""C:\token: zq""#, r#""C:\token: ***"#);
    check(r#""\u00ccvv: zq\npassword: zq""#, "***");
    check(r#""password: zq""#, r#""password: ***"#);
    check(r#""a" is "b""#, r#""a" is "b""#);
    check(r#""password": zq, "#, r#""password": ***"#);
    check(r#""\u0041""#, r#""\u0041""#);
}

#[test]
fn in_text_what_follows_a_sensitive_name_is_masked() {
    let check = |text: &str, wanted: &str| check(&["$.x"], BodyKind::Text, text, Ok(wanted));
    check("user=ann&password=x&b=1\na: b", "user=ann&password=***\na: b");
    check("user: ann\r\napi key : k\r\nb: 1", "user: ann\r\napi key : ***\r\nb: 1");
    check("# Login\n**Password**: x\n\nmore", "# Login\n**Password**: ***\n\nmore");
    check("Authorization: Bearer x y", "Authorization: ***");
    check("my password is: x", "my password is: ***");
    check("Server=db;User Id=sa;Password=x;", "Server=db;User Id=sa;Password=***");
    check(")]}',\n{\"password\":\"x\"}", ")]}',\n{\"password\":***");
    check("1\n{\"a\":\"{\\\"token\\\":\\\"x\\\"}\"}", "1\n{\"a\":\"{\\\"token\\\":***");
    check("[1, {\"password\":\"x\"}", "[1, {\"password\":***");
    check("password:\n  x\ny: z", "password:\n  ***");
    check("secrets: [\n  x\n]", "secrets: ***");
    check("token = \"\"\"a\nx\n\"\"\"", "token = ***");
    check("password=a\\\nx", "password=***");
    check("password: ****\nb", "password: ***\nb");
    check("password:\n", "password:\n");
    check("see https://ann:x@y.test/\nann@y.test", "see https://***@y.test/\nann@y.test");
    check("get /cb?code=x or code: 7", "get /cb?code=***");
    check("author: ann, at 12:30\ncode: 7, tokens = 3", "author: ann, at 12:30\ncode: 7, tokens = 3");
    check(&format!("password{}: x", " ".repeat(1_000)), &format!("password{}: ***", " ".repeat(1_000)));
}

#[test]
fn events_are_redacted_one_by_one() {
    let check = |body: &str, wanted: &str| check(&["$.a"], BodyKind::EventStream, body, Ok(wanted));
    check("data: {\"a\":1}\n\ndata: [DONE]\n\n", "data: {\"a\":\"***\"}\n\ndata: [DONE]\n\n");
    check(
        "event: x\r\nid: 7\r\ndata: {\"token\":\r\ndata: \"x\"}\r\n\r\n: ping\n\n",
        "event: x\nid: 7\ndata: {\"token\":\ndata: \"***\"}\n\n: ping\n\n",
    );
    check("data:plain\n\ndata: {\"a\":\n\n", "data: plain\n\n: left out: truncated\n\n");
    check("password: x\n\n", ": left out: unknown field\n\n");
    check("data: {\"a\":1}", "data: {\"a\":\"***\"}\n");
    check("", "");
}

#[test]
fn detectors_look_into_names_strings_and_numbers() {
    let config =
        RedactConfig { detectors: vec![DetectorKind::Card, DetectorKind::Email], ..RedactConfig::default() };
    let redactor = Redactor::new(&config).unwrap();
    let check = |kind: BodyKind, body: &str, wanted: &str| {
        let got = redact(&redactor, kind, body).unwrap();
        assert_eq!(got, wanted.replace("***", MASK), "{body}");
        assert_eq!(redact(&redactor, kind, &got).unwrap(), got, "{body}: twice");
    };
    check(
        BodyKind::Json,
        r#"{"x":"pay 4111 1111 1111 1111","n":4111111111111111}"#,
        r#"{"x":"pay ***","n":"***"}"#,
    );
    check(
        BodyKind::Json,
        r#"{"ann@x.io":{"y":"ann\u0040x.io \"q\""},"n":4111111111111112}"#,
        r#"{"***":{"y":"*** \"q\""},"n":4111111111111112}"#,
    );
    check(BodyKind::Text, "card 4111111111111111, ann@x.io", "card ***, ***");
    check(BodyKind::Form, "a=ann%40x.io&b=4111+1111+1111+1111&c=1", "a=***&b=***&c=1");
    check(BodyKind::EventStream, "data: ann@x.io\n\n", "data: ***\n\n");
}

#[test]
fn hits_are_counted_by_rule() {
    let config = RedactConfig {
        request_body: strings(&["$.a", "$.a.b", "$.never", "$[?@.b]", "$..b"]),
        response_body: strings(&["$.a"]),
        keys: strings(&["passport"]),
        query: strings(&["pass*"]),
        ..RedactConfig::default()
    };
    let redactor = Redactor::new(&config).unwrap();
    let check = |kind: BodyKind, body: &str, wanted: &[(&str, u64)]| {
        let mut hits = Hits::default();
        redactor.body(Message::Request, kind, body, &mut hits).unwrap();
        let named: Vec<_> =
            hits.drain().map(|(index, count)| (redactor.rules()[index].as_str(), count)).collect();
        assert_eq!(named, wanted, "{body}");
        assert!(hits.is_empty());
    };
    check(
        BodyKind::Json,
        r#"{"a":{"b":1},"c":[{"b":2},{"passportNo":3,"password":4}]}"#,
        &[
            ("default:password", 1),
            ("default:id_number", 1),
            ("keys:passport", 1),
            ("request_body:$.a", 1),
            ("request_body:$.a.b", 1),
            ("request_body:$[?@.b]", 1),
            ("request_body:$..b", 2),
        ],
    );
    // Names of forms fall under the rules for queries and those for members: each rule counts once.
    check(BodyKind::Form, "password=x", &[("default:password", 1), ("query:pass*", 1)]);
    check(BodyKind::Form, "session_id=x&code=y", &[("default:session", 1), ("default:code", 1)]);
    check(
        BodyKind::Form,
        "passport=1&x=%3FpassportNo%3D2&%2570assword=3",
        &[("default:password", 1), ("default:id_number", 1), ("query:pass*", 3), ("keys:passport", 2)],
    );
    check(BodyKind::Text, "token=x\ntoken: y\ntoken==\n", &[("default:token", 2)]);
    check(BodyKind::Json, r#"["token=x", "token: y", "token=="]"#, &[("default:token", 2)]);
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|b| json!(b)),
        any::<i64>().prop_map(|n| json!(n)),
        any::<f64>().prop_map(|n| json!(n)),
        ".{0,6}".prop_map(|s| json!(s)),
    ];
    leaf.prop_recursive(6, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::btree_map("[abc]|é", inner, 0..4).prop_map(|m| json!(m)),
        ]
    })
}

/// A path that one pass can follow.
fn plain_path() -> impl Strategy<Value = String> {
    let selector = prop_oneof![
        "'([abc]|é)'",
        Just("*".to_owned()),
        (0u32..4).prop_map(|i| i.to_string()),
        (0u32..3, prop::option::of(0u32..5), 1u32..3)
            .prop_map(|(a, b, c)| format!("{a}:{}:{c}", b.map(|b| b.to_string()).unwrap_or_default())),
    ];
    let segment = (prop::sample::select(vec!["", "", ".."]), prop::collection::vec(selector, 1..3))
        .prop_map(|(dots, selectors)| format!("{dots}[{}]", selectors.join(",")));
    prop::collection::vec(segment, 0..5).prop_map(|segments| format!("${}", segments.concat()))
}

/// The same rules, with the tree used for all of them.
fn through_the_tree(mut redactor: Redactor, paths: &[String]) -> Redactor {
    let rules = &mut redactor.request_body;
    rules.plain = Automaton::default();
    rules.queries = paths
        .iter()
        .map(|path| (Path::parse(path).unwrap(), redactor.rules.add(format!("request_body:{path}"))))
        .collect();
    redactor
}

/// Redacts in slices of `most` bytes. Returns what is kept, the hits, and the most steps of a slice.
fn in_slices(
    redactor: &Redactor,
    kind: BodyKind,
    text: &str,
    most: usize,
) -> (Result<String, OmissionReason>, Hits, u64) {
    let rules = redactor.body_redactor(Message::Request);
    let (mut hits, mut longest) = (Hits::default(), 0);
    let mut body = match SlicedBody::new(&rules, kind, text.to_owned()) {
        Ok(body) => body,
        Err(reason) => return (Err(reason), hits, longest),
    };
    loop {
        let (steps, slice) = work::of(|| body.advance(&rules, most, &mut hits));
        longest = longest.max(steps);
        match slice {
            Ok(Slice::More(rest)) => body = rest,
            Ok(Slice::Last(kept)) => return (Ok(kept), hits, longest),
            Err(reason) => return (Err(reason), hits, longest),
        }
    }
}

#[test]
fn a_slice_takes_the_work_of_its_bytes() {
    let redactor = redactor(&["$..email", "$.a[*].note"]);
    let most = 4_096;
    let check = |kind: BodyKind, text: &str, wanted: Result<usize, OmissionReason>| {
        let (kept, hits, longest) = in_slices(&redactor, kind, text, most);
        assert_eq!(
            kept.as_ref().map(|kept| kept.matches(MASK).count()).map_err(|reason| *reason),
            wanted,
            "{kind:?}"
        );
        if let Ok(kept) = kept {
            let mut whole = Hits::default();
            assert_eq!(Ok(kept), redactor.body(Message::Request, kind, text, &mut whole), "{kind:?}");
            assert_eq!(hits, whole, "{kind:?}");
        }
        // Names cost most while they are not known yet.
        assert!(longest < 40 * most as u64, "{kind:?}: {longest} steps for {most} bytes");
    };
    let order =
        r#"{"email": "a@b.test", "note": "token: x", "total": [1, 2], "links": {"self": "/a?sig=1"}}"#;
    let orders = format!("[{}1]", format!("{order},").repeat(2_000));
    for kind in [BodyKind::Json, BodyKind::Text, BodyKind::Form] {
        check(kind, &orders, Ok(6_000));
    }
    check(BodyKind::JsonLines, &format!("{order}\n\n").repeat(2_000), Ok(6_000));
    // A line of many slices among short ones.
    check(BodyKind::JsonLines, &format!("{order}\n{orders}\n{order}"), Ok(6_006));
    check(BodyKind::EventStream, &format!("id: 1\r\ndata: {order}\r\n\r\n").repeat(2_000), Ok(6_000));
    check(BodyKind::EventStream, &"data: password=x\n\n".repeat(2_000), Ok(2_000));
    // What must be read as a whole.
    let long = "password: x, ".repeat(1_000);
    for (kind, text) in [
        (BodyKind::Text, long.clone()),
        (BodyKind::Form, long.clone()),
        (BodyKind::EventStream, format!("data: {long}\n\n")),
        (BodyKind::Json, format!("[{orders}, \"{long}\"]")),
        (BodyKind::Json, format!("{{\"{long}\": 1}}")),
    ] {
        check(kind, &text, Err(OmissionReason::Overload));
    }
    // A long string without signs is read quickly.
    check(BodyKind::Json, &format!("[{order}, \"{}\"]", "x".repeat(30_000)), Ok(3));
    check(BodyKind::Json, &orders[..orders.len() - 1], Err(OmissionReason::Truncated));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn slices_and_one_pass_agree(
        values in prop::collection::vec(value(), 1..4), paths in prop::collection::vec(plain_path(), 0..3), pretty: bool, most in 1usize..200,
    ) {
        let texts: Vec<String> = values.iter().map(|value| serde_json::to_string(value).unwrap()).collect();
        let json = if pretty { serde_json::to_string_pretty(&values) } else { serde_json::to_string(&values) }.unwrap();
        let lines = texts.iter().map(|text| format!("{text}\n")).collect::<String>();
        let events = texts.iter().map(|text| format!("data: {text}\n\n")).collect::<String>();
        let config = RedactConfig { request_body: paths, ..RedactConfig::default() };
        let redactor = Redactor::new(&config).unwrap();
        for (kind, text) in [
            (BodyKind::Json, &json), (BodyKind::Text, &json), (BodyKind::JsonLines, &lines), (BodyKind::EventStream, &events),
        ] {
            let mut whole = Hits::default();
            let wanted = redactor.body(Message::Request, kind, text, &mut whole);
            let (kept, hits, _) = in_slices(&redactor, kind, text, most);
            if kept != Err(OmissionReason::Overload) {
                prop_assert_eq!(kept, wanted, "{:?} {} by {}", kind, text, most);
                prop_assert_eq!(hits, whole, "{:?} {} by {}", kind, text, most);
            }
        }
    }

    #[test]
    fn one_pass_and_tree_agree(value in value(), paths in prop::collection::vec(plain_path(), 0..4), pretty: bool) {
        let body = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let config = RedactConfig { request_body: paths.clone(), ..RedactConfig::default() };
        let one_pass = Redactor::new(&config).unwrap();
        prop_assert!(one_pass.request_body.queries.is_empty());
        let tree = through_the_tree(one_pass.clone(), &paths);
        for kind in [BodyKind::Json, BodyKind::Text] {
            let (mut a, mut b) = (Hits::default(), Hits::default());
            let first = one_pass.body(Message::Request, kind, &body, &mut a);
            let second = tree.body(Message::Request, kind, &body, &mut b);
            prop_assert_eq!(&first, &second, "{:?} on {}", paths, body);
            prop_assert_eq!(a, b, "{:?} on {}", paths, body);
            if kind == BodyKind::Json {
                let redacted = first.unwrap();
                prop_assert!(serde_json::from_str::<Value>(&redacted).is_ok(), "{}", redacted);
                prop_assert_eq!(redact(&one_pass, kind, &redacted), Ok(redacted.clone()), "{:?} on {}: twice", paths, body);
            }
        }
    }

    #[test]
    fn garbage_is_survived(text in r#".{0,40}|([\[\]{}:,"\\]|"a"|1|null|password|data: |\n|&|=|;|%|%41){0,40}"#) {
        let redactor = redactor(&["$..a", "$[?@.a == 1]", "$[-1]"]);
        for kind in [BodyKind::Json, BodyKind::JsonLines, BodyKind::Form, BodyKind::Text, BodyKind::EventStream] {
            let _ = redact(&redactor, kind, &text);
        }
    }
}
