//! Reads the fields of interfaces and classes in TypeScript declarations, as generators write them.

use crate::field::{Kind, Type, Types};

/// Adds the types of a declaration file.
pub(crate) fn read(text: &str, types: &mut Types) {
    let text = without_comments(text);
    let mut rest = text.as_str();
    while let Some((keyword, after)) = next_declaration(rest) {
        rest = after;
        let name: String =
            rest.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        match keyword {
            "interface" | "class" => {
                let Some(open) = rest.find('{') else { break };
                let block = balanced(&rest[open + 1..]);
                // Clients and lists of options for calls have methods, and fields that never travel.
                members(&name, block, types);
                rest = &rest[open + 1..];
            }
            "enum" => {
                types.enumerations.insert(name);
            }
            _ => {
                let Some(equals) = rest.find('=') else { continue };
                let written = until_semicolon(&rest[equals + 1..]);
                alias(&name, written, types);
            }
        }
    }
}

fn alias(name: &str, written: &str, types: &mut Types) {
    match of(written) {
        (Type::Known(Kind::Enumeration), _) => {
            types.enumerations.insert(name.to_owned());
        }
        (Type::Known(kind), _) => {
            types.simple.insert(name.to_owned(), kind);
        }
        // `(typeof Brand)[keyof typeof Brand]` and the like.
        (Type::Named(other), _) if other == name || written.contains("typeof") => {
            types.enumerations.insert(name.to_owned());
        }
        _ => {}
    }
}

fn members(object: &str, block: &str, types: &mut Types) {
    let mut rest = block;
    let mut fields = Vec::new();
    let mut nested = Vec::new();
    while !rest.trim().is_empty() {
        let member = until_semicolon(rest);
        rest = rest.get(member.len() + 1..).unwrap_or("");
        let member = member.trim().trim_start_matches("readonly ").trim_start_matches("private ");
        let Some((name, written)) = member.split_once(':') else { continue };
        let name = name.trim().trim_end_matches('?').trim_matches(['"', '\'']);
        let is_name = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "_-.$".contains(c));
        let internal = name.starts_with('_') || name.starts_with("static");
        if !is_name || internal || written.contains("=>") {
            continue;
        }
        let (kind, list) = of(written);
        if let Some(open) = written.find('{') {
            let inline = format!("{object}.{name}");
            nested.push((inline.clone(), balanced(&written[open + 1..]).to_owned()));
            fields.push((name.to_owned(), Type::Named(inline), list));
        } else {
            fields.push((name.to_owned(), kind, list));
        }
    }
    types.objects.entry(object.to_owned()).or_default().extend(fields);
    for (object, block) in nested {
        members(&object, &block, types);
    }
}

/// The type that is written, and whether it is a list of it.
fn of(written: &str) -> (Type, bool) {
    let parts: Vec<&str> = written.split('|').map(str::trim).filter(|part| !part.is_empty()).collect();
    let parts: Vec<&str> =
        parts.into_iter().filter(|part| !matches!(*part, "null" | "undefined" | "any")).collect();
    let list = parts
        .iter()
        .any(|part| part.ends_with("[]") || part.starts_with("Array<") || part.starts_with("Set<"));
    let one = |part: &str| {
        let part = part.trim_end_matches("[]").trim_matches(['(', ')']);
        let part = part.strip_prefix("Array<").or_else(|| part.strip_prefix("Set<")).unwrap_or(part);
        part.trim_end_matches('>').to_owned()
    };
    let parts: Vec<String> = parts.into_iter().map(one).collect();
    let is = |wanted: &[&str]| parts.iter().any(|part| wanted.contains(&part.as_str()));
    let kind = if parts.is_empty() || is(&["string", "Date", "Stripe.Emptyable<string", "unknown"]) {
        Type::Known(Kind::Text)
    } else if is(&["number", "bigint", "Decimal"]) {
        Type::Known(Kind::Number)
    } else if is(&["boolean", "true", "false"]) {
        Type::Known(Kind::Boolean)
    } else if parts.iter().any(|part| part.starts_with(['\'', '"'])) {
        Type::Known(Kind::Enumeration)
    } else {
        let named = parts.last().map(String::as_str).unwrap_or_default();
        let named = named.split('<').next_back().unwrap_or(named);
        Type::Named(named.rsplit('.').next().unwrap_or(named).to_owned())
    };
    (kind, list)
}

/// The next keyword that declares a type, and the text after it.
fn next_declaration(text: &str) -> Option<(&'static str, &str)> {
    let keywords = ["interface ", "class ", "enum ", "type "];
    let found = keywords.iter().filter_map(|keyword| {
        let mut from = 0;
        loop {
            let at = from + text[from..].find(keyword)?;
            if text[..at].ends_with([' ', '\n', ';', '{', '}']) || at == 0 {
                return Some((at, *keyword));
            }
            from = at + 1;
        }
    });
    let (at, keyword) = found.min()?;
    Some((keyword.trim_end(), &text[at + keyword.len()..]))
}

/// The text up to the brace that closes it.
fn balanced(text: &str) -> &str {
    let mut depth = 1;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[..at];
        }
    }
    text
}

/// The text up to the semicolon or line that ends a member, outside of brackets.
fn until_semicolon(text: &str) -> &str {
    let mut depth = 0i32;
    for (at, c) in text.char_indices() {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => depth -= 1,
            ';' if depth <= 0 => return &text[..at],
            _ => {}
        }
    }
    text
}

fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("/*") {
        out.push_str(&rest[..at]);
        rest = rest[at..].find("*/").map_or("", |end| &rest[at + end + 2..]);
    }
    out.push_str(rest);
    out.lines()
        .map(|line| line.split_once("// ").map_or(line, |(code, _)| code))
        .collect::<Vec<_>>()
        .join("\n")
}
