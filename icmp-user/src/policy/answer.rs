//! Reading what a rule answers with: `reject = { type = "...", code = "...", mtu = 1400 }`, and which
//! packets a rule that rejects or replies can be about.

use super::error::{one_of, quoted};
use super::reader::{Reader, Span, Value};
use super::{Action, Every, Hook, Key, Pace, Pattern, RateLimit};
use icmp_common::abi::{destination, family, fragment};
use icmp_common::answer::Error;
use icmp_common::bucket::Unit;
use icmp_common::classify::{
    code_assigned, code_by_name, code_name, is_error, type_by_name, type_name,
};
use icmp_common::wire::{icmpv4, icmpv6, ipv4, ipv6};
use std::ops::RangeInclusive;
use toml::de::DeTable;

const KEYS: &[&str] = &["type", "code", "mtu", "pointer"];
const REJECT: &str =
    "what is answered, like { type = \"destination-unreachable\", code = \"host-unreachable\" }";

/// The types of ICMPv4 that can answer a packet: those of a router or host that refuses it. Source
/// quench is never sent (RFC 6633), and a redirect is no refusal.
const ANSWERS_V4: &[u8] = &[icmpv4::UNREACHABLE, icmpv4::TIME_EXCEEDED, icmpv4::PARAMETER_PROBLEM];
/// Those of ICMPv6.
const ANSWERS_V6: &[u8] = &[
    icmpv6::UNREACHABLE,
    icmpv6::PACKET_TOO_BIG,
    icmpv6::TIME_EXCEEDED,
    icmpv6::PARAMETER_PROBLEM,
];
/// The requests that the hook replies to.
const REQUESTS: &[(u8, &[u8])] = &[
    (family::ICMPV4, &[icmpv4::ECHO, icmpv4::TIMESTAMP, icmpv4::MASK]),
    (family::ICMPV6, &[icmpv6::ECHO]),
];
/// Words that nft has for codes of destination unreachable and that aren't IANA's.
const NFT_CODES: &[(u8, &str, u8)] = &[
    (family::ICMPV4, "prot-unreachable", 2),
    (family::ICMPV4, "net-prohibited", 9),
    (family::ICMPV4, "admin-prohibited", 13),
    (family::ICMPV6, "admin-prohibited", 1),
    (family::ICMPV6, "addr-unreachable", 3),
    (family::ICMPV6, "policy-fail", 5),
];

/// The MTUs that an error can state: at least what every link has (RFC 791, RFC 8200 5).
const MTU_V4: RangeInclusive<u16> = ipv4::LEAST_MTU as u16..=u16::MAX;
const MTU_V6: RangeInclusive<u16> = ipv6::LEAST_MTU as u16..=u16::MAX;
/// The octets of the quoted packet that can be pointed at: of its header, options included.
const POINTER_V4: RangeInclusive<u16> = 0..=59;
/// Of the whole packet (RFC 4443 3.4).
const POINTER_V6: RangeInclusive<u16> = 0..=u16::MAX;

/// Whose errors answer a family. IGMP has none of its own.
const fn answering(family: u8) -> u8 {
    if family == family::ICMPV6 { family } else { family::ICMPV4 }
}

/// Reads what a rule rejects with; `None` where it doesn't say.
pub(super) fn read(
    reader: &mut Reader,
    table: &DeTable<'_>,
    action: Option<Action>,
    family: Option<u8>,
) -> Option<Error> {
    let (span, value) = reader.get(table, "reject")?;
    if action.is_some_and(|a| a != Action::Reject) {
        let message = "only a rule that rejects says what with";
        reader.expected(span, message, "action = \"reject\"");
        return None;
    }
    let answer = reader.table(value, REJECT)?;
    reader.known_keys(answer, "`reject`", KEYS, &[]);
    let Some(family) = family else {
        let message = "an error has another type in each family";
        let expected = one_of(family::ALL.map(family::label));
        reader.expected(span, message, format!("`family` as well: {expected}"));
        return None;
    };
    let family = answering(family);
    let ty = read_type(reader, answer, family)?;
    let code = read_code(reader, answer, value, family, ty)?;
    let (mtu, pointer) = if family == family::ICMPV6 {
        (
            (ty == icmpv6::PACKET_TOO_BIG).then_some(MTU_V6),
            (ty == icmpv6::PARAMETER_PROBLEM).then_some(POINTER_V6),
        )
    } else {
        let too_big = (ty, code) == (icmpv4::UNREACHABLE, icmpv4::FRAGMENTATION_NEEDED);
        (too_big.then_some(MTU_V4), (ty == icmpv4::PARAMETER_PROBLEM).then_some(POINTER_V4))
    };
    let of = name(family, Error { ty, code, value: 0 });
    let mtu = read_number(reader, answer, value, ("mtu", "octets"), mtu, &of);
    let pointer = read_number(reader, answer, value, ("pointer", "the octet"), pointer, &of);
    Some(Error { ty, code, value: mtu.or(pointer).unwrap_or(0) })
}

