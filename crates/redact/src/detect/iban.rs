//! International bank account numbers, ISO 13616: country, two check digits, as many characters as the country uses,
//! with a remainder of 1 modulo 97. Spaces or dashes may separate groups.

use std::ops::Range;

use super::byte;
use crate::work;

/// Where in a text account numbers stand.
pub(super) fn find(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0usize;
    while at < text.len() {
        match account_at(text, at) {
            Some(end) => {
                found.push(at..end);
                at = end;
            }
            None => at = at.saturating_add(1),
        }
    }
    found
}

fn account_at(text: &str, start: usize) -> Option<usize> {
    let country = [byte(text, start)?, byte(text, start.saturating_add(1))?];
    if !country.iter().all(u8::is_ascii_alphabetic) {
        return None;
    }
    let check = [byte(text, start.saturating_add(2))?, byte(text, start.saturating_add(3))?];
    if !check.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let length = length(country.map(|letter| letter.to_ascii_uppercase()))?;
    let mut account = Vec::with_capacity(length);
    let mut at = start;
    while account.len() < length {
        match byte(text, at)? {
            character if character.is_ascii_alphanumeric() => account.push(character.to_ascii_uppercase()),
            b' ' | b'-' if byte(text, at.saturating_add(1))?.is_ascii_alphanumeric() => {}
            _ => return None,
        }
        at = at.saturating_add(1);
    }
    work::add(account.len());
    let (head, rest) = account.split_at_checked(4)?;
    let remainder = rest.iter().chain(head).fold(0u32, |remainder, character| {
        let value = char::from(*character).to_digit(36).unwrap_or(0);
        let shift = if value > 9 { 100 } else { 10 };
        remainder.saturating_mul(shift).saturating_add(value).checked_rem(97).unwrap_or(0)
    });
    (remainder == 1).then_some(at)
}

/// Characters of an account number, by country (SWIFT IBAN registry).
fn length(country: [u8; 2]) -> Option<usize> {
    Some(match &country {
        b"NO" => 15,
        b"BE" => 16,
        b"DK" | b"FI" | b"FK" | b"FO" | b"GL" | b"NL" | b"SD" => 18,
        b"MK" | b"SI" => 19,
        b"AT" | b"BA" | b"EE" | b"KZ" | b"LT" | b"LU" | b"MN" | b"XK" => 20,
        b"CH" | b"HR" | b"LI" | b"LV" => 21,
        b"BG" | b"BH" | b"CR" | b"DE" | b"GB" | b"GE" | b"IE" | b"ME" | b"RS" | b"VA" => 22,
        b"AE" | b"GI" | b"IL" | b"IQ" | b"OM" | b"SO" | b"TL" => 23,
        b"AD" | b"CZ" | b"ES" | b"MD" | b"PK" | b"RO" | b"SA" | b"SE" | b"SK" | b"TN" | b"VG" => 24,
        b"LY" | b"PT" | b"ST" => 25,
        b"IS" | b"TR" => 26,
        b"BI" | b"DJ" | b"FR" | b"GR" | b"IT" | b"MC" | b"MR" | b"SM" => 27,
        b"AL" | b"AZ" | b"BY" | b"CY" | b"DO" | b"GT" | b"HN" | b"HU" | b"LB" | b"NI" | b"PL" | b"SV" => 28,
        b"BR" | b"EG" | b"PS" | b"QA" | b"UA" => 29,
        b"JO" | b"KW" | b"MU" | b"YE" => 30,
        b"MT" | b"SC" => 31,
        b"LC" => 32,
        b"RU" => 33,
        _ => return None,
    })
}
