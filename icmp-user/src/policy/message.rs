//! Reading which messages a rule is about: family, types and codes, by number, range or name.

use super::error::{one_of, quoted};
use super::reader::{Reader, Span, Value};
use super::{Pattern, Values, ValuesItem};
use icmp_common::abi::family;
use icmp_common::classify::{code_by_name, code_name, type_by_name, type_name};
use toml::de::DeTable;

/// Reads family, types and codes of a rule.
pub(super) fn read(reader: &mut Reader, table: &DeTable<'_>, pattern: &mut Pattern) {
    let families = family::ALL.map(|f| (family::label(f), f));
    let mut family = Family::Absent;
    if let Some((_, value)) = reader.get(table, "family") {
        family = match reader.choice(value, "family", &families) {
            Some(f) => Family::Known(f),
            None => Family::Wrong,
        };
    }
    if let Some((_, value)) = reader.get(table, "type") {
        pattern.types = read_types(reader, value, &mut family);
    }
    if let Some((span, value)) = reader.get(table, "code") {
        if table.get("type").is_none() {
            let message = "a code has a meaning only beside a type";
            reader.expected(span, message, "`type` as well; of any type: \"0-255\"");
        }
        pattern.codes = read_codes(reader, value, &family, pattern.types.as_ref());
    }
    if let Family::Known(f) = family {
        pattern.family = Some(f);
    }
}

/// What is known of the family of a rule.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Absent,
    Known(u8),
    /// It is given, and wrong, which was noted: what depends on it isn't judged.
    Wrong,
}

const TYPES: &str = "a type: a number from 0 to 255, a range like \"13-14\", or a name";
const CODES: &str = "a code: a number from 0 to 255, a range like \"0-3\", or a name";

/// Reads types. Where no family is given, names that only one family has give it.
fn read_types(reader: &mut Reader, value: Value<'_, '_>, family: &mut Family) -> Option<Values> {
    let mut items = Vec::new();
    let mut complete = true;
    for item in listed(reader, value, TYPES) {
        match read_number(reader, item, TYPES) {
            Number::Item(number) => {
                if *family == Family::Absent {
                    let message = "a type's number means another message in each family";
                    reader.expected(item.span(), message, families());
                    *family = Family::Wrong;
                }
                items.push(number);
            }
            Number::Wrong => complete = false,
            Number::Name(name) => match type_of(reader, name, item.span(), family) {
                Some(ty) => items.push(ValuesItem::One(ty)),
                None => complete = false,
            },
        }
    }
    (complete && !items.is_empty()).then(|| Values::new(items))
}

/// What has to stand in a rule whose family can't be told.
fn families() -> String {
    format!("`family` as well: {}", one_of(family::ALL.map(family::label)))
}

fn type_of(reader: &mut Reader, name: &str, span: Span, family: &mut Family) -> Option<u8> {
    let having: Vec<(u8, u8)> =
        family::ALL.iter().filter_map(|f| Some((*f, type_by_name(*f, name)?))).collect();
    let labels = || one_of(having.iter().map(|(f, _)| family::label(*f)));
    match (*family, having.as_slice()) {
        (Family::Wrong, _) => None,
        (_, []) => {
            let searched: Vec<u8> = match *family {
                Family::Known(f) => vec![f],
                _ => family::ALL.to_vec(),
            };
            let known = searched.iter().flat_map(|f| type_names(*f));
            let message = match *family {
                Family::Known(f) => {
                    format!("unknown type {} of {}", quoted(name), family::label(f))
                }
                _ => format!("unknown type {}", quoted(name)),
            };
            let expected = reader.suggest(name, known, TYPES.to_owned());
            reader.expected(span, message, expected);
            None
        }
        (Family::Known(f), having) => match having.iter().find(|(of, _)| *of == f) {
            Some((_, ty)) => Some(*ty),
            None => {
                let message = format!("{} is no type of {}", quoted(name), family::label(f));
                reader.expected(span, message, format!("family = {}", labels()));
                None
            }
        },
        (Family::Absent, [(f, ty)]) => {
            *family = Family::Known(*f);
            Some(*ty)
        }
        (Family::Absent, _) => {
            let message = format!("{} is a type of more than one family", quoted(name));
            reader.expected(span, message, format!("`family` as well: {}", labels()));
            *family = Family::Wrong;
            None
        }
    }
}