/// The type; destination unreachable where none is given. `None` where it is wrong.
fn read_type(reader: &mut Reader, answer: &DeTable<'_>, family: u8) -> Option<u8> {
    let known = if family == family::ICMPV6 { ANSWERS_V6 } else { ANSWERS_V4 };
    let Some((_, value)) = reader.get(answer, "type") else {
        return known.first().copied();
    };
    let expected = one_of(known.iter().map(|ty| type_name(family, *ty)));
    let ty = read_octet(reader, value, &expected, |name| type_by_name(family, name))?;
    if let Some(ty) = ty.filter(|ty| known.contains(ty)) {
        return Some(ty);
    }
    let word = word_of(value);
    let label = family::label(family);
    let message = format!("{} is no error of {label} that can answer a packet", quoted(&word));
    let names = known.iter().map(|ty| type_name(family, *ty));
    let expected = reader.suggest(&word, names, expected);
    reader.expected(value.span(), message, expected);
    None
}

/// The code. `None` where it is wrong, or has to be given and isn't.
fn read_code(
    reader: &mut Reader,
    answer: &DeTable<'_>,
    whole: Value<'_, '_>,
    family: u8,
    ty: u8,
) -> Option<u8> {
    let is_unreachable = Error::prohibited(family).ty == ty;
    let names = || (0..=u8::MAX).filter_map(move |code| code_name(family, ty, code));
    let expected = match names().next() {
        Some(_) => one_of(names()),
        None => "0".to_owned(),
    };
    let Some((_, value)) = reader.get(answer, "code") else {
        if answer.get("type").is_none() {
            return Some(Error::prohibited(family).code);
        }
        if names().next().is_none() {
            return Some(0);
        }
        reader.missing(whole.span(), "code", "the answer", &expected);
        return None;
    };
    let by_name = |name: &str| {
        let nft = NFT_CODES.iter().find(|(f, word, _)| (*f, *word) == (family, name));
        let nft = nft.filter(|_| is_unreachable).map(|(_, _, code)| *code);
        code_by_name(family, ty, name).or(nft)
    };
    let code = read_octet(reader, value, &expected, by_name)?;
    if let Some(code) = code.filter(|code| code_assigned(family, ty, *code)) {
        return Some(code);
    }
    let word = word_of(value);
    let message = format!("unknown code {} of {}", quoted(&word), type_name(family, ty));
    let expected = reader.suggest(&word, names(), expected);
    reader.expected(value.span(), message, expected);
    None
}

/// A number or name as an octet: `Some(None)` where there is no such name, or the number is none.
fn read_octet(
    reader: &mut Reader,
    value: Value<'_, '_>,
    expected: &str,
    by_name: impl Fn(&str) -> Option<u8>,
) -> Option<Option<u8>> {
    if let Some(name) = value.get_ref().as_str() {
        return Some(by_name(name));
    }
    Some(u8::try_from(reader.integer(value, expected)?).ok())
}

/// A value as it was written.
fn word_of(value: Value<'_, '_>) -> String {
    match value.get_ref().as_integer() {
        Some(integer) => integer.to_string(),
        None => value.get_ref().as_str().unwrap_or_default().to_owned(),
    }
}

/// A number that an error has, in this range, or hasn't.
fn read_number(
    reader: &mut Reader,
    answer: &DeTable<'_>,
    whole: Value<'_, '_>,
    (key, what): (&str, &str),
    range: Option<RangeInclusive<u16>>,
    of: &str,
) -> Option<u16> {
    let found = reader.get(answer, key);
    let Some(range) = range else {
        if let Some((span, _)) = found {
            reader.expected(span, format!("{of} has no {key}"), format!("no `{key}`"));
        }
        return None;
    };
    let expected = format!("{what}, a whole number from {} to {}", range.start(), range.end());
    let Some((_, value)) = found else {
        reader.missing(whole.span(), key, of, &expected);
        return None;
    };
    let number = reader.integer(value, &expected)?;
    let fitting = u16::try_from(number).ok().filter(|number| range.contains(number));
    if fitting.is_none() {
        reader.expected(value.span(), format!("{number} can't be the {key} of {of}"), expected);
    }
    fitting
}

/// An error by its numbers and name.
fn name(family: u8, Error { ty, code, .. }: Error) -> String {
    let name = code_name(family, ty, code).unwrap_or_else(|| type_name(family, ty));
    format!("{} {ty}/{code} {name}", family::label(family))
}

/// An error in words, as `icmpv4 3/13 communication-prohibited`.
pub(super) fn describe(family: u8, error: Error) -> String {
    let family = answering(family);
    let Error { ty, value, .. } = error;
    let mut text = name(family, error);
    match (family, ty) {
        (family::ICMPV4, icmpv4::PARAMETER_PROBLEM)
        | (family::ICMPV6, icmpv6::PARAMETER_PROBLEM) => {
            text.push_str(&format!(", pointer {value}"))
        }
        _ if value != 0 => text.push_str(&format!(", mtu {value}")),
        _ => {}
    }
    text
}