/// The names of a family's types, each once.
fn type_names(family: u8) -> impl Iterator<Item = &'static str> {
    (0..=u8::MAX)
        .map(move |ty| (ty, type_name(family, ty)))
        .filter(move |(ty, name)| type_by_name(family, name) == Some(*ty))
        .map(|(_, name)| name)
}

/// Reads codes. Their names are those of one type.
fn read_codes(
    reader: &mut Reader,
    value: Value<'_, '_>,
    family: &Family,
    types: Option<&Values>,
) -> Option<Values> {
    let mut items = Vec::new();
    let mut complete = true;
    for item in listed(reader, value, CODES) {
        match read_number(reader, item, CODES) {
            Number::Item(number) => items.push(number),
            Number::Wrong => complete = false,
            Number::Name(name) => {
                // Where the type itself is wrong, that was noted.
                let (Family::Known(family), Some(types)) = (*family, types) else {
                    complete = false;
                    continue;
                };
                let Some(ty) = types.single() else {
                    let message =
                        format!("the code {} is named beside several types", quoted(name));
                    reader.expected(item.span(), message, "one type, or the code as a number");
                    complete = false;
                    continue;
                };
                if let Some(code) = code_by_name(family, ty, name) {
                    items.push(ValuesItem::One(code));
                    continue;
                }
                let of = type_name(family, ty);
                let message = format!("unknown code {} of {of}", quoted(name));
                let known = (0..=u8::MAX).filter_map(|c| code_name(family, ty, c));
                let expected = reader.suggest(name, known, CODES.to_owned());
                reader.expected(item.span(), message, expected);
                complete = false;
            }
        }
    }
    (complete && !items.is_empty()).then(|| Values::new(items))
}

/// The items of a value or a list of them, which mustn't be empty.
fn listed<'t, 'i>(reader: &mut Reader, value: Value<'t, 'i>, expected: &str) -> Vec<Value<'t, 'i>> {
    let items = reader.one_or_more(value);
    if items.is_empty() {
        reader.expected(value.span(), "an empty list matches nothing", expected);
    }
    items
}

/// An item of a list of types or codes.
enum Number<'t> {
    Item(ValuesItem),
    Name(&'t str),
    /// It was noted.
    Wrong,
}

fn read_number<'t>(reader: &mut Reader, value: Value<'t, '_>, expected: &str) -> Number<'t> {
    let octet = |number: i128| u8::try_from(number).ok();
    let items = match value.get_ref().as_str() {
        None => {
            let Some(number) = reader.integer(value, expected) else { return Number::Wrong };
            octet(number).map(ValuesItem::One)
        }
        Some(text) => match text.split_once('-').map(|(a, b)| (parse(a), parse(b))) {
            Some((Some(first), Some(last))) => {
                if first > last {
                    let message = format!("the range {} is empty", quoted(text));
                    reader.expected(value.span(), message, "the lower number first");
                    return Number::Wrong;
                }
                octet(first).zip(octet(last)).map(|(a, b)| ValuesItem::Range(a, b))
            }
            _ => match parse(text) {
                Some(number) => octet(number).map(ValuesItem::One),
                None => return Number::Name(text),
            },
        },
    };
    match items {
        Some(item) => Number::Item(item),
        None => {
            let shown = match value.get_ref().as_integer() {
                Some(integer) => integer.to_string(),
                None => value.get_ref().as_str().unwrap_or_default().to_owned(),
            };
            let what = if expected == CODES { "code" } else { "type" };
            let message = format!("{} is out of the range of a {what}", quoted(&shown));
            reader.expected(value.span(), message, expected);
            Number::Wrong
        }
    }
}

/// A number as it may stand in a string: decimal or, as IGMP's are written, hexadecimal.
fn parse(text: &str) -> Option<i128> {
    let text = text.trim();
    let (digits, radix) = match text.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    // Not the signs that the parser would take.
    digits.chars().all(|c| c.is_digit(radix)).then(|| i128::from_str_radix(digits, radix).ok())?
}