/// What limits a rule's answers where it doesn't say: errors as RFC 1812 4.3.2.8 and RFC 4443 2.4(f)
/// ask of whoever sends them, replies as the profiles limit the requests that a host answers.
pub(super) fn default_limits(action: Action) -> Vec<RateLimit> {
    let (source, total) = match action {
        Action::Reject => ((10, 20), (1000, 50)),
        Action::Reply => ((100, 200), (5000, 5000)),
        _ => return Vec::new(),
    };
    let limit = |(rate, burst), key| RateLimit {
        pace: Pace::Rate { rate, burst, every: Every::Second, unit: Unit::Packets },
        key,
        reserve: false,
        prefix_v4: None,
        prefix_v6: None,
        random: key == Key::Total,
    };
    vec![limit(source, Key::Source), limit(total, Key::Total)]
}

/// Notes what makes a rule that answers one that never could, and narrows its pattern to what it can
/// be about.
pub(super) fn judge(
    reader: &mut Reader,
    table: &DeTable<'_>,
    action: Option<Action>,
    pattern: &mut Pattern,
) {
    let Some(action @ (Action::Reject | Action::Reply)) = action else { return };
    if pattern.hook() == Hook::Egress {
        let message = "what this machine sends is not answered by it";
        reader.expected(span_of(reader, table, "action"), message, "hook = \"ingress\"");
    }
    match action {
        Action::Reject => judge_reject(reader, table, pattern),
        _ => judge_reply(reader, table, pattern),
    }
}

/// The place of the value of a key that is there.
fn span_of(reader: &Reader, table: &DeTable<'_>, key: &str) -> Span {
    reader.get(table, key).map_or(0..0, |(_, value)| value.span())
}

fn judge_reject(reader: &mut Reader, table: &DeTable<'_>, pattern: &Pattern) {
    if let (Some(family), Some(types)) = (pattern.family, &pattern.types) {
        let is_v6 = family == family::ICMPV6;
        let never = |ty: u8| {
            family != family::IGMP && is_error(family, ty) || is_v6 && ty == icmpv6::REDIRECT
        };
        if (0..=u8::MAX).filter(|ty| types.contains(*ty)).all(never) {
            let rule = if is_v6 { "RFC 4443 2.4(e)" } else { "RFC 1122 3.2.2" };
            let what = if is_v6 { "errors and redirects are" } else { "errors are" };
            let message = format!("{what} never answered by an error ({rule})");
            let expected = "action = \"drop\", or another type";
            reader.expected(span_of(reader, table, "type"), message, expected);
        }
    }
    if pattern.is_later_fragment() && pattern.family.is_some_and(|f| f != family::ICMPV6) {
        let message = "a fragment but the first is never answered by an error (RFC 1122 3.2.2)";
        let expected = "action = \"drop\", or `none` or `first`";
        reader.expected(span_of(reader, table, "fragment"), message, expected);
    }
}

fn judge_reply(reader: &mut Reader, table: &DeTable<'_>, pattern: &mut Pattern) {
    let requests = |family| REQUESTS.iter().find(|(f, _)| *f == family).map(|(_, types)| *types);
    let expected = || {
        let all = REQUESTS.iter().flat_map(|(f, types)| {
            types.iter().map(|ty| format!("{} {}", family::label(*f), type_name(*f, *ty)))
        });
        one_of(all.collect::<Vec<_>>().iter().map(String::as_str))
    };
    // A type that is wrong was noted.
    if table.get("type").is_none() {
        reader.expected(
            span_of(reader, table, "action"),
            "only requests have a reply, and the rule names no type",
            format!("`family` and `type`: {}", expected()),
        );
    }
    if let (Some(family), Some(types)) = (pattern.family, &pattern.types) {
        let has_reply = |ty: &u8| requests(family).is_some_and(|known| known.contains(ty));
        if let Some(ty) = (0..=u8::MAX).filter(|ty| types.contains(*ty)).find(|ty| !has_reply(ty)) {
            let (label, name) = (family::label(family), type_name(family, ty));
            let message = format!("{label} {ty} ({name}) has no reply that the hook sends");
            reader.expected(span_of(reader, table, "type"), message, expected());
        }
    }
    if pattern.fragment.is_some_and(|f| f != fragment::NONE) {
        let message = "a fragment has no reply: only a whole request can be answered";
        reader.expected(span_of(reader, table, "fragment"), message, "fragment = \"none\"");
    }
    match pattern.destination {
        Some(destination::TRANSIT) => {
            let message = "a reply is its destination's, and what is in transit is another's";
            reader.expected(
                span_of(reader, table, "destination"),
                message,
                "destination = \"local\"",
            );
        }
        // So that requests in transit meet the rules that they would without this one.
        _ => pattern.destination = Some(destination::LOCAL),
    }
}
